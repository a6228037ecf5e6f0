#!/bin/bash
# the Promela models, searched through, and what is taken out of them found (spin)
set -euo pipefail
source scripts/test/common.sh

/usr/bin/python3 tests/model/check.py
