# `make fig1`, `make table5`, …: set up what is missing, run the experiment, render its page.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
EXPERIMENTS := $(filter fig% table% boxes,$(basename $(notdir $(wildcard experiments/*.py))))

.PHONY: help setup test test-slow lint docs clean $(EXPERIMENTS)

help:  ## this list
	@grep -hE '^[a-z%][^:]*:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/'
	@echo "experiments: $(EXPERIMENTS)"

setup: $(VENV)/.done  ## virtual environment with the pinned versions

# xtcocotools has no wheel for numpy 2 and no declared build requirements: build it from source against ours.
# Where that fails (no compiler), faster-coco-eval gives the same numbers, so the failure is reported and survived.
$(VENV)/.done: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --upgrade pip
	@echo "installing the pinned packages (torch is large: a few minutes)"
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[dev]'
	$(BIN)/python -m pip install -q -c constraints.txt cython "setuptools<81" wheel
	$(BIN)/python -m pip install -q -c constraints.txt --no-build-isolation --no-binary xtcocotools xtcocotools \
		|| echo "xtcocotools could not be built (no C compiler?): CrowdPose will be scored by faster-coco-eval"
	touch $@

$(EXPERIMENTS): setup
	$(BIN)/flatpose-exp run $@ $(ARGS)

test: setup  ## all tests that fit ten minutes
	$(BIN)/python -m pytest -m "not slow" $(ARGS)

test-slow: setup  ## the others
	$(BIN)/python -m pytest -m slow $(ARGS)

lint: setup  ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/mypy

docs: setup  ## docs/cli.md, from the program
	$(BIN)/typer flatpose.harness.cli utils docs --name flatpose-exp --output docs/cli.md

clean:  ## remove the environment and unfinished runs (records in reports/ stay)
	rm -rf $(VENV) runs
