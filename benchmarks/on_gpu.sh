#!/usr/bin/env bash
# Measures the published model's size on a CUDA machine, in under eight minutes, into one JSON.
#
#   bash benchmarks/on_gpu.sh --collect       on a machine with a network: puts wheels into build/wheels
#   bash benchmarks/on_gpu.sh [OPTIONS]       on the CUDA machine, in a copy of this folder; see on_gpu.py
#   bash benchmarks/on_gpu.sh --cpu           the same steps on the CPU at a small size
#
# The CUDA machine needs Python with torch, and may have neither network nor pip. What else is missing
# there is unpacked from build/wheels. PYTHON names another interpreter.
set -euo pipefail
cd "$(dirname "$0")/.."

packages=(annotated-types numpy pillow psutil pydantic pydantic_core safetensors sentencepiece typing_extensions typing-inspection)
modules=(annotated_types numpy PIL psutil pydantic pydantic_core safetensors sentencepiece typing_extensions typing_inspection)

python=${PYTHON:-}
if [ -z "$python" ]; then
  python=python3
  if [ -x .venv/bin/python ]; then python=.venv/bin/python; fi
fi

if [ "${1:-}" = "--collect" ]; then
  exec "$python" -m pip download -q --only-binary :all: --no-deps -c constraints.txt -d build/wheels "${packages[@]}"
fi

if ! "$python" -c "import torch" 2>/dev/null; then
  echo "on_gpu: $python has no torch: set PYTHON to an interpreter that has" >&2
  exit 2
fi

unpacked=$(mktemp -d)
trap 'rm -rf "$unpacked"' EXIT
missing=()
for number in "${!modules[@]}"; do
  if ! "$python" -c "import ${modules[$number]}" 2>/dev/null; then
    name=${packages[$number]//-/_}
    wheel=$(find build/wheels -iname "${name}-*.whl" 2>/dev/null | head -n 1 || true)
    if [ -z "$wheel" ]; then missing+=("${packages[$number]}"); continue; fi
    "$python" -m zipfile -e "$wheel" "$unpacked"
  fi
done
if [ ${#missing[@]} -gt 0 ]; then
  echo "on_gpu: missing: ${missing[*]}; run 'bash benchmarks/on_gpu.sh --collect' on a machine with a network, with the same Python version, and copy build/wheels here" >&2
  exit 2
fi

# Drafts record Wetread's version, which is read from the metadata of an installed package.
if ! "$python" -c "from importlib.metadata import version; version('wetread')" 2>/dev/null; then
  version=$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml | head -n 1)
  mkdir "$unpacked/wetread-$version.dist-info"
  printf 'Metadata-Version: 2.1\nName: wetread\nVersion: %s\n' "$version" > "$unpacked/wetread-$version.dist-info/METADATA"
fi

export PYTHONPATH="$PWD:$PWD/benchmarks:$unpacked"
export PYTHONDONTWRITEBYTECODE=1
"$python" benchmarks/on_gpu.py "$@"
