#!/usr/bin/env bash
# Set up, then check everything: style, types, and all tests, those on several ranks included, on two processes.
#
#   bash scripts/test.sh [arguments of pytest]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
bash scripts/setup.sh
.venv/bin/ruff check .
.venv/bin/ruff format --check .
.venv/bin/mypy

# Lines that ran, counted by instructions that remove themselves: some seconds, where a tracer takes a fifth of the time.
# Commands in processes of their own, and ranks, are not counted.
mkdir -p results
python=$PWD/.venv/bin/python counted=$PWD/results/coverage.json code=0
"$python" -m slipcover --source hpcpinn --json --out "$counted" \
    -m pytest -n 2 --dist loadfile --no-loadscope-reorder "$@" || code=$?
"$python" -c 'import json, sys
print("coverage: {percent_covered:.1f} % of the lines of hpcpinn ran".format(**json.load(open(sys.argv[1]))["summary"]))' \
    "$counted" || true
exit $code
