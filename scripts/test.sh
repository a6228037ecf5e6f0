#!/bin/bash
# From a fresh clone to tested: installs what is missing, builds, runs every test. `--only NAME` runs one part:
#   unit    the C++ tests with every debug-only check on (preset dev)
#   asan    the same under AddressSanitizer and UndefinedBehaviorSanitizer
#   tsan    the same under ThreadSanitizer
#   python  the tests of the scripts
#   lint    the structure: layer order, names, file sizes (these are Python tests, too)
# No test's verdict depends on how fast the machine is.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."

parts=(lint unit python asan tsan)
usage() {
    echo "test.sh: $1: use scripts/test.sh [--only NAME], NAME one of ${parts[*]}" >&2
    exit 2
}
lint='lint or structure or layer_order' # how the tests of the structure are named
only=
while [ $# -gt 0 ]; do
    case "$1" in
        --only) only=${2:-}; shift ;;
        --only=*) only=${1#--only=} ;;
        -h | --help) sed -n '2,8s/^# \{0,1\}//p' "$0"; exit 0 ;;
        *) usage "unknown argument '$1'" ;;
    esac
    [ $# -eq 0 ] || shift
    [[ " ${parts[*]} " == *" $only "* ]] || usage "unknown part '$only'"
done

scripts/install.sh test
if [ ! -e /sys/kernel/tracing/events ] && [ "$(id -u)" = 0 ]; then
    mount -t tracefs nodev /sys/kernel/tracing 2> /dev/null || true
fi

# The test binaries of the C++ parts: one for each folder of tests, as tests/CMakeLists.txt makes them.
test_targets() {
    find tests -name '*.cpp' -not -path '*/scripts/*' -printf '%h\n' | sort -u | sed 's,^tests/,test_,; s,/,_,g'
}

# ThreadSanitizer of GCC 12 does not know address spaces as random as those of new kernels.
without_randomness() {
    if setarch -R true 2> /dev/null; then setarch -R "$@"; else "$@"; fi
}

cpp() { # preset
    local log="build/$1/test-build.log" targets
    mapfile -t targets < <(test_targets)
    mkdir -p "build/$1"
    echo "== $1: building"
    if ! { cmake --preset "$1" && cmake --build --preset "$1" --parallel "$(nproc)" --target "${targets[@]}"; } > "$log" 2>&1; then
        grep -m 5 -E 'error|Error|FAILED' "$log" >&2 || tail -n 5 "$log" >&2
        echo "test.sh: the preset $1 does not build: see $log" >&2
        return 1
    fi
    echo "== $1: testing"
    without_randomness ctest --test-dir "build/$1" --parallel "$(nproc)" --output-on-failure --no-tests=error --progress \
        | grep -v -E '^ *[0-9]+/[0-9]+ Test.* Passed|^ +Start |^$' || return 1
}

run_part() {
    case "$1" in
        unit) cpp dev ;;
        asan) ASAN_OPTIONS=allow_user_segv_handler=1:handle_segv=0 UBSAN_OPTIONS=print_stacktrace=1 cpp asan-ubsan ;;
        # Faults are synchronous, so that serving one may allocate and lock: not what "signal-unsafe" means.
        tsan) TSAN_OPTIONS=allow_user_segv_handler=1:handle_segv=0:report_signal_unsafe=0:halt_on_error=1 cpp tsan ;;
        lint) /usr/bin/python3 -m pytest -q -p no:cacheprovider tests/scripts -k "$lint" ;;
        python) /usr/bin/python3 -m pytest -q -p no:cacheprovider tests/scripts -k "not ($lint)" ;;
    esac
}

failed=()
for part in ${only:-"${parts[@]}"}; do
    echo "== $part"
    run_part "$part" || failed+=("$part")
done
if [ ${#failed[@]} -gt 0 ]; then
    echo "test.sh: failed: ${failed[*]}: scripts/test.sh --only ${failed[0]} runs it alone" >&2
    exit 1
fi
