#!/usr/bin/env bash
# Set up, then check everything: style, types, and all tests, those on several ranks included, on two processes.
#
#   bash scripts/test.sh [arguments of pytest]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
bash scripts/setup.sh
.venv/bin/ruff check .
.venv/bin/mypy
exec .venv/bin/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder "$@"
