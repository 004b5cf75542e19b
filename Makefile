# `make demo` and `make test` set up all they need on a machine with Python 3.10+ and Java 17.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO_OUTPUT ?= demo-audit
UV_VERSION := 0.13.9
REPEAT ?= 10

.PHONY: help demo test test-matrix check lint types imports deps lock bench schema clean

help: ## Show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(VENV)/.installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 10) else "spark-ml-audit needs Python 3.10 or newer; found %d.%d. Call make PYTHON=python3.11." % sys.version_info[:2])'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

.PHONY: setup
setup: $(VENV)/.installed ## Install everything into .venv
	@$(BIN)/python -m spark_ml_audit.engines.java

demo: setup ## Audit the shipped real data, start to end
	$(BIN)/spark-ml-audit demo --output $(DEMO_OUTPUT)

test: setup check ## Lint, types, import rules and all tests
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

test-matrix: setup ## Older versions of Spark, the long tests, the failure tests ten times over (hours)
	$(BIN)/python -m tests.matrix --repeat $(REPEAT)

check: lint types imports deps ## All checks but the tests

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.installed
	$(BIN)/mypy

imports: $(VENV)/.installed
	$(BIN)/lint-imports

deps: $(VENV)/.installed
	$(BIN)/deptry .

bench: setup ## Speed and memory next to cleanlab and to the floor (minutes)
	$(BIN)/python -m tests.benchmarks --rows 1000000 --classes 50

schema: $(VENV)/.installed ## Write the JSON Schemas of the configs anew
	$(BIN)/python -m spark_ml_audit.config.schema conf

lock: ## Resolve requirements.lock anew (needs uv)
	uv pip compile --quiet --universal --python-version 3.10 --generate-hashes --no-header --no-annotate \
	  --no-emit-index-url --extra local --group dev --group build -o requirements.lock pyproject.toml

clean: ## Remove what the targets above made
	rm -rf $(VENV) .venv-matrix $(DEMO_OUTPUT) .pytest_cache .mypy_cache .ruff_cache .hypothesis spark-warehouse
