# parlant-local: developer commands. `make help` lists them.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready
COMPILED := $(VENV)/.native
NATIVE ?=
MODEL ?=
PARLANT ?=

# Spinning OpenMP threads starve other processes on a small machine.
export OMP_WAIT_POLICY := PASSIVE

# Without any bytecode each start compiles all that it imports, which takes longer than a short test.
ifneq ($(PYTHONDONTWRITEBYTECODE),)
export PYTHONDONTWRITEBYTECODE :=
export PYTHONPYCACHEPREFIX ?= $(CURDIR)/.pytest_cache/bytecode
endif

DOCS := NO_MKDOCS_2_WARNING=1 $(BIN)/python -m uv tool run --quiet --with 'mkdocs-material>=9.6,<10' --from 'mkdocs>=1.6,<2' mkdocs

.PHONY: help setup demo run test lint types unit binary coverage evidence wheel lowest parlant32 parlant-develop docs picture page workflows bench gpu-pack gpu-check lock train clean

help: ## Show this list
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

setup: $(STAMP) $(if $(NATIVE),$(COMPILED)) ## Create .venv with all dependencies (NATIVE=1: what is compiled here, too)
	@$(if $(NATIVE),:,test -e $(COMPILED) || echo 'llama.cpp is a wheel for any processor; `make setup NATIVE=1` compiles one for yours (5-10 minutes on two cores), which may be faster.')

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed; set PYTHON=python3.12, say.")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m uv --version >/dev/null 2>&1 || $(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	@$(BIN)/python .ci/install.py
	@touch $(STAMP)

$(COMPILED): $(STAMP)
	@$(BIN)/python .ci/install.py native
	@touch $(COMPILED)

demo: $(STAMP) ## Ask the bundled model, then run a conversation with a real Parlant server (MODEL=… for another model)
	@$(BIN)/parlant-local demo $(if $(MODEL),--model '$(MODEL)')

run: $(STAMP) ## Run a Parlant server with a demonstration agent and its chat page (MODEL=…)
	@$(BIN)/parlant-local agent $(if $(MODEL),--model '$(MODEL)')

test: lint types unit binary ## What CI runs: formatting, lint, import directions, types, tests on both builds of llama.cpp

lint: $(STAMP) ## Formatting, lint, import directions and cycles, undeclared imports, the architecture diagram
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/ruff check --preview --select PLW1514 . # text has its encoding named: not every system's is UTF-8
	$(BIN)/lint-imports --no-logo
	$(BIN)/deptry src
	$(BIN)/python .ci/picture.py --check

types: $(STAMP) ## mypy, strict: the package, and programs that use it (PLATFORM=win32 or darwin: as there)
	$(BIN)/mypy $(if $(PLATFORM),--platform $(PLATFORM) --cache-dir .mypy_cache/$(PLATFORM) src)

unit: $(COMPILED) ## The test suite, a file at a time in two processes, on the compiled llama.cpp
	$(BIN)/pytest -q -m 'not evidence' -n 2 --dist loadfile --no-loadscope-reorder

binary: $(COMPILED) ## The engine's and the host's tests on the llama.cpp that comes as a wheel (templates and parsers call neither build)
	PARLANT_LOCAL_ENGINE__LIBRARY=binary $(BIN)/pytest -q -m 'not evidence' -n 2 --dist loadfile --no-loadscope-reorder \
	  --ignore tests/engine/templates --ignore tests/engine/parsing tests/engine tests/nlp

coverage: $(COMPILED) ## The test suite with coverage: fails under the threshold in pyproject.toml
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -q -m 'not evidence'
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

evidence: $(COMPILED) ## Long-running tests; results are written to docs/evidence
	$(BIN)/pytest -q -m evidence

wheel: $(STAMP) ## Build the distributions, install the wheel outside the checkout and use it (PYTHON=python3.13 for another)
	$(BIN)/python .ci/wheel.py --python '$(if $(filter file,$(origin PYTHON)),$(BIN)/python,$(PYTHON))'

lowest: $(STAMP) ## Tests with the oldest supported dependencies, in a separate environment
	$(BIN)/python .ci/lowest.py

parlant32: $(STAMP) ## The Parlant tests on the newest Parlant 3.2, in a separate environment
	$(BIN)/python .ci/other_parlant.py 3.2

parlant-develop: $(STAMP) ## The same on Parlant's sources, which you have fetched (PARLANT=/path/to/them)
	$(BIN)/python .ci/other_parlant.py '$(PARLANT)'

docs: $(STAMP) ## Build the documentation site (site/) and check every link and anchor
	$(DOCS) build --strict

picture: $(STAMP) ## Draw docs/staircase.svg from the code
	$(BIN)/python .ci/picture.py

page: ## Fetch the page's libraries again (versions and digests are in .ci/page.py); needs npm
	@$(PYTHON) .ci/page.py

workflows: $(STAMP) ## Check .github: GitHub's schemas, and security problems
	$(BIN)/python -m uv tool run --quiet check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(BIN)/python -m uv tool run --quiet check-jsonschema --builtin-schema vendor.dependabot .github/dependabot.yml
	$(BIN)/python -m uv tool run --quiet zizmor --offline --quiet --persona pedantic .github

bench: $(COMPILED) ## Benchmarks against peers, in a separate environment
	$(BIN)/python -m benchmarks

gpu-pack: $(STAMP) ## Collect what a machine with a CUDA card and without network needs, in .gpu/
	$(BIN)/python -m benchmarks.gpu.pack

gpu-check: export DRY := $(DRY)
gpu-check: $(if $(DRY),$(STAMP)) ## On that machine: build, check and measure, one table (DRY=1: a dry run on this processor)
	@$(if $(DRY),$(BIN)/python,$(PYTHON)) -m benchmarks.gpu

lock: $(STAMP) ## Update requirements.lock (versions and hashes)
	$(BIN)/python -m uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header --no-annotate \
	  --python-version 3.11 --extra all --extra native --extra images --extra ray --group dev pyproject.toml -o requirements.lock

train: ## Train the bundled model (in a separate environment; about half an hour)
	$(MAKE) -C training

clean: ## Remove environments and caches
	rm -rf $(VENV) .venv-* .mypy_cache .ruff_cache .pytest_cache .coverage* dist site
