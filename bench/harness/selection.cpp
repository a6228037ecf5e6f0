#include "bench/harness/selection.hpp"

#include <algorithm>
#include <iterator>
#include <map>
#include <optional>
#include <sstream>

#include <fnmatch.h>
#include <nlohmann/json.hpp>

namespace page_map_lab::bench {
namespace {

/// The policies that a full name asks for, axis by axis; nothing where `text` is no such name.
std::optional<std::map<std::string, std::string>> parse_name(const std::string& text,
                                                             const std::vector<PolicyAxis>& axes) {
    std::map<std::string, std::string> policies;
    std::istringstream segments(text);
    for (std::string segment; std::getline(segments, segment, '/');) {
        const std::size_t colon = std::min(segment.find(':'), segment.size());
        const std::string axis = segment.substr(0, colon);
        const std::string policy = colon == segment.size() ? "" : segment.substr(colon + 1);
        const bool known = std::any_of(axes.begin(), axes.end(), [&](const PolicyAxis& candidate) {
            return candidate.name == axis &&
                   std::find(candidate.policies.begin(), candidate.policies.end(), policy) != candidate.policies.end();
        });
        if (!known || !policies.emplace(axis, policy).second) {
            return std::nullopt;
        }
    }
    return policies;
}

/// A name or a shell glob. A name may leave axes out (they are at their defaults) and may mention axes that the
/// workload does not feel (they make no difference there).
bool matches(const std::string& pattern, const Subject& subject, const WorkloadDescription& workload) {
    if (fnmatch(pattern.c_str(), subject.name.c_str(), 0) == 0) {
        return true;
    }
    auto wanted = parse_name(pattern, workload.policy_axes);
    if (!wanted || subject.floor) {
        return false;
    }
    std::map<std::string, std::string> has(subject.policies.begin(), subject.policies.end());
    return std::all_of(workload.policy_axes.begin(), workload.policy_axes.end(), [&](const PolicyAxis& axis) {
        const bool felt = std::find(workload.axes.begin(), workload.axes.end(), axis.name) != workload.axes.end();
        wanted->try_emplace(axis.name, axis.default_policy);
        has.try_emplace(axis.name, axis.default_policy);
        return !felt || wanted->at(axis.name) == has.at(axis.name);
    });
}

nlohmann::ordered_json to_json(const std::vector<ParameterValue>& values) {
    auto list = nlohmann::ordered_json::array();
    for (const auto& value : values) {
        std::visit([&](const auto& plain) { list.push_back(plain); }, value);
    }
    return list;
}

nlohmann::ordered_json to_json(const ParameterAxis& axis) {
    if (axis.smoke == axis.real && axis.choices.size() <= axis.smoke.size()) {
        return to_json(axis.smoke);
    }
    nlohmann::ordered_json described = {{"smoke", to_json(axis.smoke)}};
    if (axis.real_text.empty()) {
        described["real"] = to_json(axis.real);
    } else {
        described["real"] = axis.real_text;
    }
    if (axis.takes_words()) {
        described["choices"] = axis.choices;
    }
    return described;
}

/// Every combination of the axes' values, those in `lists` in place of the size's own. Errors: usage.
Result<std::vector<Parameters>> product(const WorkloadDescription& workload, bool real_size,
                                        const std::map<std::string, std::string>& lists) {
    std::vector<Parameters> points(1);
    for (const auto& axis : workload.parameters) {
        auto values = real_size ? axis.real : axis.smoke;
        if (const auto given = lists.find(axis.name); given != lists.end()) {
            auto parsed = axis.parse(given->second);
            if (!parsed) {
                return tl::unexpected(parsed.error());
            }
            values = *std::move(parsed);
        }
        // Before the points are made: an absurd sweep would not fit into memory.
        if (const std::size_t longer = points.size() * values.size(); longer > workload.most_points) {
            return fail(ErrorCode::usage, "the sweep has at least " + std::to_string(longer) + " points: shorten its lists");
        }
        std::vector<Parameters> extended;
        for (const auto& point : points) {
            for (const auto& value : values) {
                extended.push_back(point);
                extended.back().set(axis.name, value, value != axis.unnamed);
            }
        }
        points = std::move(extended);
    }
    for (const auto& point : points) {
        const Status possible = workload.possible ? workload.possible(point) : Status{};
        if (!possible) {
            return tl::unexpected(possible.error());
        }
    }
    return points;
}

}  // namespace

std::string cell_name(const WorkloadDescription& workload, const Subject& subject, const Parameters& parameters) {
    const std::string point = parameters.name();
    return workload.name + "/" + subject.name + (point.empty() ? "" : "/" + point);
}

Result<std::vector<const Subject*>> select_subjects(const WorkloadDescription& workload, const Options& options) {
    std::vector<const Subject*> selected;
    if (options.variants.empty()) {
        for (const auto& subject : workload.subjects) {
            if (!subject.floor || options.floors) {
                selected.push_back(&subject);
            }
        }
        return selected;
    }
    for (const auto& pattern : options.variants) {
        const auto hit = [&](const Subject& subject) { return matches(pattern, subject, workload); };
        if (std::none_of(workload.subjects.begin(), workload.subjects.end(), hit)) {
            return fail(ErrorCode::usage, "no variant of the " + workload.name + " workload matches '" + pattern +
                                              "': --describe lists those there are");
        }
    }
    for (const auto& subject : workload.subjects) {
        const auto hit = [&](const std::string& pattern) { return matches(pattern, subject, workload); };
        if ((subject.floor && options.floors) || std::any_of(options.variants.begin(), options.variants.end(), hit)) {
            selected.push_back(&subject);
        }
    }
    return selected;
}

Result<const Subject*> find_subject(const WorkloadDescription& workload, const std::string& name) {
    for (const auto& subject : workload.subjects) {
        if (matches(name, subject, workload)) {
            return &subject;
        }
    }
    return fail(ErrorCode::usage, "--beside '" + name + "' is no variant or floor of the " + workload.name +
                                      " workload: --describe lists those there are");
}

Result<std::vector<Parameters>> sweep(const WorkloadDescription& workload, const Options& options) {
    auto points = product(workload, options.real_size, options.lists);
    if (!points || !options.real_size) {
        return points;
    }
    for (const auto& variation : workload.variations) {
        if (std::any_of(variation.begin(), variation.end(),
                        [&](const auto& axis) { return options.lists.contains(axis.first); })) {
            continue;
        }
        auto lists = options.lists;
        lists.insert(variation.begin(), variation.end());
        auto varied = product(workload, true, lists);
        if (!varied) {
            return varied;
        }
        std::move(varied->begin(), varied->end(), std::back_inserter(*points));
    }
    return points;
}

unsigned threads_needed(const WorkloadDescription& workload, const Parameters& parameters) {
    if (workload.threads_needed) {
        return workload.threads_needed(parameters);
    }
    return parameters.has("threads") ? static_cast<unsigned>(parameters.number("threads")) : 1;
}

nlohmann::ordered_json describe(const WorkloadDescription& workload) {
    nlohmann::ordered_json description = {{"workload", workload.name},
                                          {"question", workload.question},
                                          {"axes", workload.axes},
                                          {"base", nlohmann::ordered_json::object()},
                                          {"variants", nlohmann::ordered_json::array()},
                                          {"floors", nlohmann::ordered_json::array()},
                                          {"parameters", nlohmann::ordered_json::object()}};
    for (const auto& axis : workload.policy_axes) {
        description["base"][axis.name] = axis.default_policy;
    }
    for (const auto& subject : workload.subjects) {
        if (subject.floor) {
            description["floors"].push_back(subject.name);
            continue;
        }
        auto policies = nlohmann::ordered_json::object();
        for (const auto& [axis, policy] : subject.policies) {
            policies[axis] = policy;
        }
        description["variants"].push_back({{"name", subject.name}, {"policies", policies}});
    }
    for (const auto& axis : workload.parameters) {
        description["parameters"][axis.name] = to_json(axis);
    }
    description["variations"] = nlohmann::ordered_json::array();
    for (const auto& variation : workload.variations) {
        auto described = nlohmann::ordered_json::object();
        for (const auto& axis : workload.parameters) {
            if (const auto list = variation.find(axis.name); list != variation.end()) {
                described[axis.name] = to_json(axis.parse(list->second).value());
            }
        }
        description["variations"].push_back(std::move(described));
    }
    description["score"] = {{"metric", workload.score.metric},
                            {"unit", workload.score.unit},
                            {"direction", workload.score.lower_is_better ? "lower_is_better" : "higher_is_better"}};
    description["trace"] = workload.takes_trace;
    return description;
}

}  // namespace page_map_lab::bench
