#!/bin/bash
# everything that reads a file or text of others, fed with nonsense (--minutes: that long, or 10 million times, for each target)
set -euo pipefail
source scripts/test/common.sh

targets=(trace iolog interrupts placement command_line)
executions=100000 # of each target in the short form, which ends after a quarter of a minute, too
declare -A longest=([trace]=4096 [iolog]=4096 [interrupts]=2048 [placement]=256 [command_line]=1024) # bytes
minutes=${PAGE_MAP_LAB_TEST_MINUTES:-}
bound=(-runs=$executions -max_total_time=15)
[ -z "$minutes" ] || bound=(-runs=10000000 -max_total_time=$((60 * minutes)))

build_preset fuzz "${targets[@]/#/fuzz_}"
work=build/fuzz/work
mkdir -p "$work"

fuzz() { # target: leaves its log, and what broke it, in the build folder
    local target=$1 dictionary=() folder="$work/$1"
    mkdir -p "$folder/found" "$folder/artifacts"
    [ ! -e "tests/fuzz/$target.dict" ] || dictionary=(-dict="tests/fuzz/$target.dict")
    ASAN_OPTIONS=detect_leaks=1 "build/fuzz/tests/fuzz/fuzz_$target" "${bound[@]}" "${dictionary[@]}" -seed="${SEED:-$RANDOM}" \
        -max_len="${longest[$target]}" -rss_limit_mb=1024 -timeout=60 -print_final_stats=1 -verbosity=0 \
        -artifact_prefix="$folder/artifacts/" "$folder/found" "tests/fuzz/corpus/$target" > "$folder/log" 2>&1 \
        && echo "nothing found" >> "$folder/log"
}

failed=()
running=()
for target in "${targets[@]}"; do
    fuzz "$target" &
    running+=($!)
    if [ ${#running[@]} -ge "$(nproc)" ]; then
        wait "${running[0]}" || true
        running=("${running[@]:1}")
    fi
done
wait

total=0
for target in "${targets[@]}"; do
    done_now=$(sed -n 's/^stat::number_of_executed_units: *//p' "$work/$target/log")
    if [ -z "$done_now" ] || ! grep -q '^nothing found' "$work/$target/log"; then
        failed+=("$target")
        echo "fuzz: $target: $(grep -m 1 -E 'ERROR|finding|SUMMARY' "$work/$target/log"): see $work/$target/log" >&2
    fi
    echo "$target: ${done_now:-0} executions"
    total=$((total + ${done_now:-0}))
done

echo "== what the scripts read"
examples=0
scripts_read() { # what else pytest is told
    python_tests untrusted --hypothesis-show-statistics "$@" > "$work/scripts.log" 2>&1 || { tail -n 60 "$work/scripts.log"; return 1; }
    examples=$((examples + $(sed -n 's/.* \([0-9]*\) passing examples.*/\1/p' "$work/scripts.log" | paste -sd+) + 0))
}
if [ -z "$minutes" ]; then
    scripts_read || failed+=(scripts)
fi
end=$((SECONDS + 60 * ${minutes:-0}))
while [ $SECONDS -lt $end ]; do
    seed=${SEED:-$RANDOM$RANDOM}
    scripts_read --hypothesis-seed="$seed" || { failed+=("scripts, with --hypothesis-seed=$seed") && break; }
    [ -z "${SEED:-}" ] || break
done
echo "scripts: $examples executions"
properties=$(/usr/bin/python3 -m pytest -q -p no:cacheprovider --collect-only tests/scripts -k untrusted | grep -c '::' || true)

[ ${#failed[@]} -eq 0 ] || printf 'fuzz: failed: %s\n' "${failed[@]}" >&2
echo "fuzz: targets ${#targets[@]} and $properties properties, executions $total and $examples, findings ${#failed[@]}"
[ ${#failed[@]} -eq 0 ]
