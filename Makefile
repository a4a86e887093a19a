# Everything from one place. `make help` lists it.
#
# TORCH=DIR takes a LibTorch, or an installed Python torch, that is already there (the folder that holds share/cmake)
# instead of installing one into .venv.

SHELL := /bin/bash
export TORCH

.PHONY: help compare test setup build docs asan bench clean
help:  ## show this
	@grep -E '^[a-z]+:.*##' Makefile | sed -E 's/^([a-z]+):.*##/make \1\t/' | expand -t 16

compare: ## set up, build, train AdaBelief and its rivals on Fashion-MNIST, and make the report (about 8 minutes the first time, then 3)
	@tools/setup run
	@tools/build release adabelief_program
	@build/adabelief compare quick

test: ## set up, build, and run every test
	@tools/setup test
	@tools/build release all
	ctest --test-dir build --output-on-failure --parallel $$(nproc)
	.venv/bin/python -m pytest --numprocesses $$(nproc) --dist loadfile tests/python

setup: ## install what is missing: Debian packages, and Python packages in .venv
	@tools/setup test

build: ## build everything into build/
	@tools/build release all

docs: ## print docs/rules and python/adabelief/rules from the rules, and draw the pictures of docs/belief.md
	@tools/setup run
	@tools/build release docs
	@.venv/bin/python tools/plot_belief.py

asan: ## run the C++ tests under the address and undefined-behaviour sanitizers
	@tools/setup test
	@tools/build asan all
	ctest --test-dir build/asan --output-on-failure --parallel $$(nproc)

bench: ## time the step beside other libraries, and training beside PyTorch; writes docs/performance.md
	@[ -z "$(TORCH)" ] || { echo "make bench: run it without TORCH, since it needs Python's torch too" >&2; exit 1; }
	@tools/setup test
	@tools/build release all
	.venv/bin/python benchmarks/peers.py --write
	.venv/bin/python benchmarks/rules.py --write
	.venv/bin/python benchmarks/forms.py --write
	.venv/bin/python benchmarks/training.py --skip-without-data --write
	.venv/bin/python benchmarks/language.py --skip-without-data --write
	.venv/bin/python benchmarks/gans.py --skip-without-data --write

clean: ## remove build/ (.venv and runs/ stay)
	rm -rf build
