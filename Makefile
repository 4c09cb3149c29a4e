# What a person does. Every target creates the environment in .venv when it is not there or not up to date.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO := .venv-demo
PORT ?= 8501
CHECKPOINT ?= demo-synthetic

.PHONY: help app demo web test test-slow e2e lint bench zoo costs demo-checkpoint demo-maps demo-sample licences lock clean

help:  ## list the targets
	@grep -E '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | sort

app: $(VENV)/.runtime  ## start the app on localhost
	$(BIN)/streamlit run streamlit_app.py --server.port $(PORT)

demo: $(DEMO)/.installed  ## Home, Predict and Cohort without PyTorch: a small environment of its own
	$(DEMO)/bin/streamlit run streamlit_app.py --server.port $(PORT)

web: $(VENV)/.runtime web/node_modules/.installed  ## the page that predicts in the browser, as static files in web/dist
	$(BIN)/python -m core export web $(CHECKPOINT) --out web/dist --replace

test: $(VENV)/.dev  ## the fast tests, one process for each core
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadfile -m "not slow and not e2e"

test-slow: $(VENV)/.dev  ## the tests that take minutes
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist worksteal -m slow

e2e: $(VENV)/.dev  ## the browser journeys, one browser for each core; need chromium (CHROMIUM=/path to name another)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadfile -m e2e tests/e2e

lint: $(VENV)/.dev  ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/.dev  ## every benchmark, side by side with its peers
	for file in benchmarks/bench_*.py; do $(BIN)/python $$file || exit 1; done

zoo: $(VENV)/.dev  ## train every preset small on a synthetic cohort and print the table; goes on where it stopped
	$(BIN)/python benchmarks/bench_zoo.py --home cache/zoo

costs: $(VENV)/.runtime  ## count what each network costs; after a network was added or changed
	$(BIN)/python -m core.models.count_costs

demo-checkpoint: $(VENV)/.runtime  ## train the shipped checkpoint again, from nothing (about half an hour on two cores)
	PYTHON=$(BIN)/python sh checkpoints/make_demo.sh

demo-maps: $(VENV)/.dev  ## train the shipped checkpoint whose maps are true, and test them (about an hour)
	$(BIN)/python benchmarks/bench_maps.py --keep checkpoints/demo-synthetic-t1wce.safetensors

demo-sample: $(VENV)/.runtime  ## record what the shipped checkpoints say of the sample study; after a change of either
	$(BIN)/python checkpoints/record_sample.py checkpoints/demo-synthetic*.safetensors

licences: $(VENV)/.runtime  ## the licence of everything that is installed to run; fails where one is under the GPL
	$(BIN)/python -m core.licences

LOCK := $(BIN)/uv pip compile --quiet --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header
lock: $(VENV)/.runtime  ## pin the image's whole closure with hashes; after a change of any requirements file
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==0.13.8
	$(LOCK) requirements.txt requirements-dicom.txt requirements-serve.txt -o requirements.lock
	$(LOCK) requirements-demo.txt requirements-dicom.txt requirements-serve.txt -o requirements-demo.lock
	$(LOCK) --no-deps requirements-raw.txt -o requirements-raw.lock

clean:  ## remove the environment and everything that can be made again; runs and checkpoints stay
	rm -rf $(VENV) $(DEMO) cache web/node_modules web/dist

$(VENV)/bin/python $(DEMO)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; name one: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(@D)/..

$(DEMO)/.installed: requirements-demo.txt | $(DEMO)/bin/python
	$(DEMO)/bin/python -m pip install --quiet --disable-pip-version-check --no-compile -r requirements-demo.txt
	@touch $@

$(VENV)/.runtime: requirements.txt requirements-raw.txt requirements-dicom.txt requirements-serve.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt -r requirements-dicom.txt -r requirements-serve.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -r requirements-raw.txt
	@touch $@

web/node_modules/.installed: web/package-lock.json
	cd web && npm ci --no-audit --no-fund
	@touch $@

$(VENV)/.dev: requirements-dev.txt $(VENV)/.runtime
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@
