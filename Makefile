# What a newcomer types. `make help` lists it; PYTHON=... chooses the interpreter, VENV=... the environment.

VENV := .venv
OUT := runs/demo
TORCH_CPU_INDEX := https://download.pytorch.org/whl/cpu

PYTHONS := $(or $(PYTHON),python3 python3.13 python3.12 python3.11)
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input
NEW_ENOUGH := -c 'import sys; sys.exit(sys.version_info < (3, 11))'
ANSWERS := -c 'import sys, urllib.request; urllib.request.urlopen(sys.argv[1], timeout=3)'

SET_UP_FROM := pyproject.toml constraints.txt hatch_build.py $(wildcard dnadiff/ops/native/build.py dnadiff/ops/native/src/*)

.DELETE_ON_ERROR:
.PHONY: help demo test lint types build clean

help:  ## this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/make \1: \2/p' Makefile

demo: $(VENV)/.installed  ## set up, then train on the toy genome; results in runs/demo
	$(BIN)/dnadiff finetune --out $(OUT)
	@echo "The results are in $(OUT)."

test: $(VENV)/.dev  ## set up, then run every test
	$(BIN)/python -m pytest -n auto --dist loadfile

lint: $(VENV)/.dev  ## style and formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev  ## static types
	$(BIN)/mypy dnadiff data_prep

build: $(VENV)/.dev  ## source distribution and wheel, in dist/
	$(BIN)/python -m build

clean:  ## remove what building and testing left; the environment and runs/ stay
	rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +

$(BIN)/python:
	@for python in $(PYTHONS); do \
	  if $$python $(NEW_ENOUGH) 2>/dev/null; then set -x; exec $$python -m venv $(VENV); fi; \
	done; echo 'No Python 3.11 or newer among: $(PYTHONS); name one: make PYTHON=/path/to/python3' >&2; exit 1

# PyTorch's CPU build is a tenth of the default one, which is what a machine with an NVIDIA driver needs.
$(VENV)/.torch: constraints.txt | $(BIN)/python
	@torch=$$(grep '^torch==' constraints.txt); set -x; \
	if [ "$$(uname)" = Linux ] && ! command -v nvidia-smi && $(BIN)/python $(ANSWERS) $(TORCH_CPU_INDEX)/ 2>/dev/null; \
	then $(PIP) install --no-deps --index-url $(TORCH_CPU_INDEX) $$torch; \
	else $(PIP) install -c constraints.txt $$torch; fi
	@touch $@

$(VENV)/.installed: $(VENV)/.torch $(SET_UP_FROM)
	$(PIP) install -q -c constraints.txt -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.torch $(SET_UP_FROM)
	$(PIP) install -q -c constraints.txt -e '.[dev]'
	@touch $(VENV)/.installed $@
