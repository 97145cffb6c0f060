# What people and continuous integration call. Each target sets up .venv on first use.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
CORES  ?= $(shell nproc 2>/dev/null || echo 2)
# Tests wait as much as they compute: two at a time for each core, each with one thread.
TESTERS ?= $(shell expr 2 \* $(CORES))
# `make test AGAIN=1` runs what failed last time once more, one test at a time.
ONCE_MORE := $(if $(AGAIN),--last-failed --last-failed-no-failures none -n 0)

# Compiled tests are kept between runs whatever the shell says: each worker would compile all of them anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: setup kernels demo test test-slow test-sweeps test-slurm test-slurm-long test-slurm-campaign lint format docs reference \
  dist bench gpu-check report help

help:
	@echo "make setup       create $(VENV) with everything pinned in constraints.txt"
	@echo "make kernels     add Triton, with which kernels are tested where torch is built for CPUs; 0.7 GB"
	@echo "make demo        train a small ablation on this machine and print its tables"
	@echo "make test        the fast tests; also test-slow, test-sweeps (a part of those),"
	@echo "                 test-slurm (starts a private SLURM), test-slurm-long (its long forms),"
	@echo "                 test-slurm-campaign (SEED=1 EVENTS=1000)"
	@echo "make lint        ruff, mypy and codespell; make format lays the code out"
	@echo "make docs        the documentation site, build/site/index.html; make reference writes docs/reference/ anew"
	@echo "make dist        wheels of product and executor in dist/; TAG=v1.2.3 that of the tag, whose version must fit"
	@echo "make bench       every measurement in benchmarks/, as ratios"
	@echo "make gpu-check   CUDA against CPU, resumption, hidden waits, speed; 24 minutes, skipped without a GPU"
	@echo "make report      results/report.html"

setup: $(READY)

# torch first and by its pinned version: a plain `torch` would take whatever is newest. On a machine with a GPU
# the same command brings the CUDA build.
$(READY): pyproject.toml jobs/pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed")'
	@echo "Set-up, once: torch and what else constraints.txt pins go to $(VENV), some minutes and about 2 GB"
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	@echo "1 of 2: torch"
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	@echo "2 of 2: Snakemake, timm and the others, and this project"
	$(BIN)/python -m pip install --quiet --constraint constraints.txt \
	  --editable '.[demo,dev,imagenet]' --editable ./jobs
	touch $@

# On a machine with a GPU torch brings it; tests of kernels are skipped without it.
kernels: $(READY)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt triton

# Without Snakemake's lock, which a killed demonstration would leave behind: each run is held by the process that
# trains it, and every file is written in one step.
demo: $(READY)
	@$(BIN)/python -m favit watch demo --every 1 \
	  --beside '$(BIN)/snakemake demo --cores $(CORES) --nolock --rerun-incomplete --quiet rules host'
	@$(BIN)/python -m favit.tabulate --show demo

test: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m 'not slow and not slurm' -n $(TESTERS) --dist worksteal $(ONCE_MORE)

test-slow: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m 'slow and not slurm' -n $(CORES) --dist loadfile

# Whole sweeps, trained for real: what is trained again after which change, and ImageNet's layout in miniature; runs
# killed at any moment. The thousands of mutants and what else takes minutes is left to test-slow.
test-sweeps: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m 'slow and not slurm' -n $(CORES) --dist loadfile tests/workflow tests/identity \
	  tests/imagenet tests/analysis tests/planning tests/train/test_resume.py tests/train/test_launch.py jobs/tests \
	  --ignore tests/identity/test_mutants.py \
	  --deselect tests/train/test_resume.py::test_killed_at_ten_random_points_at_length --durations 25 $(ONCE_MORE)

# Three private SLURMs beside each other, for the tests wait more than they work. What takes long has its long form in
# test-slurm-long, and a short one here.
test-slurm: $(READY)
	$(BIN)/python -m pytest -m 'slurm and not slow' -n 3 --dist loadfile --durations 25 $(ONCE_MORE)

test-slurm-long: $(READY)
	$(BIN)/python -m pytest -m 'slurm and slow'

# About 40 minutes for 1000 events. It ends with the jobs that were lost, doubled or falsely failed.
SEED   ?= 1
EVENTS ?= 1000
test-slurm-campaign: $(READY)
	PYTHONPATH=jobs/tests/support $(BIN)/python -m campaign --seed $(SEED) --events $(EVENTS)

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	cd jobs && ../$(BIN)/mypy --cache-dir ../.mypy_cache/jobs
	$(BIN)/codespell

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# What only the site needs is installed when the site is first built.
$(VENV)/.docs: $(READY)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[docs]'
	touch $@

# The repository is the source folder, so that links between its pages are the same on disk and in the site.
docs: $(VENV)/.docs
	$(BIN)/python docs/_site/reference.py --check
	$(BIN)/python -m sphinx --fail-on-warning --keep-going --quiet -c docs . build/site

# The pages that are made from declarations; a test holds them to a fresh making.
reference: $(READY)
	$(BIN)/python docs/_site/reference.py

# The wheel of what a tag names (v* the product, executor-v* the executor), or of both, in dist/.
TAG ?=
dist:
	$(or $(wildcard $(BIN)/python),$(PYTHON)) .ci/dist.py $(TAG)

bench: $(READY)
	$(BIN)/python benchmarks/all.py

# With the Python that is there: nothing is set up, and torch, timm, einops, numpy and pandas are all that it needs.
gpu-check:
	$(or $(wildcard $(BIN)/python),$(PYTHON)) benchmarks/gpu_check.py

report: $(READY)
	$(BIN)/snakemake report --cores 1
