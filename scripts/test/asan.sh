#!/bin/bash
# the C++ tests under AddressSanitizer and UndefinedBehaviorSanitizer, but those of the harness that have one thread
set -euo pipefail
source scripts/test/common.sh

export ASAN_OPTIONS=allow_user_segv_handler=1:handle_segv=0 UBSAN_OPTIONS=print_stacktrace=1
unit_tests asan-ubsan impl_{core,platform,store,page_map} variants bench_{harness_threads,workloads}
