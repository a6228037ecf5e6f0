#include "tests/explorer/simulated_machine.hpp"

namespace page_map_lab::explorer {

Readers& Readers::instance() {
    static Readers readers;
    return readers;
}

bool Readers::reading() const { return readers_[Simulation::instance().core()].depth != 0; }

void Readers::enter(const std::source_location& where) {
    Reader& own = readers_[Simulation::instance().core()];
    Simulation::instance().arrive(&own, where);
    Simulation::instance().record("reads from now on", {{&own, true}}, where);
    ++own.depth;
}

void Readers::leave(const std::source_location& where) {
    Reader& own = readers_[Simulation::instance().core()];
    Simulation::instance().arrive(&own, where);
    Simulation::instance().record("reads no more", {{&own, true}}, where);
    if (--own.depth == 0) {
        ++own.stops;
    }
}

void Readers::pause(const std::source_location& where) {
    Reader& own = readers_[Simulation::instance().core()];
    Simulation::instance().arrive(&own, where);
    Simulation::instance().record("is quiescent", {{&own, true}}, where);
    ++own.stops;
}

void Readers::wait_for_others(const std::source_location& where) {
    Simulation& simulation = Simulation::instance();
    if (reading()) {
        simulation.violation("a grace period is awaited inside a read section");
    }
    std::array<Touch, max_cores + 1> touches{};
    for (unsigned core = 0; core < touches.size(); ++core) {
        touches[core] = {&readers_[core], false};
    }
    simulation.arrive(this, where);
    simulation.record("grace period begins", touches, where);
    const std::array<Reader, max_cores + 1> then = readers_;
    const auto ended = [&] {
        for (unsigned core = 0; core < then.size(); ++core) {
            if (then[core].depth != 0 && readers_[core].stops == then[core].stops) {
                return false;
            }
        }
        return true;
    };
    simulation.wait_until("a grace period", ended, where);
    simulation.record("grace period ends", touches, where);
}

}  // namespace page_map_lab::explorer
