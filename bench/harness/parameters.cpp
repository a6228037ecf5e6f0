#include "bench/harness/parameters.hpp"

#include <algorithm>
#include <bit>
#include <charconv>
#include <thread>

#include "impl/core/check.hpp"

namespace page_map_lab::bench {
namespace {

std::string join(const std::vector<std::string>& words) {
    std::string text;
    for (const auto& word : words) {
        text += (text.empty() ? "" : ", ") + word;
    }
    return text;
}

/// "4096", "4Ki", "256Ki", "4Mi", "1Gi", "1Ti".
Result<std::uint64_t> parse_number(std::string_view text) {
    std::uint64_t number = 0;
    const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    const std::string_view suffix = text.substr(static_cast<std::size_t>(rest - text.data()));
    constexpr std::string_view suffixes[] = {"", "Ki", "Mi", "Gi", "Ti"};
    const auto* const found = std::find(std::begin(suffixes), std::end(suffixes), suffix);
    const auto shift = 10 * static_cast<unsigned>(found - std::begin(suffixes));
    if (error != std::errc{} || found == std::end(suffixes) || std::bit_width(number) + shift > 64) {
        return fail(ErrorCode::usage, "'" + std::string(text) + "' is not a number (write 4096, 4Ki, 256Ki or 4Mi)");
    }
    return number << shift;
}

}  // namespace

std::string to_string(const ParameterValue& value) {
    if (const auto* number = std::get_if<std::uint64_t>(&value)) {
        return std::to_string(*number);
    }
    return std::get<std::string>(value);
}

void Parameters::set(std::string_view name, ParameterValue value, bool in_name) {
    check(!has(name), "a parameter is set once");
    if (in_name) {
        name_ += (name_.empty() ? "" : "/") + std::string(name) + ":" + to_string(value);
    }
    values_.emplace_back(std::string(name), std::move(value));
}

bool Parameters::has(std::string_view name) const {
    return std::any_of(values_.begin(), values_.end(), [&](const auto& entry) { return entry.first == name; });
}

const ParameterValue& Parameters::value(std::string_view name) const {
    const auto found =
        std::find_if(values_.begin(), values_.end(), [&](const auto& entry) { return entry.first == name; });
    check(found != values_.end(), "a workload asks only for parameters that it declared");
    return found->second;
}

std::uint64_t Parameters::number(std::string_view name) const {
    const auto* const number = std::get_if<std::uint64_t>(&value(name));
    check(number != nullptr, "a workload asks for a number where it declared a number");
    return *number;
}

const std::string& Parameters::text(std::string_view name) const {
    const auto* const word = std::get_if<std::string>(&value(name));
    check(word != nullptr, "a workload asks for a word where it declared words");
    return *word;
}

ParameterAxis ParameterAxis::words(std::string name, std::vector<std::string> values, std::vector<std::string> more) {
    ParameterAxis axis;
    axis.name = std::move(name);
    axis.smoke = {values.begin(), values.end()};
    axis.real = axis.smoke;
    axis.choices = std::move(values);
    axis.choices.insert(axis.choices.end(), more.begin(), more.end());
    return axis;
}

ParameterAxis ParameterAxis::option(std::string name, std::vector<std::string> choices) {
    ParameterAxis axis = words(std::move(name), {choices.front()}, {choices.begin() + 1, choices.end()});
    axis.unnamed = axis.smoke.front();
    return axis;
}

ParameterAxis ParameterAxis::option(std::string name, std::uint64_t value, std::uint64_t minimum,
                                    std::uint64_t maximum) {
    ParameterAxis axis = numbers(std::move(name), {value}, {value}, minimum, maximum);
    axis.unnamed = value;
    return axis;
}

ParameterAxis ParameterAxis::numbers(std::string name, std::vector<std::uint64_t> smoke,
                                     std::vector<std::uint64_t> real, std::uint64_t minimum, std::uint64_t maximum) {
    ParameterAxis axis;
    axis.name = std::move(name);
    axis.smoke = {smoke.begin(), smoke.end()};
    axis.real = {real.begin(), real.end()};
    axis.minimum = minimum;
    axis.maximum = maximum;
    return axis;
}

ParameterAxis ParameterAxis::threads() {
    const std::uint64_t cpus = std::max(1U, std::thread::hardware_concurrency());
    ParameterAxis axis = numbers("threads", {1}, {}, 1, 4096);
    if (cpus > 1) {
        axis.smoke.emplace_back(std::uint64_t{2});
    }
    for (std::uint64_t threads = 1; threads < cpus; threads *= 2) {
        axis.real.emplace_back(threads);
    }
    axis.real.emplace_back(cpus);
    axis.real_text = "1..cpus";
    return axis;
}

Result<std::vector<ParameterValue>> ParameterAxis::parse(std::string_view list) const {
    std::vector<ParameterValue> values;
    const auto refuse = [&](const std::string& what) -> tl::unexpected<Error> {
        return fail(ErrorCode::usage, name + "=" + std::string(list) + ": " + what);
    };
    const auto add_number = [&](std::uint64_t number) {
        values.emplace_back(number);
        return number >= minimum && number <= maximum;
    };
    while (true) {
        const std::size_t comma = std::min(list.find(','), list.size());
        const std::string_view item = list.substr(0, comma);
        if (takes_words()) {
            if (std::find(choices.begin(), choices.end(), item) == choices.end()) {
                return refuse("'" + std::string(item) + "' is not one of " + join(choices));
            }
            values.emplace_back(std::string(item));
        } else {
            const std::size_t dots = item.find("..");
            const auto first = parse_number(item.substr(0, dots));
            const auto last = dots == std::string_view::npos ? first : parse_number(item.substr(dots + 2));
            if (!first || !last) {
                return refuse((first ? last : first).error().message);
            }
            constexpr std::uint64_t longest_range = 4096;
            if (*last < *first || *last - *first >= longest_range) {
                return refuse("'" + std::string(item) + "' is not a range of at most 4096 ascending numbers");
            }
            for (std::uint64_t number = *first; number <= *last; ++number) {
                if (!add_number(number)) {
                    return refuse(std::to_string(number) + " is not between " + std::to_string(minimum) + " and " +
                                  std::to_string(maximum));
                }
            }
        }
        if (comma == list.size()) {
            return values;
        }
        list.remove_prefix(comma + 1);
    }
}

Status a_page_for_each_thread(const Parameters& parameters) {
    const std::uint64_t threads = parameters.number("threads");
    const std::uint64_t pages = parameters.number("pages");
    if (threads > pages) {
        return fail(ErrorCode::usage, "threads=" + std::to_string(threads) + " cannot share pages=" +
                                          std::to_string(pages) + ": raise --pages");
    }
    return {};
}

}  // namespace page_map_lab::bench
