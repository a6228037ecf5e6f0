// The read paths of the catalog on the simulated machine.
//
// The locked one runs as it is. Those of liburcu wait for real threads, so each has a stand-in with sections and grace
// periods of the simulation; Rcu itself is the real one. Flavours that behave alike share one.
#pragma once

#include <string_view>

#include "tests/explorer/simulated_machine.hpp"
#include "variants/catalog.hpp"

namespace page_map_lab::explorer {

/// Stands for the flavours whose sections announce themselves.
struct SimulatedRcu {
    static constexpr std::string_view name = "rcu";
    template <class Machine>
    using On = Rcu<Machine, SectionsAnnounced>;
};

/// Stands for rcu_qsbr.
struct SimulatedQsbr {
    static constexpr std::string_view name = "rcu_qsbr";
    template <class Machine>
    using On = Rcu<Machine, QuiescentStates>;
};

/// What runs here in the place of a read path of the catalog.
template <class ReadPathPolicy>
struct StandIn;
template <>
struct StandIn<Spinlock> {
    using type = Spinlock;
};
template <>
struct StandIn<RcuMemb> {
    using type = SimulatedRcu;
};
template <>
struct StandIn<RcuMb> {
    using type = SimulatedRcu;
};
template <>
struct StandIn<RcuBp> {
    using type = SimulatedRcu;
};
template <>
struct StandIn<RcuQsbr> {
    using type = SimulatedQsbr;
};

using StandIns = TypeList<Spinlock, SimulatedRcu, SimulatedQsbr>;

template <class ReadPathPolicy>
inline constexpr bool has_stand_in = requires { typename StandIn<ReadPathPolicy>::type; };

template <class... ReadPathPolicies>
consteval bool all_have_stand_ins(TypeList<ReadPathPolicies...>) {
    return (has_stand_in<ReadPathPolicies> && ...);
}
static_assert(all_have_stand_ins(ReadPaths{}), "a read path of the catalog is not explored: give it a StandIn here");

}  // namespace page_map_lab::explorer
