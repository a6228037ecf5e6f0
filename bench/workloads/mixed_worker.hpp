// The mixed workload in a worker process: the same loops over the worker's mapping.
//
// Thread safety: one thread of the team a worker; the board is the owner's between jobs.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <span>
#include <stdexcept>
#include <string>

#include "bench/workloads/mixed_loop.hpp"
#include "bench/workloads/worker_victim.hpp"

namespace page_map_lab::bench {

struct MixedBoard {
    static constexpr std::size_t longest_plan = 1U << 14;

    std::uint64_t region_address = 0;
    std::uint64_t versions_address = 0;
    std::uint64_t pages = 0;
    std::uint64_t warm_up_operations = 0;
    std::uint64_t interval_ns = 0;
    int processor = 0;
    std::size_t length = 0;
    std::array<MixedOperation, longest_plan> plan{};

    std::uint64_t operations = 0;
    MixedLog log;
};

/// Calls `work(plan, operate)` with the board's plan and what does one operation of it.
template <class Work>
void with_plan(MixedBoard& board, Work&& work) {
    auto versions = VersionedPages::view(board.pages, reinterpret_cast<std::byte*>(board.versions_address));
    auto* const base = reinterpret_cast<std::byte*>(board.region_address);  // NOLINT: as its owner mapped it
    const std::span<const MixedOperation> plan(board.plan.data(), board.length);
    work(plan, [&](const MixedOperation& operation) {
        use(versions, operation, base + operation.page * page_size, board.log);
        return Status{};
    });
}

inline void warm_up_in_worker(WorkerSide& side) {
    auto& board = side.blackboard<MixedBoard>();
    stay_on(board.processor);
    board.log = MixedLog{};
    with_plan(board, [&](auto plan, auto&& operate) {
        static_cast<void>(warm_up(plan, board.warm_up_operations, operate, [] {}));
    });
}

inline void work_in_worker(WorkerSide& side) {
    auto& board = side.blackboard<MixedBoard>();
    with_plan(board, [&](auto plan, auto&& operate) {
        board.operations = work_through(plan, board.interval_ns, side, board.log, operate, [] {}).value_or(0);
    });
}

}  // namespace page_map_lab::bench
