# Everything happens in .venv, made once. Another Python: make demo PYTHON=python3.13
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test slow check bench docs clean

demo: .venv/installed
	$(BIN)/curate run recipes/quickstart.yaml

# Two processes: many tests wait for others that they started.
test: .venv/installed
	$(BIN)/python -m pytest -n 2

slow: .venv/installed
	$(BIN)/python -m pytest -m slow

check: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy curate train schemas benchmarks
	$(BIN)/python -m pytest tests/test_house.py

bench: .venv/installed
	$(BIN)/python -m benchmarks

docs: .venv/installed
	$(BIN)/python docs/generate.py

clean:
	rm -rf .venv .bench build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis

# An install that was broken off leaves no mark, and is begun again.
.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "curate needs Python 3.11 or newer: make PYTHON=...")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --disable-pip-version-check --quiet -c constraints.txt -e '.[scrape,rank,train,dev]'
	touch $@
