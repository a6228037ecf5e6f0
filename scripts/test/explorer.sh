#!/bin/bash
# the interleaving explorer: the page map on simulated cores in every order that matters, and mutants that it must find
set -euo pipefail
source scripts/test/common.sh

seed=42
folder=build/dev/tests/explorer
build_preset dev explorer explorer_mutants

field() { sed -n "s/^$2: //p" "$1"; } # mutant name

# What a report says is wrong: its violation, and the check of the page map where one failed.
wrong_in() { grep -oE '^violation: .*|check failed: .*' <<< "$1"; } # report

# is_found EXPECTED ARGUMENT…: whether a mutant is found by the violation that it expects, and again by the schedule that its
# report names.
is_found() {
    local expected=$1 report wrong again
    shift
    if report=$("$@" 2>&1) || ! wrong=$(wrong_in "$report"); then return 1; fi
    if ! grep -qF "$expected" <<< "$wrong"; then
        echo "explorer: $(basename "$1") breaks another rule than the one expected, '$expected': $wrong" >&2
        return 1
    fi
    local replay
    read -r -a replay <<< "$(sed -n 's/^ *replay: //p' <<< "$report")"
    again=$("$1" "${replay[@]}" 2>&1) || true
    if [ "$(wrong_in "$again")" != "$wrong" ]; then
        echo "explorer: the schedule ${replay[*]} of $(basename "$1") does not replay" >&2
        return 1
    fi
}

# Says the mutant's name where it is found in as many schedules as it allows.
search() { # mutant
    local name
    name=$(basename "$1" .mutant)
    if is_found "$(field "$1" expect)" "$folder/explorer_mutant_$name" --scenario "$(field "$1" scenario)" --schedules "$(field "$1" schedules)" --seed "$seed"; then
        echo "$name"
    else
        echo "explorer: the mutant $name is not found in $(field "$1" schedules) schedules of its scenario" >&2
    fi
}

echo "== explorer: mutants"
mutants=(tests/explorer/mutants/*.mutant)
planted=${#mutants[@]}
export -f search is_found wrong_in field
export folder seed
found=$(printf '%s\n' "${mutants[@]}" | xargs -P "$(nproc)" -I '{}' bash -c 'search {}' | wc -l)
# Without preemptions the systematic part is blind: this one is found, and replays, by a random seed, as a page that is removed
# while it is held: its put meets an empty slot.
if ! is_found 'a reference is put once' "$folder/explorer_mutant_find_keeps_the_mark" --scenario remove_against_find --preemptions 0 --seed "$seed"; then
    echo "explorer: no random schedule finds the mutant find_keeps_the_mark, or it does not replay" >&2
    found=-1
fi

# What ends where it has been before must find as many schedules as what runs each to its end, and what cannot remember every
# state must not say that it has seen them all.
explored() { "$folder/explorer" --variant layout:radix/read:rcu/shootdown:batched --scenario "$1" --schedules 100000 --systematic "${@:2}"; }
for scenario in remove_against_insert writeback_around_a_hole; do
    remembered=$(explored "$scenario")
    all=$(explored "$scenario" --states 0)
    few=$(explored "$scenario" --states 100 --all 2> /dev/null) && few="$few, and that is enough"
    if [ "${remembered%% in *}" != "${all%% in *}" ] || [[ "$remembered" != *", exhausted 1 of 1 "* || "$few" != *", exhausted 0 of 1 "*" seed 42" ]]; then
        printf 'explorer: %s: these contradict each other:\n%s\n%s\n%s\n' "$scenario" "$remembered" "$all" "$few" >&2
        found=-1
    fi
done

echo "== explorer: exploring"
amount=(--schedules 1000) # without a bound of time: what is reached does not depend on the machine
[ -z "$PAGE_MAP_LAB_TEST_MINUTES" ] || amount=(--schedules 100000 --seconds $((PAGE_MAP_LAB_TEST_MINUTES * 60)))
figures=$("$folder/explorer" "${amount[@]}" --all --processes "$(nproc)" --seed "$seed") || { echo "$figures"; exit 1; }
echo "explorer: $figures, mutants found $found of $planted, all replayed"
[ "$found" = "$planted" ]
