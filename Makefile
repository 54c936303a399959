# Requires Python 3.10–3.13 and make. Everything else is installed into a virtual environment.
PYTHON ?= python3
VENV   ?= .venv
UV     := $(VENV)/bin/uv
# The lock file pins all other dependencies.
UV_VERSION := 0.13.9

# PostgreSQL versions of `make versions`, and the tests whose result can depend on the version.
VERSIONS ?= 13 14 15 16 17 18
VERSION_TESTS := $(addprefix orgrecon_pipeline_tests/,repair deploy/test_readonly_role.py postgres/test_node_tree.py \
	operations/test_reproduce_backup.py \
	$(addprefix compare/test_,against_oracle.py collation.py join_memory.py lossy_casts.py recheck.py type_advice.py) \
	$(addprefix ledger/test_,append_only.py locks.py) \
	$(addprefix operations/observe/test_,faults.py hidden_rows.py lock_queue.py two_databases.py))

# Tests of `make test`, by their markers.
TESTS ?= not slow and not browser and not image

.PHONY: demo test versions check docs slow browser image bench clean

demo: $(VENV)/.installed  ## run the demo on an embedded PostgreSQL (ARGS=--clean: the gate opens; ARGS=--ui: serve the Dagster UI)
	$(VENV)/bin/orgrecon demo $(ARGS)

test: $(VENV)/.installed  ## run the fast tests on real PostgreSQL (TESTS="not image and not brief": the slow and browser tests too)
	$(VENV)/bin/python -m pytest -m "$(TESTS)" $(ARGS)

versions: $(VENV)/.installed  ## run the tests of comparison, repair, faults and ledger on other PostgreSQL versions (VERSIONS="13 18")
	@set -e; for version in $(VERSIONS); do \
	    server="$$(deploy/ci/fetch_postgres.sh $$version)"; echo "PostgreSQL $$version"; \
	    ORGRECON_PG_BIN="$$server" $(VENV)/bin/python -m pytest -m "not slow and not browser" -k "not sqlite" $(ARGS) $(VERSION_TESTS); \
	done

slow: $(VENV)/.installed  ## run the tests that take minutes
	$(VENV)/bin/python -m pytest -m "slow and not browser and not image" --timeout 900 $(ARGS)

browser: $(VENV)/.installed  ## run the tests that need Chromium
	$(VENV)/bin/python -m pytest -m browser -n 0 $(ARGS)

image: $(VENV)/.installed  ## build the image and run it with podman: commands, pods of the manifests, Compose
	$(VENV)/bin/python -m pytest -m image -n 0 --timeout 1800 $(ARGS)

check: $(VENV)/.installed  ## lint, check types and validate the Dagster definitions
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	$(VENV)/bin/dg check defs
	$(VENV)/bin/dagster definitions validate -w workspace.yaml

docs: $(VENV)/.installed  ## build the documentation as a site in site/; a dead link or a warning fails (ARGS, for example, --site-dir DIR)
	NO_MKDOCS_2_WARNING=1 $(VENV)/bin/mkdocs build $(ARGS)

bench: $(VENV)/.installed  ## measure all benchmarks and write docs/benchmarks.md (an hour; ARGS="shapes rechecks")
	$(VENV)/bin/python -m orgrecon_pipeline_tests.bench $(ARGS)

clean:  ## remove the virtual environment and all generated files
	rm -rf $(VENV) site .orgrecon .pytest_cache .mypy_cache .ruff_cache

$(UV):
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)

$(VENV)/.installed: $(UV) pyproject.toml uv.lock
	VIRTUAL_ENV=$(abspath $(VENV)) $(UV) sync --quiet --active --frozen --compile-bytecode --python $(VENV)/bin/python
	$(VENV)/bin/python -m compileall -q orgrecon_pipeline  # uv compiles only what it installs
	touch $@
