#!/bin/bash
# the C++ tests with every debug-only check on (preset dev)
set -euo pipefail
source scripts/test/common.sh

unit_tests dev
