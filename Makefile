# Every target is one readable command; `make` alone prints them by section.
SHELL       := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
PYTHON  ?= python3
FLOE    := .venv/bin/floe
# Many containers set it, and then each process that we start compiles every module of its own again.
unexport PYTHONDONTWRITEBYTECODE
PYTHONS := 3.11 3.12 3.13
# What depends on the interpreter most, and needs no minute of it; .venv's Python runs everything.
UNIT_TESTS := $(addprefix pipeline/tests/,synthetic verify catalog/contract lake/test_settings.py lake/test_publish.py)

.PHONY: help
help:
	@awk 'BEGIN {FS = ":.*## "} /^## / {printf "\n%s\n", substr($$0, 4)} /^[a-z-]+:.*## / {printf "  make %-20s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

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
	.venv/bin/pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder --cov --cov-report=term:skip-covered $(ARGS)

unit-pythons: test-environment ## Unit tests on the other supported Pythons that this machine has
	@for version in $(PYTHONS); do \
	  $(PYTHON) scripts/environment.py test --python $$version || { [ $$? -eq 3 ] && continue; exit 1; }; \
	  .venv-$$version/bin/pytest --quiet --numprocesses 2 -m "not services and not wheel" $(UNIT_TESTS); \
	done

bench: environment ## Throughput, cost by size, a day of cycles: ratios in build/evidence/bench.json
	@$(FLOE) bench $(ARGS)

format: test-environment ## Format Python and SQL
	.venv/bin/ruff format . && .venv/bin/ruff check --fix . && .venv/bin/sqlfluff fix --quiet pipeline/dbt

LOCK := uv pip compile --quiet --universal --no-emit-index-url --no-header --no-annotate --generate-hashes
lock: ## Resolve the pins again (needs uv on PATH)
	$(LOCK) --python-version 3.11 pipeline/pyproject.toml --extra report --output-file pipeline/requirements.lock
	$(LOCK) --python-version 3.11 pipeline/pyproject.toml --extra report --group pyproject.toml:test --constraints pipeline/requirements.lock --output-file requirements-dev.lock
	$(LOCK) --python-version 3.12 --group pyproject.toml:tools --output-file requirements-tools.lock

clean: ## Remove environments, caches and build results
	rm -rf .venv .venv-* .cache build .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage*

## Charts

.PHONY: test-charts test-cube charts-readme
test-charts: test-environment tools-environment ## Charts rendered and validated with Helm 3 and 4; inputs that playbooks must refuse
	@$(PYTHON) scripts/kubernetes_tools.py
	.venv/bin/pytest --numprocesses 2 --dist worksteal tests/charts tests/playbooks $(ARGS)

test-cube: test-environment ## The data model in a real Cube (from npm, needs Node.js 20) on the embedded lake: numbers, freshness, healing
	.venv/bin/pytest tests/cube $(ARGS)

