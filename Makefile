# `make demo` and `make test` need Python 3.11 or later, make and git; everything else they set up in .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# twice as many as there are processors: half of the tests wait for machines. In the order of tests/conftest.py.
PARALLEL := -n $$(($$(getconf _NPROCESSORS_ONLN) * 2)) --dist loadfile --no-loadscope-reorder
STAMP := $(VENV)/.installed

.PHONY: demo test check lint fleet matrix soak lock clean

demo: $(STAMP)  ## send a real file through a workflow on this machine
	$(BIN)/gitopsd demo

test: $(STAMP)  ## all tests; those that need root and real systemd machines say so when they are skipped
	$(BIN)/pytest $(PARALLEL)

fleet: $(STAMP)  ## only the tests on real systemd machines (as root); missing means failed
	GITOPSD_REQUIRE_FLEET=1 $(BIN)/pytest $(PARALLEL) -m fleet

matrix: $(STAMP)  ## every point of the crash matrix (as root, half an hour); writes docs/crash-matrix.md
	GITOPSD_REQUIRE_FLEET=1 GITOPSD_FULL_MATRIX=1 $(BIN)/pytest -n 2 --dist loadfile -rP tests/crash

soak: $(STAMP)  ## a daemon under pushes, faults and reverts for half an hour; prints what it takes over time
	GITOPSD_SOAK_SECONDS=1800 $(BIN)/pytest -s --timeout 2700 tests/soak

check: lint test  ## what is run before every landing

lint: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

lock:  ## pin every dependency anew, with hashes and without the address of any registry
	uv pip compile pyproject.toml --group dev --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" -q -o requirements.lock

$(STAMP): pyproject.toml requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "gitopsd needs Python 3.11 or later: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || $(MAKE) --no-print-directory ensurepip
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

.PHONY: ensurepip
ensurepip:  # Debian keeps this part of Python in a package of its own
	@if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  echo "installing python3-venv" >&2; apt-get update -qq && apt-get install -qq -y python3-venv >/dev/null; \
	else \
	  echo "this Python can't make virtual environments: apt-get install python3-venv" >&2; exit 1; \
	fi

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
