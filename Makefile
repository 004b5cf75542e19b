# `make demo` and `make test` set up all they need on a machine with Python 3.11+; tests of Spark want Java 17.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO_OUTPUT ?= demo-audit
UV_VERSION := 0.13.9
REPEAT ?= 10

.PHONY: help setup encoders demo test test-matrix check lint types imports deps lock bench schema clean

help: ## Show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

# Python compiles what it imports, and keeps that only if its environment lets it: MLflow alone takes 2 s each time.
UV_INSTALL := $(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python

# What a user with a file and a laptop needs: the embedded engine.
$(VENV)/.local: requirements-local.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "this needs Python 3.11 or newer; found %d.%d. Call make PYTHON=python3.11." % sys.version_info[:2])'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	$(UV_INSTALL) --require-hashes -r requirements-local.lock
	$(UV_INSTALL) --no-deps --no-build-isolation --editable .
	$(BIN)/python -m compileall -q spark_ml_audit
	@touch $@

# Beside it Spark, and what checks and tests need.
$(VENV)/.installed: requirements.lock $(VENV)/.local
	$(UV_INSTALL) --require-hashes -r requirements.lock
	@touch $@

# And PyTorch with what reads texts and images: 6 GB on Linux, whose packages bring CUDA along.
$(VENV)/.encoders: requirements-encoders.lock $(VENV)/.installed
	$(UV_INSTALL) --require-hashes -r requirements-encoders.lock
	@touch $@

setup: $(VENV)/.installed ## Install everything but encoders into .venv

encoders: $(VENV)/.encoders ## Install PyTorch and an encoder too (6 GB): their tests are skipped without them

demo: $(VENV)/.local ## Audit the shipped real data, start to end
	$(BIN)/spark-ml-audit demo --output $(DEMO_OUTPUT)

test: setup check ## Lint, types, import rules and all tests
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder --engine spark -m "matrix and not spark" tests/engine tests/tracking
	@$(BIN)/python -m spark_ml_audit.engines.java || echo 'The tests of Spark were skipped.'

test-matrix: setup ## Older versions of Spark, the long tests, the failure tests ten times over (hours)
	@$(BIN)/python -m spark_ml_audit.engines.java
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

bench: setup ## Speed and memory of both engines next to cleanlab (minutes)
	$(BIN)/python -m tests.benchmarks --rows 1000000 --classes 50

schema: $(VENV)/.installed ## Write the JSON Schemas of the configs anew
	$(BIN)/python -m spark_ml_audit.config.schema conf

LOCK := uv pip compile --quiet --universal --python-version 3.10 --generate-hashes --no-header --no-annotate --no-emit-index-url
lock: ## Resolve the lock files anew (needs uv)
	$(LOCK) --extra local --extra app --extra spark --group dev --group build -o requirements.lock pyproject.toml
	$(LOCK) --extra local --extra app --extra spark --extra text --extra torch --group dev --group build --group encoders --constraints requirements.lock -o requirements-encoders.lock pyproject.toml
	$(LOCK) --extra local --extra app --group build --constraints requirements.lock -o requirements-local.lock pyproject.toml

clean: ## Remove what the targets above made
	rm -rf $(VENV) .venv-matrix $(DEMO_OUTPUT) .pytest_cache .mypy_cache .ruff_cache .hypothesis spark-warehouse
