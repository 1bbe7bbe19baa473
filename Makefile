# make run and make test do everything on a fresh machine with Python 3.11.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
# What was compiled once is kept, wherever the shell says otherwise: it is a third of the time of a start.
unexport PYTHONDONTWRITEBYTECODE
BIN := .venv/bin
STAMP := .venv/.installed
RUNS := .venv/.runs
INSTALLED := $(if $(wildcard $(STAMP)),$(STAMP),$(RUNS))
CONTRACT := tests/contract
NODE := $(CONTRACT)/node_modules/.installed
NODE_BIN := $(CONTRACT)/node_modules/.bin
DEPLOYMENT := tests/deployment
DEPLOYMENT_TOOLS := $(DEPLOYMENT)/.venv/.installed
INTEROP := tests/interop
INTEROP_NODE := $(INTEROP)/node_modules/.installed
INTEROP_PYTHON := $(INTEROP)/.venv/.installed
CONSOLE := console/node_modules/.installed
GENERATOR := clients/.generator/.installed
GENERATORS := $(CONTRACT)/generators
GENERATORS_NODE := $(GENERATORS)/node_modules/.installed
GENERATORS_PYTHON := clients/.generators/.installed

.PHONY: run demo test check contract clients interop deployment console browser bars screenshots fuzz security faults pooler bench mutation openapi release lock \
	install

run: $(INSTALLED)
	@exec $(BIN)/ninety serve

# A made-up week and people at work, in a database of its own that begins anew each time.
demo: $(INSTALLED)
	@rm -rf "$$(readlink -f var/demo/moved || echo var/demo)" var/demo
	@NINETY_DATA_DIR=var/demo exec $(BIN)/ninety demo

test: install
	$(BIN)/python -m pytest -n auto $(ARGS)

# The pure tests and the first way through each room, in less than a minute.
quick: install
	$(BIN)/python -m pytest -n auto @tests/quick.txt $(ARGS)

check: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/bandit -q -ll -r app embedded_postgres -c pyproject.toml
	$(BIN)/ninety openapi | diff - openapi.json || { echo "openapi.json is stale: make openapi"; exit 1; }
	$(BIN)/python -m tests.checks

# What the OpenAPI document is held to: the rules of OWASP and of OpenAPI, and that it breaks nobody's client.
contract: install $(NODE)
	$(NODE_BIN)/spectral lint --ruleset $(CONTRACT)/spectral.js --fail-severity error --display-only-failures openapi.json
	$(NODE_BIN)/redocly lint --config $(CONTRACT)/redocly.yaml openapi.json
	$(BIN)/python -m tests.contract.breaking

# A TypeScript and a Python client in ./clients, type-checked, and tried on a live service. ARGS=--all also makes those of
# other generators, for which Java must be there.
clients: install $(NODE) $(GENERATOR) $(if $(findstring --all,$(ARGS)),$(GENERATORS_NODE) $(GENERATORS_PYTHON))
	$(BIN)/python -m tests.contract.clients
	$(if $(findstring --all,$(ARGS)),$(BIN)/python -m tests.contract.all_clients)

# Clients that nobody of this project wrote, against the live service. ARGS=--quick leaves out those of Python.
interop: install $(INTEROP_NODE) $(if $(findstring --quick,$(ARGS)),,$(INTEROP_PYTHON))
	$(BIN)/python -m tests.interop $(ARGS)

# The chart as Helm renders it, held to the schemas of Kubernetes, and the Dockerfile by hadolint.
deployment: install $(DEPLOYMENT_TOOLS)
	$(BIN)/python -m pytest $(DEPLOYMENT) $(ARGS)

# The live console, from its sources into the package: types from openapi.json, checked strictly, then bundled.
console: $(CONSOLE)
	cd console && npx openapi-typescript ../openapi.json --default-non-nullable false -o src/api/schema.d.ts > /dev/null
	cd console && npx tsc --strict -p .
	cd console && node build.mjs

# The console in a real browser. It needs chromium: apt-get install chromium, or its place in CHROMIUM.
browser: install $(CONSOLE)
	$(BIN)/python -m pytest tests/browser --browser $(ARGS)

# What the console may cost in the browser, in one table. ARGS=--long watches the heap for ten minutes.
bars: install
	$(BIN)/python -m tests.browser.bars $(ARGS)

# The pictures of docs/console.md and of the README, from the demonstration.
screenshots: install
	$(BIN)/python -m tests.browser.screenshots

$(CONSOLE): console/package-lock.json
	@command -v npm > /dev/null || { echo "this needs Node.js 20.19 or later, with npm; make run and make test do not"; exit 1; }
	npm ci --prefix console
	@touch $@

