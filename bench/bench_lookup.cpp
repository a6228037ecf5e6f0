#include "bench/workloads/lookup.hpp"

int main(int argc, char** argv) {
    return page_map_lab::bench::workload_main(argc, argv, page_map_lab::bench::lookup_workload());
}
