#include "bench/harness/record.hpp"

#include <algorithm>
#include <cmath>
#include <ctime>

#include "bench/harness/build_info.hpp"

namespace page_map_lab::bench {
namespace {

using Json = nlohmann::ordered_json;

/// object[name] = value, or null with the reason beside it.
template <class Value>
void put(Json& object, const std::string& name, const std::optional<Value>& value, const std::string& why) {
    if (value) {
        object[name] = *value;
    } else {
        object[name] = nullptr;
        object[name + "_why"] = why.empty() ? "not measured" : why;
    }
}

Json text_or_null(const std::string& text) {
    return text.empty() ? Json(nullptr) : Json(text);
}

void put_fact(Json& object, const Fact& fact) {
    if (!fact.value) {
        object[fact.name] = nullptr;
        object[fact.name + "_why"] = fact.why;
        return;
    }
    std::visit([&](const auto& plain) { object[fact.name] = plain; }, *fact.value);
    if (!fact.why.empty()) {
        object[fact.name + "_why"] = fact.why;
    }
}

Json metrics_json(const std::vector<Metric>& metrics) {
    Json object = Json::object();
    for (const auto& metric : metrics) {
        const bool usable = metric.value && std::isfinite(*metric.value);
        put(object, metric.name, usable ? metric.value : std::nullopt, metric.why);
        if (usable && !metric.why.empty()) {
            object[metric.name + "_why"] = metric.why;
        }
    }
    return object;
}

Json thread_json(const ThreadReport& thread) {
    Json object = {{"role", thread.role}};
    put(object, "cpu", thread.pinned.observed_cpu, thread.pinned.why);
    object["asked_cpu"] = thread.pinned.asked_cpu;
    object["operations"] = thread.operations;
    object["duration_ns"] = thread.duration_ns;
    object["cpu_ns"] = thread.cpu_ns;
    return object;
}

Json counter_json(const CounterReading& sum, const std::string& role, double operations) {
    Json object = {{"name", sum.name},
                   {"event", sum.event},
                   {"role", text_or_null(role)},
                   {"scope", to_string(sum.scope)},
                   {"mode", to_string(sum.mode)},
                   {"cpu", sum.cpu ? Json(*sum.cpu) : Json(nullptr)},
                   {"value", sum.value ? Json(*sum.value) : Json(nullptr)},
                   {"enabled_ns", sum.enabled_ns ? Json(*sum.enabled_ns) : Json(nullptr)},
                   {"running_ns", sum.running_ns ? Json(*sum.running_ns) : Json(nullptr)},
                   {"state", to_string(sum.state)},
                   {"why", text_or_null(sum.why)}};
    object["per_operation"] = sum.value && operations > 0 ? Json(*sum.value / operations) : Json(nullptr);
    return object;
}

Json histogram_json(const NamedHistogram& named) {
    const LatencyHistogram& latencies = named.latencies;
    Json buckets = Json::array();
    for (const auto& bucket : latencies.buckets()) {
        buckets.push_back({bucket.lower_ns, bucket.upper_ns, bucket.count});
    }
    Json object = {{"name", named.name},
                   {"role", named.role},
                   {"unit", "ns"},
                   {"significant_digits", LatencyHistogram::significant_digits},
                   {"count", latencies.count()}};
    const bool any = latencies.count() != 0;
    const std::string why = "nothing was recorded";
    put(object, "min", any ? std::optional(latencies.minimum_ns()) : std::nullopt, why);
    put(object, "max", any ? std::optional(latencies.maximum_ns()) : std::nullopt, why);
    object["sum"] = latencies.sum_ns();
    object["buckets"] = std::move(buckets);
    return object;
}

Json repetition_json(const RepetitionResult& repetition, const std::optional<std::string>& beside) {
    Json threads = Json::array();
    for (const auto& thread : repetition.threads) {
        threads.push_back(thread_json(thread));
    }
    Json object = {{"index", repetition.index}};
    put(object, "score", std::isfinite(repetition.score) ? std::optional(repetition.score) : std::nullopt,
        repetition.excluded.value_or("the score is not a finite number"));
    object["threads"] = std::move(threads);
    object["metrics"] = metrics_json(repetition.metrics);
    object["beside"] =
        repetition.beside_score ? Json{{"name", *beside}, {"score", *repetition.beside_score}} : Json(nullptr);
    object["excluded"] = repetition.excluded ? Json(*repetition.excluded) : Json(nullptr);
    return object;
}

Json cell_json(const CellResult& cell, const RecordParts& parts) {
    const Subject& subject = *cell.plan().subject;
    Json policies = Json::object();
    for (const auto& [axis, policy] : subject.policies) {
        policies[axis] = policy;
    }
    Json parameters = Json::object();
    for (const auto& [name, value] : cell.plan().parameters.values()) {
        std::visit([&, &key = name](const auto& plain) { parameters[key] = plain; }, value);
    }
    const Score& score = parts.workload->score;
    Json object = {{"name", cell.plan().name},
                   {"workload", parts.workload->name},
                   {"variant", subject.name},
                   {"policies", std::move(policies)},
                   {"floor", subject.floor},
                   {"parameters", std::move(parameters)},
                   {"size", parts.options->real_size ? "real" : "smoke"},
                   {"score",
                    {{"metric", score.metric},
                     {"unit", score.unit},
                     {"direction", score.lower_is_better ? "lower_is_better" : "higher_is_better"}}}};
    for (const char* list : {"repetitions", "metrics", "histograms", "counters", "phases"}) {
        object[list] = Json::array();
    }
    for (const auto& repetition : cell.repetitions()) {
        object["repetitions"].push_back(repetition_json(repetition, parts.options->beside));
    }
    object["metrics"] = metrics_json(cell.metrics);
    for (const auto& histogram : cell.histograms()) {
        object["histograms"].push_back(histogram_json(histogram));
    }
    for (const auto& [role, sums] : cell.counters()) {
        for (const auto& sum : sums) {
            object["counters"].push_back(counter_json(sum, role, cell.operations(role)));
        }
    }
    for (const auto& phase : cell.phases()) {
        Json kept = {{"name", phase.name}, {"ns", phase.duration_ns}, {"operations", phase.operations}};
        for (const auto& reading : phase.counters) {
            kept["counters"].push_back(
                counter_json(reading, "initiator", static_cast<double>(phase.counted_operations)));
        }
        object["phases"].push_back(std::move(kept));
    }
    object["check"] = {
        {"passed", cell.check.passed}, {"digest", text_or_null(cell.check.digest)}, {"message", cell.check.message}};
    object["failed"] = cell.failed ? Json(*cell.failed) : Json(nullptr);
    return object;
}

/// The run with most threads stands for the launch; a single thread that was not where it should be taints it.
Json placement_json(const RecordParts& parts) {
    const std::vector<ThreadReport>* widest = nullptr;
    PlacementState state = PlacementState::ok;
    std::string why;
    for (const auto& cell : *parts.cells) {
        for (const auto& repetition : cell.repetitions()) {
            if (widest == nullptr || repetition.threads.size() > widest->size()) {
                widest = &repetition.threads;
            }
            for (const auto& thread : repetition.threads) {
                if (thread.pinned.state > state) {
                    state = thread.pinned.state;
                    why = thread.pinned.why;
                }
            }
        }
    }
    Json asked = Json::array();
    Json observed = Json::array();
    if (widest == nullptr) {
        state = PlacementState::unverified;
        why = "nothing was measured";
    } else {
        for (const auto& thread : *widest) {
            asked.push_back(thread.pinned.asked_cpu);
            observed.push_back(thread.pinned.observed_cpu ? Json(*thread.pinned.observed_cpu) : Json(nullptr));
        }
    }
    Json pages = Json::object();
    for (const auto& [node, count] : parts.memory.observed_pages_by_node) {
        pages[std::to_string(node)] = count;
    }
    return {{"plan", parts.options->plan.text()},
            {"asked_cpus", std::move(asked)},
            {"observed_cpus", std::move(observed)},
            {"state", to_string(state)},
            {"why", text_or_null(why)},
            {"memory",
             {{"policy", parts.memory.policy},
              {"asked_nodes", parts.memory.asked_nodes},
              {"observed_pages_by_node", std::move(pages)},
              {"state", to_string(parts.memory.state)},
              {"why", text_or_null(parts.memory.why)}}}};
}

Json host_json(const HostFacts& host) {
    Json object = {{"name", host.name}};
    for (const auto& fact : host.facts) {
        put_fact(object, fact);
    }
    object["caches"] = Json::array();
    for (const auto& cache : host.caches) {
        Json level = {{"name", cache.name}, {"size_bytes", cache.size_bytes}, {"instances", cache.instances}};
        put(level, "line_bytes", cache.line_bytes != 0 ? std::optional(cache.line_bytes) : std::nullopt,
            "the system does not say");
        object["caches"].push_back(std::move(level));
    }
    object["tlb_mechanism"] = {{"value", host.tlb_mechanism.value}, {"why", host.tlb_mechanism.why}};
    return object;
}

Json launch_json(const RecordParts& parts) {
    Json launch = {{"run", nullptr}, {"index", nullptr}, {"block", nullptr}};
    launch["seed"] = parts.options->seed;
    launch["command"] = parts.options->command;
    launch["started"] = parts.started;
    launch["finished"] = parts.finished;
    if (!parts.options->launch.empty()) {
        launch.update(Json::parse(parts.options->launch));
    }
    return launch;
}

}  // namespace

std::string utc_now() {
    const std::time_t now = std::time(nullptr);
    std::tm parts{};
    gmtime_r(&now, &parts);
    char text[32];
    const std::size_t length = std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
    return {text, length};
}

nlohmann::ordered_json make_record(const RecordParts& parts) {
    Json record = {{"schema_version", 1},
                   {"context", parts.google_benchmark.at("context")},
                   {"benchmarks", parts.google_benchmark.at("benchmarks")},
                   {"launch", launch_json(parts)},
                   {"build", build_info()},
                   {"host", host_json(parts.host)},
                   {"environment", Json::object()},
                   {"placement", placement_json(parts)},
                   {"gate", nullptr},
                   {"cells", Json::array()}};
    for (const auto& fact : parts.environment) {
        put_fact(record["environment"], fact);
    }
    for (const auto& cell : *parts.cells) {
        record["cells"].push_back(cell_json(cell, parts));
    }
    return record;
}

}  // namespace page_map_lab::bench
