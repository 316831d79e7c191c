#!/bin/sh
# sh tools/setup.sh EXTRA: makes .venv in the checkout and installs Stepwell in it with that extra
# of pyproject.toml; on a machine without any WebGPU adapter also Mesa's software Vulkan. What is
# there already stays. PYTHON names the interpreter to use.
set -eu
cd "$(dirname "$0")/.."
extra="$1"
stamp=".venv/installed-$extra"

say() { echo "setup: $*" >&2; }

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

system_packages() {
  command -v apt-get >/dev/null || { say "no apt-get here; install by hand: $*"; return 1; }
  say "installing $* with apt-get"
  as_root apt-get update -qq
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >&2
}

recent() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

# An adapter over OpenGL is not enough: it lacks features, and is far slower than Vulkan on a CPU.
has_adapter() {
  .venv/bin/python -c 'import sys; from stepwell.backends.device import adapters; sys.exit(all(a.backend.startswith("OpenGL") for a in adapters()))'
}

if [ ! -x .venv/bin/pip ]; then
  python=
  for candidate in ${PYTHON:-python3 python3.11 python3.12 python3.13 python3.14}; do
    if recent "$candidate"; then python="$candidate"; break; fi
  done
  [ -n "$python" ] || { say "Python 3.11 or later is needed (PYTHON=... names one)"; exit 1; }
  "$python" -c 'import ensurepip' 2>/dev/null || system_packages python3-venv
  say "making .venv with $("$python" --version)"
  "$python" -m venv .venv
fi

if [ ! "$stamp" -nt pyproject.toml ]; then
  say "installing stepwell[$extra]"
  .venv/bin/pip install --quiet --disable-pip-version-check --editable ".[$extra]"
  touch "$stamp"
fi

if ! has_adapter; then
  system_packages mesa-vulkan-drivers || true
  has_adapter || say "still no WebGPU adapter: see 'Devices' in README.md"
fi
