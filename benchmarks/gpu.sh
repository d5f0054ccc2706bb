#!/usr/bin/env bash
# Everything that needs a GPU, on a bare machine without a network: installs what was carried along, builds base models
# of real shapes from their configs, runs the GPU tests and the benchmarks, and keeps their results.
#
#   benchmarks/gpu.sh fetch [FOLDER]    here: download the wheels that the other machine lacks
#   benchmarks/gpu.sh [FOLDER]          there: everything; results go to benchmarks/results and to $OUT where that is set
#   benchmarks/gpu.sh quick [FOLDER]    there: tests and one short benchmark, to see that it works
set -euo pipefail
cd "$(dirname "$0")/.."

mode=all
case "${1:-}" in fetch | quick) mode=$1; shift ;; esac
wheels=${1:-wheels}

if [ "$mode" = fetch ]; then
    mkdir -p "$wheels"
    # torch, transformers, peft and accelerate are there already; what they need as well.
    python3 -m pip download --quiet --only-binary=:all: --no-deps --dest "$wheels" -r <(
        grep -iE '^(trl|datasets|bitsandbytes|textual|sqlite-utils|sqlite-fts4|platformdirs|pydantic|pydantic.core|typer|tomli.w|ftfy|orjson|py3langid|rensa|tiktoken|tokenizers|nvidia-ml-py|psutil|pyarrow|dill|multiprocess|xxhash|httpx|httpcore|h11|anyio|starlette|uvicorn|optuna|alembic|sqlalchemy|colorlog|mako|greenlet|click.default.group|rich|markdown-it-py|mdurl|mdit-py-plugins|linkify-it-py|uc-micro-py|typing.inspection|annotated-types|shellingham|wcwidth|pandas|pytest|pytest-asyncio|pytest-timeout|pytest-xdist|execnet|iniconfig|pluggy|hypothesis|sortedcontainers|pyyaml|tabulate|jinja2|markupsafe|regex|numpy)==' constraints.txt
    )
    # bitsandbytes brings a library for each CUDA; the newest one is enough, and 4 MB instead of 60.
    wheel=$(ls "$wheels"/bitsandbytes-*.whl)
    python3 - "$wheel" <<'PY'
import re, sys, zipfile
from pathlib import Path

path = Path(sys.argv[1])
draft = path.with_suffix(".slim")
with zipfile.ZipFile(path) as old, zipfile.ZipFile(draft, "w", zipfile.ZIP_DEFLATED) as new:
    names = [name for name in old.namelist() if re.search(r"libbitsandbytes_\w+\.so$", name)]
    newest = max((name for name in names if "cuda13" in name), default=None)
    for name in old.namelist():
        if name in names and name != newest and "_cpu" not in name:
            continue
        new.writestr(old.getinfo(name), old.read(name))
draft.replace(path)
PY
    du -sh "$wheels"
    exit
fi

python3 -m venv --system-site-packages /tmp/finetui-gpu
. /tmp/finetui-gpu/bin/activate
pip install --quiet --no-index --no-deps "$wheels"/*.whl
pip install --quiet --no-index --no-deps --no-build-isolation -e . 2>/dev/null || export PYTHONPATH=$PWD
export HF_HUB_OFFLINE=1 FINETUI_HOME=${FINETUI_HOME:-/tmp/finetui-home}
nvidia-smi
python -m tui.cli doctor || python -c 'from tui.cli import main; main(["doctor"])' || true

status=0
python -m pytest -m gpu -q tests || [ $? -eq 5 ] || status=1
if [ "$mode" = quick ]; then
    python -m benchmarks.training --rows 200 --lengths skewed --base /tmp/bases/qwen-1.5b || status=1
    python -m benchmarks.memory --bases /tmp/bases --cases 2 || status=1
else
    python -m benchmarks.training --base /tmp/bases/qwen-1.5b || status=1
    python -m benchmarks.memory --bases /tmp/bases || status=1
    python -m benchmarks.telemetry || status=1
fi
if [ -n "${OUT:-}" ]; then cp benchmarks/results/*-gpu.json "$OUT"/; fi
exit $status
