# Two commands matter: `make demo` and `make test`. Both make .venv first; nothing else is needed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PIP := python -m pip install --quiet --no-compile --disable-pip-version-check
KILLS ?= 1000
SEED ?= 1
MINUTES ?= 60

# Hundreds of processes are started by the tests: each would compile its modules again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: venv demo test pytest soak fuzz check format bench pictures clean

venv: $(STAMP)

# torch goes first and pinned: a looser requirement would fetch gigabytes of CUDA on a machine without a GPU. pip would
# compile every file on one core, tests of packages, too; what is compiled here and cannot be is for later Pythons.
$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/$(PIP) "torch==2.13.0"
	$(BIN)/$(PIP) -c constraints.txt -e ".[train,dev]"
	$(BIN)/python -m compileall -q -j 0 -x '/tests?/' $(VENV)/lib >/dev/null || true
	touch $(STAMP)

demo: venv
	$(BIN)/finetui demo

check: venv
	$(BIN)/ruff format --no-cache --check .
	$(BIN)/ruff check --no-cache .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

# The checks run beside the tests: alone they would leave a core idle for a minute.
test: venv
	$(MAKE) --no-print-directory -j 2 check pytest

# In the order of the folders: the acceptance file, which takes longest, begins first. As nice as can be: runs that train
# on the processor are nicer than what starts them, and the tests that wait for them would keep them from it.
pytest: venv
	nice -n 19 $(BIN)/python -m pytest -n 4 --dist loadfile --no-loadscope-reorder

# What takes longer: a thousand kills at random moments, then the tests that last for minutes or that others stand for.
soak: venv
	$(BIN)/python -m tests.faults.soak --kills $(KILLS) --seed $(SEED) --minutes $(MINUTES)
	$(BIN)/python -m pytest -m long

# Inputs of every kind into everything that reads files, other ones at each turn.
fuzz: venv
	$(BIN)/python -m tests.fuzz.long --minutes $(MINUTES)

format: venv
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: venv
	$(BIN)/python -m benchmarks.startup
	$(BIN)/python -m benchmarks.ingest
	$(BIN)/python -m benchmarks.datasets
	$(BIN)/python -m benchmarks.telemetry
	$(BIN)/python -m benchmarks.training
	$(BIN)/python -m benchmarks.responsiveness
	$(BIN)/python -m benchmarks.viewing
	$(BIN)/python -m benchmarks.serving
	$(BIN)/python -m benchmarks.evaluation
	$(BIN)/python -m benchmarks.load

pictures: venv
	$(BIN)/python docs/make_pictures.py

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
