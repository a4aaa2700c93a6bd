# Every target is one readable command; `make` alone prints them by section.
SHELL       := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
PYTHON  ?= python3
FLOE    := .venv/bin/floe
PYTHONS := 3.11 3.12 3.13

.PHONY: help
help:
	@awk 'BEGIN {FS = ":.*## "} /^## / {printf "\n%s\n", substr($$0, 4)} /^[a-z-]+:.*## / {printf "  make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

## Try it on this machine, without Kubernetes

.PHONY: demo demo-ui verify-demo
demo: environment ## Generate, commit to Iceberg, transform, check to the cent; writes build/report.html
	@$(FLOE) demo $(ARGS)

demo-ui: environment ## The same platform under Dagster's UI on 127.0.0.1:3000 (PORT=... for another)
	@$(FLOE) demo-ui $(if $(PORT),--port $(PORT)) $(ARGS)

verify-demo: environment ## Check the demo's data again: generator = bronze = gold, to the row and the cent
	@$(FLOE) verify $(ARGS)

## Develop

.PHONY: test lint unit unit-pythons bench format lock clean
test: lint unit unit-pythons ## Everything that must hold: checkers, all tests, every supported Python

lint: test-environment ## Formatting, style, types, SQL
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy
	.venv/bin/sqlfluff lint --disable-progress-bar pipeline/dbt

unit: test-environment ## All tests with coverage (ARGS="-k name" for some)
	.venv/bin/pytest --numprocesses 2 --dist loadgroup --cov --cov-report=term:skip-covered $(ARGS)

unit-pythons: test-environment ## Unit tests on the other supported Pythons that this machine has
	@for version in $(PYTHONS); do \
	  $(PYTHON) scripts/environment.py test --python $$version || { [ $$? -eq 3 ] && continue; exit 1; }; \
	  .venv-$$version/bin/pytest --quiet --numprocesses 2 -m "not services and not wheel" $(UNIT_TESTS); \
	done

bench: environment ## Throughput, cost by size, a day of cycles: ratios in build/evidence/bench.json
	@$(FLOE) bench $(ARGS)

format: test-environment ## Format Python and SQL
	.venv/bin/ruff format . && .venv/bin/ruff check --fix . && .venv/bin/sqlfluff fix --quiet pipeline/dbt

LOCK := uv pip compile --quiet --universal --python-version 3.11 --no-emit-index-url --no-header --no-annotate --generate-hashes
lock: ## Resolve the pins again (needs uv on PATH)
	$(LOCK) pipeline/pyproject.toml --extra report --output-file pipeline/requirements.lock
	$(LOCK) pipeline/pyproject.toml --extra report --group pyproject.toml:test --constraints pipeline/requirements.lock --output-file requirements-dev.lock

clean: ## Remove environments, caches and build results
	rm -rf .venv .venv-* .cache build .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage*

# ---- set-up that the targets above do by themselves
.PHONY: environment test-environment
environment:
	@$(PYTHON) scripts/environment.py demo
test-environment:
	@$(PYTHON) scripts/environment.py test
