# The two commands of the README, and what developers run. Everything is installed into .venv from requirements.lock.
PYTHON ?= python3
BIN = .venv/bin

.PHONY: demo test bench lint lock clean

# Reinstalls only when the lock or the project changed. The lock is complete: nothing is resolved (--no-deps).
.venv/installed: requirements.lock pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

demo: .venv/installed
	$(BIN)/lifecycle demo $(if $(ONCE),--once)

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# One process more than processors: two of them mostly wait for a server's runs (tests/conftest.py).
test: lint
	$(BIN)/python -m pytest --numprocesses $$($(BIN)/python -c "import os; print(1 + os.cpu_count())")

bench: .venv/installed
	$(BIN)/python -m tests.benchmarks

# Pins every dependency for all supported Pythons and platforms, without naming a registry.
lock: pyproject.toml
	$(PYTHON) -m venv .venv/lock && .venv/lock/bin/pip install --quiet uv
	.venv/lock/bin/uv pip compile pyproject.toml --group dev --universal --python-version 3.11 --generate-hashes \
	    --no-emit-index-url --no-annotate --no-header --output-file requirements.lock

clean:
	rm -rf .venv
