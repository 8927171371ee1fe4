# Two commands do everything on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
VENV   ?= .venv
BENCH  ?= .venv-bench
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check --quiet

.DEFAULT_GOAL := help
.PHONY: help install demo test check format bench bench-store soak docs lock clean

help: ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 10

install: $(VENV)/.ready ## make .venv with the command .venv/bin/plugwave

demo: $(VENV)/.ready ## a whole rollout on a simulated cloud; no account, nothing leaves the machine
	$(BIN)/plugwave demo

test: $(VENV)/.ready-dev ## install what the tests need and run them
	$(BIN)/python -m pytest --numprocesses=4 --dist=loadgroup

check: $(VENV)/.ready-dev ## format, lint, import contracts, types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports --cache-dir $(VENV)/.import_linter_cache
	$(BIN)/mypy

format: $(VENV)/.ready-dev ## rewrite the code in the house's format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(BENCH)/.ready ## measure, against a bare aiohttp loop and six other queues in the same run
	$(BENCH)/bin/python -m benchmarks
	$(BENCH)/bin/python -m tests.docs.generated

bench-store: $(BENCH)/.ready ## measure the store alone with up to a million jobs
	$(BENCH)/bin/python -m benchmarks store

soak: $(VENV)/.ready-dev ## the long tests: full sizes, many kills
	$(BIN)/python -m pytest -m "soak or namespaces" --override-ini=addopts="-ra --import-mode=importlib -p no:anyio"

docs: $(VENV)/.ready-dev ## rewrite the generated parts of the documentation
	$(BIN)/python -m tests.docs.generated

lock: $(BIN)/python ## renew the lock files (hashes only, no index addresses)
	$(PIP) install uv
	$(BIN)/uv pip compile -q --universal --generate-hashes --no-emit-index-url --no-header --python-version 3.11 --group build pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile -q --universal --generate-hashes --no-emit-index-url --no-header --python-version 3.11 --group dev --all-extras -c requirements.lock pyproject.toml -o requirements-dev.lock
	$(BIN)/uv pip compile -q --universal --generate-hashes --no-emit-index-url --no-header --python-version 3.11 --group bench --extra postgres -c requirements.lock pyproject.toml -o requirements-bench.lock

clean: ## remove everything that `make` made
	rm -rf $(VENV) $(BENCH) .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist *.egg-info

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.ready: requirements.lock pyproject.toml | $(BIN)/python
	$(PIP) install --no-deps --require-hashes -r requirements.lock
	$(PIP) install --no-deps --no-build-isolation -e .
	$(BIN)/python -m compileall -q worker config jobs  # the command starts twice as fast
	@touch $@

$(VENV)/.ready-dev: requirements-dev.lock $(VENV)/.ready
	$(PIP) install --no-deps --require-hashes -r requirements-dev.lock
	@touch $@

$(BENCH)/.ready: requirements.lock requirements-bench.lock pyproject.toml
	$(PYTHON) -m venv $(BENCH)
	$(BENCH)/bin/python -m pip --disable-pip-version-check --quiet install --no-deps --require-hashes -r requirements.lock
	$(BENCH)/bin/python -m pip --disable-pip-version-check --quiet install --no-deps --require-hashes -r requirements-bench.lock
	$(BENCH)/bin/python -m pip --disable-pip-version-check --quiet install --no-deps --no-build-isolation -e .
	@touch $@
