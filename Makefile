# Everything a new machine needs is Python 3.10–3.13 and make.
PYTHON ?= python3
VENV   ?= .venv
UV     := $(VENV)/bin/uv
# Pinned like everything else; the lock file pins the rest.
UV_VERSION := 0.13.9

.PHONY: demo test check slow browser bench clean

demo: $(VENV)/.installed  ## the whole story on an embedded PostgreSQL: make demo ARGS=--clean, or ARGS=--ui
	$(VENV)/bin/orgrecon demo $(ARGS)

test: $(VENV)/.installed  ## the fast tests, against real PostgreSQL
	$(VENV)/bin/python -m pytest -m "not slow and not browser" $(ARGS)

slow: $(VENV)/.installed  ## the tests that take minutes
	$(VENV)/bin/python -m pytest -m "slow and not browser" --timeout 900 $(ARGS)

browser: $(VENV)/.installed  ## the tests that need Chromium
	$(VENV)/bin/python -m pytest -m browser -n 0 $(ARGS)

check: $(VENV)/.installed  ## lint, types, and Dagster's own checks of the definitions
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	$(VENV)/bin/dg check defs
	$(VENV)/bin/dagster definitions validate -w workspace.yaml

bench: $(VENV)/.installed  ## the engine beside other ways to compare, as ratios (minutes; BENCH_ROWS, BENCH_ROUNDS)
	$(VENV)/bin/python -m orgrecon_pipeline_tests.bench $(ARGS)

clean:  ## forget the virtual environment and everything generated
	rm -rf $(VENV) .orgrecon .pytest_cache .mypy_cache .ruff_cache

$(UV):
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)

$(VENV)/.installed: $(UV) pyproject.toml uv.lock
	VIRTUAL_ENV=$(abspath $(VENV)) $(UV) sync --quiet --active --frozen --compile-bytecode --python $(VENV)/bin/python
	touch $@
