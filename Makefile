# AURA's commands. Each makes the environment it needs first; `make` lists them.

PROFILE ?= flights
RUN_ARGS ?=
PYTEST_ARGS ?=
SEEDS ?= 20
CHAOS_ARGS ?=
AGENTS ?= 100000
PORT ?= 8080
BIN := .venv/bin
BROKER := $(BIN)/python infra/kafka/broker.py
LOCK := $(BIN)/uv pip compile pyproject.toml --universal --fork-strategy fewest --generate-hashes \
	--no-emit-index-url --custom-compile-command "make lock" --quiet

.DEFAULT_GOAL := help
.PHONY: help run test chaos lint format docs rules bench bench-peers broker broker-stop lock clean

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: .venv/.stamp ## run the main job: bundled flights, or PROFILE=minimal|distributed|reference or a TOML file
	@$(BIN)/aura run --profile $(PROFILE) $(RUN_ARGS)

test: .venv/.stamp-dev ## run every test against a real Kafka broker; PYTEST_ARGS="-k window" for some
	@$(BIN)/python -m pytest $(PYTEST_ARGS)

chaos: .venv/.stamp-dev ## kill processes and brokers at SEEDS=20 seeded moments; nothing may be lost or doubled
	@PYTHONPATH=.:tests $(BIN)/python -m chaos --seeds $(SEEDS) $(CHAOS_ARGS)

lint: .venv/.stamp-dev ## check style, types, the direction of imports, and the shape of the code
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python tools/shape.py

format: .venv/.stamp-dev ## put the code into the form that lint asks for
	@$(BIN)/ruff check --fix-only
	@$(BIN)/ruff format

docs: .venv/.stamp-dev ## write the reference and the contract anew from the code
	@$(BIN)/python tools/contract.py
	@$(BIN)/python tools/reference.py

rules: .venv/.stamp-dev ## make the alerting rules for Kubernetes from those of Prometheus
	@$(BIN)/python tools/prometheus_rule.py > infra/k8s/base/prometheus-rule.yaml

bench: .venv/.stamp-dev ## measure everything with a target, in under ten minutes
	@$(BIN)/python -m benchmarks

bench-peers: .venv/.stamp-dev ## the same job by Bytewax alone and by polars, beside AURA
	@$(BIN)/python -m benchmarks.peers

prove: .venv/.stamp-dev ## run what each promise is shown by, and write docs/proof.md (an hour; PROVE_ARGS="--only again" for some)
	@$(BIN)/python tools/prove.py $(PROVE_ARGS)

demo: .venv/.stamp ## the live dashboard at http://127.0.0.1:8080; AGENTS=1000000, FLIGHTS=1, KAFKA=1 (after make broker), PORT=8081
	@$(BIN)/aura demo --agents $(AGENTS) --port $(PORT) $(if $(FLIGHTS),--flights) $(if $(KAFKA),--kafka)

page: ## build the dashboard's page anew (Node.js 20 or later)
	@cd dashboard/page && npm ci --no-audit --no-fund && npm run build

broker: .venv/.stamp ## start a real Kafka broker on 127.0.0.1:9092 and leave it running
	@$(BROKER) start

broker-stop: .venv/.stamp ## stop it
	@$(BROKER) stop

lock: .venv/.stamp-dev ## resolve the dependencies anew: requirements*.txt, with hashes
	@$(LOCK) --extra build --output-file requirements.txt --upgrade
	@$(LOCK) --extra build --extra dev --constraint requirements.txt --output-file requirements-dev.txt --upgrade

clean: ## remove what these commands made, the environment included
	rm -rf .venv out .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The environment: what runs comes with .stamp, what checks with .stamp-dev; either is made again when its lock changes.
.venv/.stamp: requirements.txt pyproject.toml tools/make_venv
	@tools/make_venv requirements.txt
	@touch $@

.venv/.stamp-dev: requirements-dev.txt .venv/.stamp
	@tools/make_venv requirements-dev.txt
	@touch $@
