# Everything works from a fresh clone that has Python 3.11 or newer and make.

PYTHON ?= $(shell for each in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$each -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$each && break; \
	done)
VENV ?= .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
INSTALLED_PEERS := $(VENV)/.installed-peers
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
PYTEST := $(BIN)/python -m pytest
# Processes with a server each; the tests of one file stay together. A third fills the waits of two.
# What takes longest comes first: tests/conftest.py knows.
SIDE_BY_SIDE := -n 3 --dist loadfile --no-loadscope-reorder
# On 15 every statement, the plans and the engine; what stands on them is the same on both.
ON_15 := $(patsubst %,tests/integration/test_%.py,statements explain routing_plans run_list_plans \
	statistics_plans claim record record_plan limits groups items flows promoter reaper rounds parked \
	results schedules clock routing chores retention forgetting chore_plans)
POSTGRES_15 := /usr/lib/postgresql/15/bin/postgres
DIR ?= .procession
SHOTS ?= .screenshots
ARGS ?=
SDKS ?= python node java

.PHONY: help up test test-as-user test-sdks test-sdk-python test-sdk-node test-sdk-java check format bench nightly db docs screenshots secrets clean

help:
	@echo "up       start everything on this machine (ARGS='--port 8080')"
	@echo "test     all tests on PostgreSQL 18, the engine's on 15 too where it is installed"
	@echo "test-sdks  build and test the SDKs for Python, Node.js and Java, or say what is missing for one"
	@echo "check    style, types, the direction of imports"
	@echo "format   put the code into the style that check wants"
	@echo "bench    measure the engine beside its peers"
	@echo "nightly  the long forms of the tests"
	@echo "db       psql on the database of up"
	@echo "docs     check that every link in the documents leads somewhere"
	@echo "screenshots  every screen in light, dark and on a phone, of a month of runs (SHOTS=DIR)"
	@echo "secrets  make the secrets of docker-compose.yml, unless they exist"
	@echo "clean    remove what was built; DIR with its database stays"

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is missing" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(INSTALLED): pyproject.toml sdk/python/pyproject.toml | $(BIN)/python
	$(PIP) --editable '.[server,edge,embedded,dev]' --editable sdk/python
	@touch $@

$(INSTALLED_PEERS): $(INSTALLED)
	$(PIP) --editable '.[bench]'
	@touch $@

up: $(INSTALLED)
	$(BIN)/procession up $(ARGS)

# The whole suite comes last, so that its closing line is the last one.
test: $(INSTALLED)
	@if [ -x $(POSTGRES_15) ]; then \
		echo "integration tests on PostgreSQL 15"; \
		PROCESSION_TEST_POSTGRES=15 $(PYTEST) $(SIDE_BY_SIDE) -q $(ON_15); \
	else \
		echo "PostgreSQL 15 is not installed: all tests run on 18 alone"; \
	fi
	$(PYTEST) $(SIDE_BY_SIDE) $(ARGS)

# For root: the same tests as `nobody`, who has to reach this folder and the interpreter.
test-as-user: $(INSTALLED)
	@home=$$(mktemp -d) && trap 'rm -rf "$$home"' EXIT && chown nobody "$$home" && \
	setpriv --reuid=nobody --regid=$$(id -g nobody) --clear-groups --inh-caps=-all \
		env HOME="$$home" TMPDIR="$$home" PYTHONDONTWRITEBYTECODE=1 \
		sh -c 'exec "$$@"' sh $(PYTEST) -p no:cacheprovider $(ARGS)

# The real server of their tests is this one.
test-sdks: export PROCESSION = $(abspath $(BIN)/procession)
test-sdks: export PROCESSION_BIN = $(abspath $(BIN)/procession)
test-sdks: $(INSTALLED)
	@failed=0; for each in $(SDKS); do \
		$(MAKE) --no-print-directory test-sdk-$$each || failed=1; \
	done; exit $$failed

test-sdk-python: $(INSTALLED)
	$(PYTEST) -q sdk/python/tests tests/acceptance/test_sdk_python.py $(ARGS)

test-sdk-node: $(INSTALLED)
	@if ! node -e 'process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)' 2>/dev/null; then \
		echo "sdk/node: skipped, there is no Node.js of 20 or newer (node)"; \
	elif ! command -v npm >/dev/null; then \
		echo "sdk/node: skipped, there is no npm"; \
	elif [ ! -d sdk/node/node_modules ] && ! (cd sdk/node && npm ci --silent --no-audit --no-fund); then \
		echo "sdk/node: skipped, its packages cannot be installed: is a registry of npm reachable?"; \
	else \
		cd sdk/node && npm test; \
	fi

# It says itself what is missing.
test-sdk-java: $(INSTALLED)
	@$(MAKE) --no-print-directory -C sdk/java test

check: $(INSTALLED)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/procession openapi --check

format: $(INSTALLED)
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

bench: $(INSTALLED_PEERS)
	$(BIN)/python -m benchmarks engine --runs 5000 --tasks 10 $(ARGS)

nightly: $(INSTALLED)
	PROCESSION_LONG=1 $(PYTEST) -o timeout=0 $(ARGS)

db: $(INSTALLED)
	$(BIN)/python -m scheduler.embedded $(DIR)

docs: $(INSTALLED)
	$(PYTEST) -q tests/unit/test_docs.py

screenshots: $(INSTALLED)
	$(BIN)/python -m tests.support.screenshots $(SHOTS) $(ARGS)

# The folder keeps others out; the files in it must be readable to the containers' own users.
secrets:
	@umask 077 && mkdir -p secrets && $(PYTHON) -c "$$MAKE_SECRETS"

define MAKE_SECRETS
import base64, pathlib, secrets
folder = pathlib.Path("secrets")
known = folder / "database_password"
password = known.read_text() if known.exists() else secrets.token_urlsafe(32)
made = {
    "database_password": password,
    "database_url": f"postgresql://procession:{password}@postgres/procession",
    "admin_token": f"pn_admin_{secrets.token_urlsafe(32)}",
    "secret_keys": base64.b64encode(secrets.token_bytes(32)).decode(),
}
for name, value in made.items():
    if not (folder / name).exists():
        (folder / name).write_text(value)
        (folder / name).chmod(0o644)
endef
export MAKE_SECRETS

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis dist .screenshots
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
