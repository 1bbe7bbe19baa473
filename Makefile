# make run and make test do everything on a fresh machine with Python 3.11.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
STAMP := .venv/.installed
CONTRACT := tests/contract
NODE := $(CONTRACT)/node_modules/.installed
NODE_BIN := $(CONTRACT)/node_modules/.bin
GENERATOR := clients/.generator/.installed

.PHONY: run test check contract clients fuzz security bench mutation openapi release lock install

run: install
	@exec $(BIN)/ninety serve

test: install
	$(BIN)/python -m pytest -n auto $(ARGS)

check: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/bandit -q -ll -r app -c pyproject.toml
	$(BIN)/ninety openapi | diff - openapi.json || { echo "openapi.json is stale: make openapi"; exit 1; }
	$(BIN)/python -m tests.checks

# What the OpenAPI document is held to: the rules of OWASP and of OpenAPI, and that it breaks nobody's client.
contract: install $(NODE)
	$(NODE_BIN)/spectral lint --ruleset $(CONTRACT)/spectral.js --fail-severity error --display-only-failures openapi.json
	$(NODE_BIN)/redocly lint --config $(CONTRACT)/redocly.yaml openapi.json
	$(BIN)/python -m tests.contract.breaking

# A TypeScript and a Python client in ./clients, type-checked, and tried on a live service.
clients: install $(NODE) $(GENERATOR)
	$(BIN)/python -m tests.contract.clients

$(NODE): $(CONTRACT)/package-lock.json
	@command -v npm > /dev/null || { echo "this needs Node.js 20.19 or later, with npm; make run and make test do not"; exit 1; }
	npm ci --prefix $(CONTRACT) --ignore-scripts --no-audit --no-fund
	@touch $@

$(GENERATOR): $(CONTRACT)/generator.lock
	$(PYTHON) -m venv clients/.generator
	clients/.generator/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

# schemathesis with all checks and phases, once per role. CI asks a fixed seed and few cases.
fuzz: install
	$(BIN)/python -m tests.contract.fuzz $(or $(ARGS),--examples 50)

# The figures of security in one table: everything hostile to everything, by everybody. Takes a while.
security: install $(NODE)
	$(BIN)/python -m tests.security

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
	$(BIN)/uv pip compile pyproject.toml --extra dev $(LOCK_OPTIONS) -o requirements-dev.lock
	$(BIN)/uv pip compile $(CONTRACT)/generator.in $(LOCK_OPTIONS) -o $(CONTRACT)/generator.lock
LOCK_OPTIONS := --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-annotate \
	--no-emit-index-url --no-emit-find-links --custom-compile-command "make lock"

install: $(STAMP)
$(STAMP): requirements-dev.lock pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $(STAMP)
