#include "tests/explorer/exploration.hpp"

#include <algorithm>
#include <array>
#include <charconv>

namespace page_map_lab::explorer {

namespace {

/// Runs as a scheduler without preemption would, but for the choices. Beyond the last of them it goes on until it comes to a
/// state that was visited before, if it is given those: what follows from there has been explored, or will be.
class Systematic final : public Strategy {
public:
    explicit Systematic(const Choices& choices, FingerprintSet* visited = nullptr) : choices_(choices), visited_(visited) {}

    unsigned choose(const Decision& decision, std::size_t position) override {
        if (next_ < choices_.size()) {
            return choices_[next_].position == position ? choices_[next_++].core : decision.usual();
        }
        if (visited_ != nullptr && !visited_->insert(decision.state())) {
            return no_need;
        }
        return decision.usual();
    }

private:
    const Choices& choices_;
    FingerprintSet* visited_;
    std::size_t next_ = 0;
};

/// The cores have random priorities, which change at a few random decisions (Burckhardt et al., "A randomized scheduler with
/// probabilistic guarantees of finding bugs", ASPLOS 2010); every fourth seed decides at random each time.
class Random final : public Strategy {
public:
    Random(std::uint64_t seed, std::size_t about_how_long) : seed_(seed), uniform_(seed % 4 == 0) {
        for (unsigned core = 0; core < max_cores; ++core) {
            priority_[core] = mix(seed, core) >> 1 | std::uint64_t{1} << 62;
        }
        const std::size_t changes = 1 + mix(seed, 100) % 4;
        for (std::size_t change = 0; change < changes; ++change) {
            changes_.push_back(mix(seed, 200 + change) % std::max<std::size_t>(about_how_long, 1));
        }
    }

