#!/bin/bash
# Installs the Debian packages that are missing: `scripts/install.sh build|run|test|guest`. With root or sudo it installs
# them; without, it says what is missing and fails. Prints nothing when nothing is missing.
set -euo pipefail

build=(g++ cmake ninja-build pkg-config git ccache
    libbenchmark-dev libhwloc-dev libpfm4-dev libjemalloc-dev liburcu-dev
    nlohmann-json3-dev libcli11-dev libgtest-dev libgmock-dev libexpected-dev)
scripts=(python3 python3-numpy python3-scipy python3-matplotlib python3-jinja2 python3-jsonschema)
tests=(python3-pytest python3-pytest-xdist python3-hypothesis strace clang-16 libclang-rt-16-dev libbenchmark-tools spin linux-perf chromium)
guest=(qemu-system-x86 busybox-static)

case "${1:-run}" in
    build) wanted=("${build[@]}") ;;
    run) wanted=("${build[@]}" "${scripts[@]}") ;;
    test) wanted=("${build[@]}" "${scripts[@]}" "${tests[@]}") ;;
    guest) wanted=("${guest[@]}") ;;
    *) echo "install.sh: unknown set '$1': use build, run, test or guest" >&2; exit 2 ;;
esac

if ! command -v dpkg-query > /dev/null; then
    echo "install.sh: this is not Debian: install the equivalents of ${wanted[*]}, then try again" >&2
    exit 2
fi
missing=()
for package in "${wanted[@]}"; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2> /dev/null)" = installed ] || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

if [ "$(id -u)" = 0 ]; then
    as_root=(env DEBIAN_FRONTEND=noninteractive)
elif command -v sudo > /dev/null && sudo -n true 2> /dev/null; then
    as_root=(sudo -n env DEBIAN_FRONTEND=noninteractive)
else
    echo "install.sh: missing packages, and no root to install them: sudo apt-get install ${missing[*]}" >&2
    exit 2
fi
log=$(mktemp)
echo "installing ${missing[*]}" >&2
if ! { "${as_root[@]}" apt-get update -qq \
    && "${as_root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}"; } > "$log" 2>&1; then
    echo "install.sh: apt-get failed ($(grep -m 1 '^E:' "$log" || tail -n 1 "$log")): see $log" >&2
    exit 2
fi
rm -f "$log"
