PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
ARGS   ?=
# Two thirds of the time a test waits for a server: three workers a core keep it busy.
WORKERS ?= $(shell $(PYTHON) -c 'import os; print(3 * (os.cpu_count() or 1))')

# Set where Python writes no byte code: each of some hundred programs and six workers would compile
# aitui and its tests again.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help demo test lowest deployment faults faults-selection soak lint types floors check bench screenshots lock clean

help:
	@echo 'make demo         aitui against a stand-in server on this machine'
	@echo 'make test         every test (ARGS="-k name" passes arguments to pytest)'
	@echo 'make lowest       the tests without a screen and a server, with the lowest versions that pyproject.toml admits'
	@echo 'make deployment   the walk through whole deployments, on three builds of llama-swap'
	@echo 'make faults       every operation with every fault, and the table of what came of it'
	@echo 'make faults-selection  half of them'
	@echo 'make soak         ten minutes in front of a server that never rests'
	@echo 'make check        formatting, lint, types, import floors'
	@echo 'make bench        how the chat keeps up with a stream (ARGS="stream table" picks sections)'
	@echo 'make screenshots  draw the pictures of the README'
	@echo 'make lock         choose the newest versions that pyproject.toml admits'

$(STAMP): pyproject.toml .ci/requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo 'aitui needs Python 3.11 or newer; this is' "$$($(PYTHON) --version 2>&1)." >&2; \
	  echo 'Name another one with: make PYTHON=python3.13 …' >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
	  echo 'python3 -m venv is missing: on Debian and Ubuntu it comes with the package python3-venv.' >&2; \
	  echo '  sudo apt install python3-venv' >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r .ci/requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

demo: $(STAMP)
	$(BIN)/aitui --demo $(ARGS)

test: $(STAMP)
	$(BIN)/python -m pytest -n $(WORKERS) $(if $(CI),--reruns 1 -rfEsR) $(ARGS)

# The lowest pytest-asyncio leaves a loop open, which only the newest is held to.
lowest:
	$(PYTHON) -m venv --clear $(VENV)-lowest
	$(VENV)-lowest/bin/python -m pip install --quiet --disable-pip-version-check uv
	$(VENV)-lowest/bin/uv pip install --quiet --python $(VENV)-lowest/bin/python --resolution lowest-direct --editable '.[dev]'
	$(VENV)-lowest/bin/python -m pytest -n $(WORKERS) -p no:unraisableexception $(if $(CI),--reruns 1 -rfEsR) \
	  tests/domain tests/format tests/settings tests/store tests/ui/transcript/test_pieces.py $(ARGS)

deployment: $(STAMP)
	$(BIN)/python -m pytest -n $(WORKERS) -m "deployment or not deployment" tests/e2e/deployment tests/e2e/setup $(ARGS)

faults: $(STAMP)
	$(BIN)/python -m pytest -n $(WORKERS) -m "faults or not faults" tests/faults $(ARGS)

faults-selection: $(STAMP)
	$(BIN)/python -m pytest -n $(WORKERS) $(if $(CI),--reruns 1 -rfEsR) -m faults_selection tests/faults $(ARGS)

soak: $(STAMP)
	SOAK_SECONDS=600 $(BIN)/python -m pytest -s tests/soak $(ARGS)

lint: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(STAMP)
	$(BIN)/mypy

floors: $(STAMP)
	$(BIN)/lint-imports

check: lint types floors

bench: $(STAMP)
	cd tests && ../$(BIN)/python -m bench $(ARGS)

screenshots: $(STAMP)
	$(BIN)/python screenshots/draw.py

lock:
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile --upgrade --universal --generate-hashes --no-emit-index-url --no-header \
	  --python-version 3.11 --extra dev --quiet pyproject.toml -o .ci/requirements.lock

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
