# `make fig1`, `make table5`, …: install what a run needs, run the experiment, render its page.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install -q -c constraints.txt
EXPERIMENTS := $(filter fig% table% why controlled controls alternatives,$(basename $(notdir $(wildcard experiments/*.py))))

.PHONY: help setup test test-slow lint site docs clean $(EXPERIMENTS)

help:  ## this list
	@grep -hE '^[a-z%][^:]*:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/'
	@echo "experiments: $(EXPERIMENTS)"

setup: $(VENV)/.dev  ## virtual environment with the pinned versions, for development

# What a run needs.
$(VENV)/.run: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --upgrade pip
	@echo "installing the pinned packages (torch is large: a few minutes)"
	$(PIP) -e .
	touch $@

# xtcocotools has no wheel for numpy 2 and no declared build requirements: it is built from source against ours.
# Where that fails (no compiler), CrowdPose is scored by faster-coco-eval.
$(VENV)/.dev: $(VENV)/.run
	$(PIP) -e '.[dev]'
	$(PIP) cython "setuptools<81" wheel
	$(PIP) --no-build-isolation --no-binary xtcocotools xtcocotools \
		|| echo "xtcocotools could not be built (no C compiler?): CrowdPose will be scored by faster-coco-eval"
	touch $@

$(EXPERIMENTS): $(VENV)/.run
	$(BIN)/flatpose-exp run $@ $(ARGS)

test: setup  ## all tests that take less than ten seconds
	$(BIN)/python -m pytest -n 2 -m "not slow" $(ARGS)

test-slow: setup  ## the others
	$(BIN)/python -m pytest -n 2 -m slow $(ARGS)

lint: setup  ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/mypy

# The pages keep their places, so that the links between README, docs/, reports/ and benchmarks/ stay valid.
site: setup  ## README, docs and reports as a site in site/; a dead link fails
	rm -rf build/pages
	mkdir -p build/pages
	git ls-files '*.md' CITATION.cff docs examples experiments reports | xargs cp --parents -t build/pages
	mv build/pages/README.md build/pages/index.md
	$(BIN)/zensical build --clean --strict

docs: setup  ## docs/cli.md, from the program
	$(BIN)/typer flatpose.harness.cli utils docs --name flatpose-exp --output docs/cli.md

clean:  ## remove the environment and the runs (records in reports/ stay)
	rm -rf $(VENV) runs
