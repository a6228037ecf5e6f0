#!/bin/bash
# the C++ tests under AddressSanitizer and UndefinedBehaviorSanitizer
set -euo pipefail
source scripts/test/common.sh

export ASAN_OPTIONS=allow_user_segv_handler=1:handle_segv=0 UBSAN_OPTIONS=print_stacktrace=1
unit_tests asan-ubsan
