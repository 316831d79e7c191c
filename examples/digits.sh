#!/bin/sh
# sh examples/digits.sh [option...]: installs what is needed and trains the digit classifier.
# The options are those of examples/digits.py.
set -eu
cd "$(dirname "$0")/.."
sh tools/setup.sh examples
exec .venv/bin/python examples/digits.py "$@"
