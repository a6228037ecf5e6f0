#!/bin/bash
# the C++ tests that have threads, under ThreadSanitizer
set -euo pipefail
source scripts/test/common.sh

# Faults are synchronous, so that serving one may allocate and lock: not what "signal-unsafe" means.
# Each of the worker processes would sleep for a second before it ends, for races of threads that go on: none has any.
export TSAN_OPTIONS=atexit_sleep_ms=0:allow_user_segv_handler=1:handle_segv=0:report_signal_unsafe=0:halt_on_error=1
unit_tests tsan impl_{platform,store,page_map} variants bench_{harness_threads,workloads}
