# make demo   install what is needed and unfold one chest X-ray    (about 2 minutes the first time)
# make quick  install the tools as well and run the quick tests     (under a minute on 2 cores)
# make test   every test
#
# Another interpreter: make PYTHON=python3.12 demo

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# twice quiet: errors only. Plain --quiet still lists every package index that does not hold a package.
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --quiet --constraint constraints.txt
DEMO_OUT ?= xray2xray-demo
# One thread for each test process: they share the machine.
ONE_THREAD := OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 NUMBA_NUM_THREADS=1

.DEFAULT_GOAL := help
.PHONY: help demo quick test coverage reference docs lint types format clean

help:
	@echo "make demo    one chest X-ray becomes 37 views, a volume and a report ($(DEMO_OUT)/report.html)"
	@echo "make quick   the quick tests: no training, no whole commands"
	@echo "make test    every test, on all cores"
	@echo "make coverage  every test, and the share of lines that they run"
	@echo "make reference  writes docs/reference/ anew from the code"
	@echo "make docs    the docs as a site (site/index.html), strictly: no broken link"
	@echo "make lint    ruff: style and likely mistakes"
	@echo "make types   mypy: the types agree"
	@echo "make format  ruff rewrites the style it can"
	@echo "make clean   removes $(VENV), caches and the demo's output"

demo: $(VENV)/core.stamp
	$(BIN)/xray2xray demo --out $(DEMO_OUT) --overwrite

PYTEST := $(ONE_THREAD) $(BIN)/python -m pytest --numprocesses auto --quiet

quick: $(VENV)/dev.stamp
	$(PYTEST) -m "not slow and not data and not gpu"

test: $(VENV)/dev.stamp
	$(PYTEST) $(COVERAGE)

coverage: COVERAGE := --cov --cov-report=term --cov-report=xml
coverage: test

reference: $(VENV)/dev.stamp
	$(BIN)/python docs/build_reference.py

docs: $(VENV)/dev.stamp
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --site-dir site

lint: $(VENV)/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/dev.stamp
	$(BIN)/mypy

format: $(VENV)/dev.stamp
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) $(DEMO_OUT) .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage coverage.xml build dist site
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamps are files, so an install happens only when pyproject.toml or constraints.txt has changed.
$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo "Python 3.11 or newer is needed, and $(PYTHON) is not: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/core.stamp: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "Installing xray2xray into $(VENV) (once) ..."
	$(PIP) --editable .
	@touch $@

$(VENV)/dev.stamp: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "Installing xray2xray and its development tools into $(VENV) (once) ..."
	$(PIP) --editable '.[dev]'
	@touch $(VENV)/core.stamp $@
