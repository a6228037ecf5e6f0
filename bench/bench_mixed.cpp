#include "bench/workloads/mixed.hpp"

int main(int argc, char** argv) {
    return page_map_lab::bench::workload_main(argc, argv, page_map_lab::bench::mixed_workload());
}
