# The two commands: `make demo` watches real jobs run, `make test` proves everything.
# Everything is installed into .venv here; nothing outside this folder is changed.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

VENV := .venv
BENCH_VENV := .venv-bench
DOCS_VENV := .venv-docs
KERNELS := .venv-kernels
PLUGINS := build/plugins
ECOSYSTEM := build/ecosystem
CAPABILITIES := build/capabilities
LITE := build/lite
HOSTS := build/hosts
PYTHON_IN_VENV := $(VENV)/bin/python
QUICK_TESTS := $(wildcard tests/test_*.py tests/unit tests/schedules tests/protocol)
TESTS_OF_JOBS := $(wildcard $(addprefix tests/,contract crash docs ecosystem engines lite macos notebooks plugins protocol schedules security unit))
ALLOW_ROOT := $(if $(filter 0,$(shell id -u)),--allow-root)
ifndef SEED
SEED := $(shell od -An -N3 -tu4 /dev/urandom | tr -d ' ')
endif
export PYTHON

.PHONY: help demo lab plugins test test-of-jobs test-of-the-rest check lint types js browser docs try-it test-long test-windows test-python release-check bench lock clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/.installed ## run the first example in a real notebook kernel, jobs shown as they run
	@$(PYTHON_IN_VENV) examples/run_demo.py examples/01_first_queue.ipynb
	@$(PYTHON_IN_VENV) -m tests.browser.picture build/demo.png

lab: $(VENV)/.lab-installed ## open the examples in JupyterLab
	@$(PYTHON_IN_VENV) -m jupyterlab $(ALLOW_ROOT) examples/01_first_queue.ipynb

plugins: $(PLUGINS)/.installed ## environments for the example plugins, some of them large: see examples/03_plugins.ipynb
	@[ -e $(PLUGINS)/.installed ]

test: lint types js browser docs $(VENV)/.installed $(KERNELS)/.installed $(PLUGINS)/.installed $(ECOSYSTEM)/.installed $(CAPABILITIES)/.installed $(LITE)/.installed $(HOSTS)/.installed ## every test but the long ones
	@$(MAKE) --jobs=2 test-of-jobs test-of-the-rest

# The two halves side by side: most tests wait. Whole lines only, so that both can be read.
test-of-jobs:
	@$(PYTHON_IN_VENV) -m pytest $(TESTS_OF_JOBS) | grep --line-buffered ""

test-of-the-rest:
	@$(PYTHON_IN_VENV) -m pytest $(TESTS_OF_JOBS:%=--ignore=%) | grep --line-buffered ""

js: ## the front end: types, lint, unit tests, and that its bundle is up to date
	@.ci/check-js

browser: # a Chromium for the tests that drive one
	@.ci/get-browser

check: lint types js $(VENV)/.installed ## the quick part: style, types, core, schedules, architecture
	@$(PYTHON_IN_VENV) -m pytest $(QUICK_TESTS)

lint: $(VENV)/.installed
	@$(PYTHON_IN_VENV) -m ruff check
	@$(PYTHON_IN_VENV) -m ruff format --check

types: $(VENV)/.installed
	@$(PYTHON_IN_VENV) -m mypy

# Once it is installed it needs no network. A warning is an error; a name that leads nowhere, too.
docs: $(DOCS_VENV)/.installed ## the manual as web pages, in build/docs
	@$(DOCS_VENV)/bin/python -m sphinx -W -n -E --keep-going -q -d build/doctrees docs build/docs

try-it: $(VENV)/.installed $(LITE)/.installed ## a page of files, with no server, to try it on: build/try-it
	@.ci/make-try-it build/try-it $(LITE) $(PYTHON_IN_VENV)

test-long: browser $(VENV)/.installed ## the tests that take minutes, with a new seed (or SEED=…)
	@$(PYTHON_IN_VENV) -m pytest -m long -o timeout=1800 -o faulthandler_timeout=3600 \
	  --hypothesis-profile=long --hypothesis-seed=$(SEED) --seed=$(SEED)

