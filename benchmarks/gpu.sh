#!/usr/bin/env bash
# Everything that needs a GPU, on a bare machine without a network: installs what was carried along, builds base models
# of real shapes from their configs, runs the GPU tests and the benchmarks, and keeps their results.
#
#   benchmarks/gpu.sh fetch [NAME]    here: download the wheels that the other machine lacks into NAME.tar.xz
#   benchmarks/gpu.sh [NAME]          there: everything; results go to benchmarks/results and to $OUT where that is set
#   benchmarks/gpu.sh quick [NAME]    there: tests and one short benchmark, to see that it works
set -euo pipefail
cd "$(dirname "$0")/.."

mode=all
case "${1:-}" in fetch | quick) mode=$1; shift ;; esac
wheels=${1:-wheels}

if [ "$mode" = fetch ]; then
    mkdir -p "$wheels"
    # torch, transformers, peft and accelerate are there already; what they need as well.
    python3 -m pip download --quiet --only-binary=:all: --no-deps --dest "$wheels" -r <(
        grep -iE '^(trl|datasets|bitsandbytes|textual|sqlite-utils|sqlite-fts4|platformdirs|pydantic|pydantic.core|typer|tomli.w|ftfy|orjson|py3langid|rensa|tiktoken|nvidia-ml-py|pyarrow|dill|multiprocess|xxhash|httpx|httpcore|h11|anyio|starlette|uvicorn|click.default.group|rich|markdown-it-py|mdurl|mdit-py-plugins|linkify-it-py|uc-micro-py|typing.inspection|annotated-types|shellingham|wcwidth|pandas|pytest|pytest-asyncio|pytest-timeout|pytest-xdist|execnet|iniconfig|pluggy|hypothesis|sortedcontainers|tabulate|jinja2|markupsafe|regex)==' constraints.txt
    )
    # What is large and not needed there stays behind: the libraries for other CUDA versions, Arrow's servers and headers,
    # tests that come with packages. The rest has to fit into what can be carried.
    python3 - "$wheels" <<'PY'
import re
import sys
import zipfile
from pathlib import Path

LEFT_OUT = re.compile(
    r"libbitsandbytes_(?!cuda13|cpu)\w+\.so$|pyarrow/(include|tests|src)/|(flight|gandiva)[\w.-]*\.so(\.\d+)?$"
    r"|/tests?/|\.pyx$|\.pxd$"
)
for path in Path(sys.argv[1]).glob("*.whl"):
    with zipfile.ZipFile(path) as old:
        names = [name for name in old.namelist() if not LEFT_OUT.search(name)]
        cuda = sorted(name for name in names if re.search(r"libbitsandbytes_cuda\d+\.so$", name))
        names = [name for name in names if name not in cuda[:-1]]  # the newest of them is enough
        draft = path.with_suffix(".slim")
        with zipfile.ZipFile(draft, "w") as new:  # not packed: all of them together pack better
            for name in names:
                new.writestr(old.getinfo(name), old.read(name), zipfile.ZIP_STORED)
    draft.replace(path)
PY
    XZ_OPT="-6 -T0" tar -C "$wheels" -cJf "$wheels.tar.xz" .
    rm -r "$wheels"
    du -sh "$wheels.tar.xz"
    exit
fi

python3 -m venv --system-site-packages /tmp/finetui-gpu
. /tmp/finetui-gpu/bin/activate
mkdir -p /tmp/wheels
tar -C /tmp/wheels -xJf "$wheels.tar.xz"
pip install --quiet --no-index --no-deps /tmp/wheels/*.whl
pip install --quiet --no-index --no-deps --no-build-isolation -e . 2>/dev/null || export PYTHONPATH=$PWD
export HF_HUB_OFFLINE=1 FINETUI_HOME=${FINETUI_HOME:-/tmp/finetui-home}
nvidia-smi
python -c 'from tui.cli import main; raise SystemExit(main(["doctor"]))' || true

status=0
python -m pytest -m gpu -q tests || [ $? -eq 5 ] || status=1
if [ "$mode" = quick ]; then
    python -m benchmarks.training --rows 200 --lengths skewed --base /tmp/bases/qwen-1.5b || status=1
    python -m benchmarks.memory --bases /tmp/bases --cases 2 || status=1
else
    python -m benchmarks.training --base /tmp/bases/qwen-1.5b || status=1
    python -m benchmarks.memory --bases /tmp/bases || status=1
    python -m benchmarks.telemetry || status=1
    python -m benchmarks.serving || status=1
    python -m benchmarks.evaluation || status=1
fi
if [ -n "${OUT:-}" ]; then cp benchmarks/results/*-gpu.json "$OUT"/; fi
exit $status
