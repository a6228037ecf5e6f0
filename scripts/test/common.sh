# What the parts of scripts/test.sh share; sourced by them, from the root of the clone.

# build_preset PRESET TARGET…: configures and builds; the log stays in the build folder, its first errors are shown.
build_preset() {
    local preset=$1 log="build/$1/test-build.log"
    mkdir -p "build/$preset"
    echo "== $preset: building"
    if ! { cmake --preset "$preset" \
        && cmake --build --preset "$preset" --parallel "$(nproc)" --target "${@:2}"; } > "$log" 2>&1; then
        grep -m 5 -E 'error|Error|FAILED' "$log" >&2 || tail -n 5 "$log" >&2
        echo "test.sh: the preset $preset does not build: see $log" >&2
        return 1
    fi
}

# ThreadSanitizer of GCC 12 does not know address spaces as random as those of new kernels.
without_randomness() {
    if setarch -R true 2> /dev/null; then setarch -R "$@"; else "$@"; fi
}

# unit_tests PRESET NAME…: builds the unit tests of these names, as tests/CMakeLists.txt has them, and runs them.
unit_tests() {
    local targets=("${@:2}")
    targets=("${targets[@]/#/test_}")
    build_preset "$1" "${targets[@]}"
    echo "== $1: testing"
    # One more than there are processors: most wait for threads and processes of theirs part of the time.
    without_randomness ctest --test-dir "build/$1" -R "^($(IFS='|' && echo "${targets[*]}"))_[0-9]\$" --parallel "$(($(nproc) + 1))" \
        --output-on-failure --no-tests=error --progress | grep -v -E '^ *[0-9]+/[0-9]+ Test.* Passed|^ +Start |^$'
}

lint_tests='lint or structure or layer_order' # how the tests of the structure are named
python_tests() { # selection, and what else pytest is told
    # Tests that share what is dear to make are groups. What was compiled once is there for every process that they start.
    PYTHONDONTWRITEBYTECODE='' /usr/bin/python3 -m pytest -q -p no:cacheprovider -n "$(nproc)" --dist loadgroup tests/scripts \
        -k "$1" "${@:2}"
}