$(NODE): $(CONTRACT)/package-lock.json
	@command -v npm > /dev/null || { echo "this needs Node.js 20.19 or later, with npm; make run and make test do not"; exit 1; }
	npm ci --prefix $(CONTRACT) --ignore-scripts --no-audit --no-fund
	@touch $@

$(INTEROP_NODE): $(INTEROP)/package-lock.json
	@command -v npm > /dev/null || { echo "this needs Node.js 20.19 or later, with npm; make run and make test do not"; exit 1; }
	npm ci --prefix $(INTEROP) --ignore-scripts --no-audit --no-fund
	@touch $@

$(INTEROP_PYTHON): $(INTEROP)/python.lock
	$(PYTHON) -m venv $(INTEROP)/.venv
	$(INTEROP)/.venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

$(DEPLOYMENT_TOOLS): $(DEPLOYMENT)/tools.lock
	$(PYTHON) -m venv $(DEPLOYMENT)/.venv
	$(DEPLOYMENT)/.venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

$(GENERATOR): $(CONTRACT)/generator.lock
	$(PYTHON) -m venv clients/.generator
	clients/.generator/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

$(GENERATORS_NODE): $(GENERATORS)/package-lock.json
	@command -v npm > /dev/null || { echo "this needs Node.js 20.19 or later, with npm; make run and make test do not"; exit 1; }
	npm ci --prefix $(GENERATORS) --ignore-scripts --no-audit --no-fund
	@touch $@

$(GENERATORS_PYTHON): $(GENERATORS)/python.lock
	@command -v java > /dev/null || { echo "openapi-generator needs Java: apt-get install default-jre-headless"; exit 1; }
	$(PYTHON) -m venv clients/.generators
	clients/.generators/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

# schemathesis with all checks and phases, once per role. CI asks a fixed seed and few cases.
fuzz: install
	$(BIN)/python -m tests.contract.fuzz $(or $(ARGS),--examples 50)

# The figures of security in one table: everything hostile to everything, by everybody. Takes a while.
security: install $(NODE)
	$(BIN)/python -m tests.security

# The promises that take a killed, stopped or promoted part to show, with their figures. ARGS=--long takes a while.
faults: install
	$(BIN)/python -m tests.faults $(ARGS)

# What a service does, through PgBouncer in transaction mode, where that is installed.
pooler: install
	$(BIN)/python -m pytest -n auto --pooler $(or $(ARGS),$(THROUGH_POOLER))
THROUGH_POOLER := tests/test_smoke.py tests/test_locks.py tests/tickets/test_opening.py tests/tickets/test_merging.py \
	tests/tickets/test_follow_ups.py tests/customer_merges/test_customer_merging.py

bench: install
	$(BIN)/python -m bench $(ARGS)

# How many planted bugs the tests of the SLA core find. Takes a quarter of an hour; not part of the checks.
mutation: install
	$(BIN)/mutmut run > mutation.log 2>&1 || { tail -n 20 mutation.log; exit 1; }
	@$(BIN)/python -m tests.mutation

openapi: install
	$(BIN)/ninety openapi > openapi.json

# What clients may rely on from now on.
release: contract
	cp openapi.json $(CONTRACT)/released.json

# Newer versions of what the project depends on. The lock names no index and no host.
lock: install
	$(BIN)/uv pip compile pyproject.toml $(LOCK_OPTIONS) -o requirements.lock
	$(BIN)/uv pip compile pyproject.toml --extra run $(LOCK_OPTIONS) -o requirements-run.lock
	$(BIN)/uv pip compile pyproject.toml --extra dev $(LOCK_OPTIONS) -o requirements-dev.lock
	$(BIN)/uv pip compile $(CONTRACT)/generator.in $(LOCK_OPTIONS) -o $(CONTRACT)/generator.lock
	$(BIN)/uv pip compile $(GENERATORS)/python.in $(LOCK_OPTIONS) -o $(GENERATORS)/python.lock
	$(BIN)/uv pip compile $(DEPLOYMENT)/tools.in $(LOCK_OPTIONS) -o $(DEPLOYMENT)/tools.lock
	$(BIN)/uv pip compile $(INTEROP)/python.in $(LOCK_OPTIONS) -o $(INTEROP)/python.lock
LOCK_OPTIONS := --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-annotate \
	--no-emit-index-url --no-emit-find-links --custom-compile-command "make lock"

# What running needs, where the tools of its developers are not there yet.
$(RUNS): requirements-run.lock pyproject.toml
	@echo "Installing what the service needs into .venv; this takes a minute, once."
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --disable-pip-version-check --require-hashes -r requirements-run.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $(RUNS)

install: $(STAMP)
$(STAMP): requirements-dev.lock pyproject.toml
	@echo "Installing the service and the tools of its developers into .venv; this takes some minutes, once."
	@$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $(STAMP)
