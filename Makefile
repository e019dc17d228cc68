# Every target sets up .venv from requirements.lock by itself: uv when present, else pip.
SHELL := /bin/bash
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=

.PHONY: demo test check format bench chaos chaos-full models fuzz image-steps clean lock system-tools

$(VENV)/.ready: requirements.lock pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "make: $(PYTHON) is not on the PATH; install Python 3.11 or 3.12, or say PYTHON=python3.12"; exit 1; }
	@if command -v uv >/dev/null; then \
	  uv venv -q --allow-existing --python $(PYTHON) $(VENV) && uv pip install -q --python $(BIN)/python --require-hashes -r requirements.lock && uv pip install -q --python $(BIN)/python --no-deps -e . ; \
	else \
	  $(PYTHON) -m venv $(VENV) && $(BIN)/pip install -q --disable-pip-version-check --require-hashes -r requirements.lock && $(BIN)/pip install -q --disable-pip-version-check --no-deps -e . ; \
	fi
	@touch $@

demo: $(VENV)/.ready
	@$(BIN)/footstream demo $(ARGS)

system-tools: $(VENV)/.ready
	@$(BIN)/python -m tests.system_tools

# Not reordered by the number of tests: the slowest files have few, and would come last, when one worker is alone with them.
test: $(VENV)/.ready system-tools
	@$(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder $(ARGS)

check: $(VENV)/.ready
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: $(VENV)/.ready
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

bench: $(VENV)/.ready system-tools
	@$(BIN)/python -m tests.bench $(ARGS)

chaos: $(VENV)/.ready system-tools
	@$(BIN)/python -m tests.chaos $(ARGS)

chaos-full: $(VENV)/.ready system-tools
	@$(BIN)/python -m tests.chaos.full --out docs/faults.md $(ARGS)

models: $(VENV)/.ready
	@$(BIN)/python -m tests.models $(ARGS)

fuzz: $(VENV)/.ready
	@$(BIN)/python -m tests.fuzz $(ARGS)

image-steps: $(VENV)/.ready
	@$(BIN)/python -m tests.image_steps

lock:
	uv pip compile pyproject.toml --extra dev --universal --generate-hashes --no-emit-index-url --python-version 3.11 -o requirements.lock -q
	uv pip compile pyproject.toml -c requirements.lock --universal --generate-hashes --no-emit-index-url --python-version 3.11 --no-emit-package pandas --no-emit-package pyarrow -o requirements-image.lock -q

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
