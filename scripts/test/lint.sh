#!/bin/bash
# the structure: layer order, names, file sizes (these are Python tests, too)
set -euo pipefail
source scripts/test/common.sh

python_tests "$lint_tests"
