# Everything a person does with this repository. `make help` lists it.
# The first that runs and is new enough; a name on the PATH alone proves nothing (version managers put empty ones there).
PYTHON ?= $(shell for name in python3 python3.13 python3.12 python3.11; do \
	$$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$name && break; done)
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=

.DEFAULT_GOAL := help

.PHONY: help
help: ## list the commands
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

##@ Use
.PHONY: install
install: $(VENV)/.installed ## create the environment and install Jetpost with its embedded servers

.PHONY: run
run: install ## run the demo: a whole campaign on embedded servers (make run ARGS="--recipients 100000")
	@$(BIN)/jetpost demo $(ARGS)

##@ Develop
.PHONY: develop
develop: $(VENV)/.developing ## install what the checks and tests need

.PHONY: check
check: develop ## format, lint, types, import contracts, spelling
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/codespell

.PHONY: format
format: develop ## format and fix what can be fixed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

.PHONY: test
test: develop ## all tests, on real servers (Debian packages that some need are installed, as root, or skipped)
	@tests/system-packages.sh
	$(BIN)/pytest -n auto $(ARGS)

.PHONY: test-unit
test-unit: develop ## the tests that need no server; seconds
	$(BIN)/pytest tests/unit $(ARGS)

.PHONY: lock
lock: develop ## pin what the image installs to the newest versions that pyproject.toml allows
	$(BIN)/uv pip compile --quiet --upgrade $(LOCKED) pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile --quiet --upgrade $(LOCKED) --extra parquet --extra postgresql -c requirements.lock pyproject.toml -o requirements-sql.lock
LOCKED := --universal --generate-hashes --python-version 3.11 --no-header --no-annotate

##@ Prove
.PHONY: bench
bench: develop ## mails a second and CPU per mail, compared with the stored result (make bench ARGS="e2e --mails 100000" for one part)
	@$(BIN)/python -m benchmarks $(ARGS)

.PHONY: chaos
chaos: develop ## kill everything at random and count (make chaos ARGS="--full")
	@$(BIN)/python -m benchmarks.chaos $(ARGS)

SAMPLES := ../shared/samples

.PHONY: grade
grade: develop ## hold `jetpost inspect` against real callbacks, replies and bounces, where there are such beside this folder
	@if [ -f $(SAMPLES)/grade.py ]; then $(BIN)/python $(SAMPLES)/grade.py $(SAMPLES) $(BIN)/jetpost; \
	else echo "skipped: there are no samples at $(SAMPLES)"; fi

$(VENV)/bin/python:
	@test -n "$(PYTHON)" && $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Jetpost needs Python 3.11 or newer; set PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[embedded,parquet]'
	@touch $@

$(VENV)/.developing: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[embedded,parquet,sql,dev]'
	@touch $@ $(VENV)/.installed