# Not part of `make test`: it asks for Wine, and takes minutes. `LONG=1` kills 50 times each.
test-windows: build/wine/.installed ## what runs on Windows, in Wine, with the Python for Windows
	@.ci/test-windows

# Not part of `make test` either: it asks for root on Debian. `VERSION=3.14` takes one of them.
test-python: build/pythons/.installed ## the quick tests on the newest Pythons, in a Debian sid of its own
	@.ci/test-python

release-check: ## what a release is made of, installed and tried in empty environments of each Python
	@.ci/release-check build/release

bench: $(BENCH_VENV)/.installed ## measure against the peers, in an environment of its own (ONLY=text: some rows)
	@$(BENCH_VENV)/bin/python -m tests.benchmarks --only "$(ONLY)"

lock: ## write the files of pinned versions anew (needs uv)
	@for group in dev docs; do \
	  $${PYTHON:-python3} .ci/requirements-of project $$group | uv pip compile - --upgrade --universal --python-version 3.11 \
	    --generate-hashes --no-header --no-annotate --no-emit-index-url --no-emit-find-links \
	    --quiet --output-file requirements-$$group.lock; \
	done

clean: ## remove everything that was made here
	@rm -rf $(VENV) $(BENCH_VENV) $(DOCS_VENV) $(KERNELS) js/node_modules js/build build dist .hypothesis .mypy_cache .pytest_cache .ruff_cache
	@find jobqueue_widget examples tests -name __pycache__ -prune -exec rm -rf {} +

$(VENV)/.installed: pyproject.toml requirements-dev.lock .ci/make-env .ci/requirements-of
	@.ci/make-env $(VENV) requirements-dev.lock

$(KERNELS)/.installed: $(VENV)/.installed .ci/make-kernels $(wildcard .ci/kernels/*.txt)
	@.ci/make-kernels $(KERNELS) $(PYTHON_IN_VENV)

$(PLUGINS)/.installed: $(VENV)/.installed .ci/make-plugins examples/plugins/make_env.py $(wildcard examples/plugins/*/requirements.txt examples/plugins/*/plugin.json)
	@.ci/make-plugins $(PLUGINS) $(PYTHON_IN_VENV)

$(ECOSYSTEM)/.installed: $(VENV)/.installed .ci/make-ecosystem $(wildcard .ci/ecosystem/*) $(wildcard tests/ecosystem/standins/*.py) tests/ecosystem/standin_wheels.py
	@.ci/make-ecosystem $(ECOSYSTEM) $(PYTHON_IN_VENV)

$(CAPABILITIES)/.installed: .ci/make-capabilities .ci/ecosystem/conda $(wildcard .ci/capabilities/*)
	@.ci/make-capabilities $(CAPABILITIES)

$(LITE)/.installed: $(VENV)/.installed .ci/make-lite $(wildcard .ci/lite/*)
	@.ci/make-lite $(LITE) $(PYTHON_IN_VENV)

$(HOSTS)/.installed: $(VENV)/.installed .ci/make-hosts $(wildcard .ci/hosts/*)
	@.ci/make-hosts $(HOSTS) $(PYTHON_IN_VENV)

build/wine/.installed: .ci/make-wine .ci/requirements-of pyproject.toml
	@.ci/make-wine build/wine

build/pythons/.installed: .ci/make-pythons .ci/in-sid .ci/make-env .ci/requirements-of pyproject.toml
	@.ci/make-pythons build/pythons

$(VENV)/.lab-installed: $(VENV)/.installed
	@.ci/make-env $(VENV) lab
	@touch $@

$(BENCH_VENV)/.installed: pyproject.toml .ci/make-env
	@.ci/make-env $(BENCH_VENV) bench

$(DOCS_VENV)/.installed: pyproject.toml requirements-docs.lock .ci/make-env .ci/requirements-of
	@.ci/make-env $(DOCS_VENV) requirements-docs.lock
