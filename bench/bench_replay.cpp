#include "bench/workloads/replay.hpp"

int main(int argc, char** argv) {
    return page_map_lab::bench::workload_main(argc, argv, page_map_lab::bench::replay_workload());
}
