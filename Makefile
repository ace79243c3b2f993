# `make repro` and `make test` are all the set-up there is. Run `make help` for the rest.
SHELL := /bin/bash
PYTHON ?= python3
VENV ?= .venv
JOBS ?= 2
KILLS ?= 15
CASES ?= 10
# The index that torch comes from; without, the build that fits this machine: docs/install.md.
TORCH_INDEX ?=
# What Windows and browsers alone would need.
OTHERS = httpx2-jsfetch pywin32 tzdata
export PATH := $(abspath $(VENV))/bin:$(PATH)
.DEFAULT_GOAL := help
.PHONY: help env demo lock lint format typecheck test test-slow repro check-small check-repro readme
.PHONY: docs notebook dataset-pages model-pages variant-pages plot-templates flip seeds bench clean-metrics dag camvid faults open rehearse

help:  ## List the targets
	@grep -hE '^[a-zA-Z0-9_-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

env: $(VENV)/.complete  ## Make the environment from requirements.lock

$(VENV)/.complete: requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11, 5) and "Python 3.11.5 or newer is needed: make PYTHON=python3.11")'
	$(PYTHON) scripts/environment.py $(VENV) $(TORCH_INDEX)
	touch $@

lock: env  ## Resolve requirements.lock again from pyproject.toml
	uv pip compile --quiet --universal --python-version 3.11.5 --all-extras --no-header --no-annotate \
	  $(foreach name,pip setuptools $(OTHERS),--no-emit-package $(name)) \
	  --output-file requirements.lock pyproject.toml

lint: env  ## Check style, imports, docstrings and types
	ruff check .
	ruff format --check .
	mypy

format: env  ## Format the code
	ruff check --fix .
	ruff format .

typecheck: env  ## Check types only
	mypy

test: env  ## Run all but the slow tests, a file at a time on each of two cores, one thread each
	OMP_NUM_THREADS=1 python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m "not slow"

test-slow: env  ## Run the slow tests: what takes long, or has a fast one of its kind
	OMP_NUM_THREADS=1 python -m pytest -m slow

demo: env  ## Measure two mini ViTs and a floor on frames rendered here, in a minute
	patchlens demo --degrade

repro: env  ## Reproduce all results of params.yaml, JOBS stages at a time; FORCE=1: every stage; ENGINE=ray
	patchlens repro --jobs $(JOBS) $(if $(ENGINE),--engine $(ENGINE)) $(if $(filter-out 0,$(FORCE)),--force)

check-small: env  ## Compare every score of a miniature with that of REV (default HEAD), within 2 minutes
	python scripts/check_small.py $(REV)

check-repro: env  ## Reproduce HEAD in a fresh clone and compare its metrics with the committed ones
	scripts/check_repro.sh

readme: env  ## Put tables and what made them into README, docs and metrics, before a commit
	python scripts/machine.py
	python scripts/answer.py
	python scripts/embed.py docs/variance.md variance metrics/tables/variance.md
	python scripts/embed.py docs/variance.md claims metrics/claims/claims.md
	python scripts/embed.py docs/results-minicity.md results metrics/tables/results.md
	python scripts/embed.py docs/results-minicity.md variance metrics/tables/variance.md
	python scripts/embed.py docs/results-minicity.md claims metrics/claims/claims.md
	python scripts/result_figures.py docs/results
	for task in segmentation identification retrieval tracking; do \
	  python scripts/embed.py docs/$$task.md $$task metrics/tables/$$task.md || exit 1; done
	python scripts/reference_page.py

docs: env  ## Build the docs as a site in reports/docs, without network; a dead link is an error
	NO_MKDOCS_2_WARNING=1 mkdocs build

notebook: env  ## Write the notebook of the examples from its script
	python scripts/notebook.py

flip: env  ## Run the example in docs/claims.md of a verdict that an edit flips (HEAD must be reproduced)
	scripts/flip_example.sh

dataset-pages: env  ## Write docs/datasets/ from the catalogue of datasets
	python scripts/dataset_pages.py

model-pages: env  ## Write docs/models.md from the registry
	python scripts/model_pages.py

variant-pages: env  ## Write docs/variants.md from the table of variants
	python scripts/variant_pages.py

plot-templates: env  ## Write DVC's plot templates, .dvc/plots/, from the charts of the site
	python scripts/plot_templates.py

bench: env  ## Measure speed and memory; write the table to docs/bench.md
	python scripts/bench.py

camvid: env  ## Reproduce docs/results-camvid.md (needs data/external, see presets/camvid.yaml)
	scripts/results_camvid.sh

open: env  ## Answer the paper's questions on open data: fetch, run, name the page; SMALL=1: on a laptop in a night
	scripts/open.sh open$(if $(filter-out 0,$(SMALL)),-small)

rehearse: env  ## Run the presets paper and open end to end in miniature: 21 CPU minutes on 2 cores
	python scripts/rehearse

faults: env  ## Give a miniature CASES bad things of each of four parts, then KILLS random kills; tables to docs/reliability.md
	python scripts/faults cases --some $(CASES) --write && ended=0 || ended=1; \
	  python scripts/faults kills --random $(KILLS) --aimed 20 --write && exit $$ended

seeds: env  ## Show how far two training seeds of the mini models lie apart (HEAD must be reproduced)
	scripts/results_seeds.sh

clean-metrics: env  ## Remove metrics of models and datasets that params.yaml no longer lists
	patchlens clean-metrics

dag: env  ## Print the stage graph
	dvc dag