    unsigned choose(const Decision& decision, std::size_t position) override {
        if (uniform_ && mix(seed_, 1000 + position) % 8 == 0) {
            priority_[decision.current % max_cores] = mix(seed_, 100'000 + position) >> 1 | lowest_;
        }
        if (!uniform_ && std::ranges::find(changes_, position) != changes_.end() && decision.current < max_cores) {
            priority_[decision.current] = --lowest_;
        }
        unsigned best = decision.usual();
        for (unsigned core = 0; core < max_cores; ++core) {
            if (decision.is_enabled(core) && priority_[core] > priority_[best]) {
                best = core;
            }
        }
        return best;
    }

    void gives_way(unsigned core) override { priority_[core % max_cores] = --lowest_; }

private:
    std::uint64_t seed_;
    bool uniform_;
    std::array<std::uint64_t, max_cores> priority_{};
    std::vector<std::size_t> changes_;
    std::uint64_t lowest_ = std::uint64_t{1} << 40;
};

std::string name_of(const Choices& choices) {
    std::string name = "choices:";
    for (const Choice& choice : choices) {
        name += (name.back() == ':' ? "" : ",") + std::to_string(choice.position) + "=" + std::to_string(choice.core);
    }
    return name;
}

template <class Number>
bool parse(const char*& from, const char* end, Number& number) {
    const auto [after, failure] = std::from_chars(from, end, number);
    from = after;
    return failure == std::errc{};
}

bool parse(const std::string& name, Choices& choices) {
    const char* from = name.c_str() + std::string("choices:").size();
    const char* const end = name.c_str() + name.size();
    while (from < end) {
        Choice choice{};
        if (!parse(from, end, choice.position) || from == end || *from++ != '=' || !parse(from, end, choice.core) ||
            (from != end && *from++ != ',')) {
            return false;
        }
        choices.push_back(choice);
    }
    return true;
}

}  // namespace

void Exploration::run(Strategy& strategy, std::function<std::string()> name) {
    Simulation& simulation = Simulation::instance();
    simulation.describe_run = [&] {
        return "  on " + variant_.name + ", scenario " + std::string(scenario_.name) + ", schedule " +
               std::to_string(explored_.runs + 1) + "\n  replay: --variant " + variant_.name + " --scenario " +
               std::string(scenario_.name) + " --replay " + name();
    };
    World world(variant_, scenario_.size_pages);
    scenario_.set_up(world);
    simulation.run(world.bodies(), strategy);
    ++explored_.runs;
    longest_ = std::max(longest_, simulation.decisions().size());
    const bool ends = !simulation.ended_early();
    world.finish(ends);
    explored_.schedules += ends && ended_.insert(simulation.fingerprint()) ? 1 : 0;
}

bool Exploration::out_of_time(Clock::time_point deadline) const {
    return explored_.runs % 64 == 0 && Clock::now() > deadline;
}

void Exploration::explore_systematically(std::size_t schedules, Clock::time_point deadline) {
    while (explored_.schedules < schedules && !out_of_time(deadline) && !visited_.full()) {
        if (frontier_.empty()) {
            explored_.exhausted = !frontier_.dropped();
            return;
        }
        const Choices choices = frontier_.take();
        Systematic strategy(choices, limits_.states == 0 ? nullptr : &visited_);
        run(strategy, [&] { return name_of(choices); });
        const std::vector<Decision>& decisions = Simulation::instance().decisions();
        for (std::size_t at = choices.empty() ? 0 : choices.back().position + 1; at < decisions.size(); ++at) {
            const Decision& decision = decisions[at];
            const unsigned preemptions = decision.preemptions + (decision.is_enabled(decision.current) ? 1U : 0U);
            for (unsigned core = 0; core < max_cores; ++core) {
                if (decision.is_enabled(core) && core != decision.chosen) {
                    frontier_.add({static_cast<std::uint32_t>(at), static_cast<std::uint8_t>(core)}, preemptions);
                }
            }
        }
    }
}

void Exploration::explore_randomly(std::size_t schedules) {
    const std::size_t wanted = explored_.schedules + schedules;
    const std::size_t about_how_long = longest_;
    // Few schedules may be all that there are.
    const std::size_t most_turns = explored_.exhausted ? std::max<std::size_t>(explored_.runs / 4, 1000)
                                                       : std::max<std::size_t>(explored_.runs, 2000);
    for (std::size_t turn = 0;
         turn < std::min(4 * schedules, most_turns) && explored_.schedules < wanted && !out_of_time(limits_.deadline);
         ++turn) {
        const std::uint64_t seed = mix(limits_.seed, turn) >> 16;
        Random strategy(seed, about_how_long);
        run(strategy, [&] { return "random:" + std::to_string(seed) + "/" + std::to_string(about_how_long); });
    }
}

Explored Exploration::explore() {
    const std::uint64_t revocations = revocations_gathered;
    const auto now = Clock::now();
    const bool bounded = limits_.deadline != Clock::time_point::max();
    const std::size_t random = limits_.random ? limits_.schedules / 4 : 0;
    const auto first_end = bounded && limits_.random ? limits_.deadline - (limits_.deadline - now) / 4 : limits_.deadline;
    explore_systematically(limits_.schedules - random, first_end);
    explore_randomly(random);
    explore_systematically(limits_.schedules, limits_.deadline);
    explored_.revokes = revocations_gathered != revocations;
    return explored_;
}

bool Exploration::replay(const std::string& name) {
    Simulation::instance().prints_steps = true;
    if (name.starts_with("choices:")) {
        Choices choices;
        if (!parse(name, choices)) {
            return false;
        }
        Systematic strategy(choices);
        run(strategy, [&] { return name; });
        return true;
    }
    const char* from = name.c_str() + std::string("random:").size();
    const char* const end = name.c_str() + name.size();
    std::uint64_t seed = 0;
    std::size_t about_how_long = 0;
    if (!name.starts_with("random:") || !parse(from, end, seed) || from == end || *from++ != '/' ||
        !parse(from, end, about_how_long) || from != end) {
        return false;
    }
    Random strategy(seed, about_how_long);
    run(strategy, [&] { return name; });
    return true;
}

}  // namespace page_map_lab::explorer
