#!/bin/bash
# the C++ tests under ThreadSanitizer, but those of the harness that have one thread: they are unit's and asan's
set -euo pipefail
source scripts/test/common.sh

# Faults are synchronous, so that serving one may allocate and lock: not what "signal-unsafe" means.
export TSAN_OPTIONS=allow_user_segv_handler=1:handle_segv=0:report_signal_unsafe=0:halt_on_error=1
unit_tests tsan bench_harness