charts-readme: test-environment ## Write the tables of values into the charts' READMEs
	.venv/bin/python scripts/chart_readme.py charts/*/

## Deploy to a local Kubernetes (TARGET=testbed for the testbed)

.PHONY: deploy-local-full deploy-local-infra deploy-local-dagster deploy-local-cube undeploy-local target-local target-testbed
TARGET ?= local
DEPLOY  = $(TOOLS) ansible-playbook -i inventory/$(TARGET)
deploy-local-full: tools-environment target-$(TARGET) ## Everything, from nothing or from what is there, until all of it is ready
	@$(DEPLOY) deploy.yml $(ARGS)

deploy-local-infra: tools-environment target-$(TARGET) ## Only PostgreSQL, MinIO, Polaris, Jaeger and Marquez, with the catalog made
	@$(DEPLOY) deploy.yml --tags infra $(ARGS)

deploy-local-dagster: tools-environment target-$(TARGET) ## Only Dagster, with the pipeline as it is now, on a deployed infrastructure
	@$(DEPLOY) deploy.yml --tags dagster $(ARGS)

deploy-local-cube: tools-environment target-$(TARGET) ## Only Cube, with the data model as it is now, on a deployed infrastructure
	@$(DEPLOY) deploy.yml --tags cube $(ARGS)

undeploy-local: tools-environment target-$(TARGET) ## Remove the releases and the namespace, and nothing else
	@$(DEPLOY) playbooks/undeploy.yml $(ARGS)

target-local:
target-testbed:
	@$(PYTHON) scripts/kubernetes_tools.py # MinIO's chart, out of its Go module
target-%:
	@echo "floe: TARGET=$* is no folder of inventory/: it is local or testbed" >&2; exit 1

## Use what is deployed (TARGET=testbed for the testbed)

.PHONY: verify generate port-forward status doctor logs psql-cube reset-data explain report connection
CONNECTION = build/$(TARGET)/connection.json
SEEN = environment $(CONNECTION)
verify: $(SEEN) ## Look from outside whether every promise is kept; evidence in build/evidence/verify-stack.json
	@$(FLOE) stack verify --target $(TARGET) $(ARGS)

generate: $(SEEN) ## New orders now, and the seconds until Cube answers with them (ORDERS=500)
	@$(FLOE) stack generate --target $(TARGET) $(if $(ORDERS),--orders $(ORDERS)) $(ARGS)

port-forward: $(SEEN) ## Every UI and API on this machine, also over restarts of pods, until Ctrl-C
	@$(FLOE) stack port-forward --target $(TARGET) $(ARGS)

status: $(SEEN) ## Pods, memory, the last run, rows, freshness, and the one thing to do next (ARGS=--watch)
	@$(FLOE) stack status --target $(TARGET) $(ARGS)

doctor: $(SEEN) tools-environment target-$(TARGET) ## What keeps a deploy or a stack from being well, each with what to do about it
	@$(TOOLS) $(FLOE) stack doctor --target $(TARGET) $(ARGS)

logs: $(SEEN) ## What a part says, until Ctrl-C (SERVICE=dagster-code)
	@$(FLOE) stack logs --target $(TARGET) $(SERVICE) $(ARGS)

psql-cube: $(SEEN) ## SQL to Cube: psql, or one statement (SQL="SELECT MEASURE(count) FROM Orders")
	@$(FLOE) stack psql --target $(TARGET) $(if $(SQL),"$(SQL)") $(ARGS)

reset-data: $(SEEN) ## Drop all tables, and wait until the sensor has seeded them again
	@$(FLOE) stack reset-data --target $(TARGET) $(ARGS)

explain: $(SEEN) ## From a number in Cube to the run behind it (OF=Orders.total_revenue, or an order's id)
	@$(FLOE) stack explain --target $(TARGET) $(or $(OF),Orders.total_revenue) $(ARGS)

report: $(SEEN) ## The page of make demo, from the running stack through Cube; writes build/TARGET/report.html
	@$(FLOE) stack report --target $(TARGET) $(ARGS)

# Where the stack is, by the inventory: written again when that was changed.
connection: tools-environment
	@[ -d inventory/$(TARGET) ] || { echo "floe: TARGET=$(TARGET) is no folder of inventory/: it is local or testbed" >&2; exit 1; }
	@said=$$($(DEPLOY) playbooks/connection.yml 2>&1) || { echo "$$said" >&2; exit 1; }
$(CONNECTION): $(wildcard inventory/local/group_vars/all/*.yml inventory/$(TARGET)/group_vars/all/*.yml)
	@$(MAKE) --no-print-directory connection
	@touch $@

## Testbed: a real Kubernetes on this machine (Linux, root)

.PHONY: testbed-up testbed-down testbed-status test-testbed test-stack test-deploy test-cluster
TOOLS   := export PATH="$(CURDIR)/.venv-tools/bin:$$PATH";
TESTBED := $(TOOLS) ansible-playbook -i inventory/testbed playbooks/testbed.yml
testbed-up: root-on-linux tools-environment ## Build what is not in the cache, start the cluster, give it the images
	@$(TESTBED) -e testbed_state=present $(ARGS)

testbed-down: root-on-linux tools-environment ## Remove the cluster; only the cache of builds stays
	@$(TESTBED) -e testbed_state=absent $(ARGS)

testbed-status: tools-environment ## What is up, since when, and why not; which images are in the node
	@$(TESTBED) -e testbed_state=status $(ARGS)

test-cluster: test-testbed test-stack test-deploy ## Everything that is tested on a real Kubernetes, an hour

test-testbed: root-on-linux tools-environment test-environment ## Playbook linters, a testbed put to use, its life cycle, the doubles' contracts
	$(TOOLS) yamllint --strict . && ansible-lint --offline
	$(TOOLS) molecule test -s testbed
	FLOE_TESTBED_TESTS=1 .venv/bin/pytest tests/testbed tests/doubles

test-stack: root-on-linux tools-environment test-environment environment target-testbed ## The whole stack deployed, verified, changed in parts; the documentation's commands
	$(TOOLS) molecule test -s default
	@$(TESTBED) -e testbed_state=absent

test-deploy: root-on-linux tools-environment test-environment environment target-testbed ## Each role's scenario: refused, deployed, changed, broken, healed, removed
	@$(TESTBED) -e testbed_state=present
	$(TOOLS) molecule test -s pipeline_image
	$(TOOLS) molecule test -s infrastructure
	$(TOOLS) molecule test -s polaris_bootstrap
	$(TOOLS) molecule test -s resilience
	@$(TESTBED) -e testbed_state=absent

# ---- set-up that the targets above do by themselves
.PHONY: environment test-environment tools-environment root-on-linux
environment:
	@$(PYTHON) scripts/environment.py demo
test-environment:
	@$(PYTHON) scripts/environment.py test
tools-environment:
	@$(PYTHON) scripts/environment.py tools
root-on-linux:
	@[ "$$(uname -s)" = Linux ] || { echo "floe: this is $$(uname -s); the testbed needs Linux: use your own Kubernetes (docs/testbed.md)" >&2; exit 1; }
	@[ "$$(id -u)" = 0 ] || { echo "floe: the testbed makes namespaces, mounts and cgroups: run it as root (sudo make ...)" >&2; exit 1; }
