# The verbs of this project. Each does all its own set-up and is quick the second time.
#   make demo         everything on this machine, an avatar that talks in the browser
#   make test         every test        make test-quick   the quick part (under 3 minutes)
#   make bench-avatar ARGS="--sessions 4 --most"   how many avatars this machine carries
#   make lint         every linter      make bench        figures, each against something
#   make fuzz MINUTES=10   hostile bytes for every parser and session   make soak MINUTES=30   hundreds of viewers that come and go
#   make client  the client's methods and the commands, from the API's document       make api-test EXAMPLES=200   hostile requests to every operation
#   make faults       what watchers and joiners see when Redis, PostgreSQL, an orchestrator or a node fails
#   make build        .venv with `avacast` in it          make lock   renew the lock files

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help
.PHONY: help client api-test build demo test test-quick test-rust test-web lint bench bench-avatar fuzz soak faults lock clean

PY := .venv/bin/python
STAMPS := .build
MINUTES ?= 10
EXAMPLES ?= 200
export PATH := $(CURDIR)/.venv/bin:$(PATH)
# Compiled once, here: where nothing may be written later, each start of a process would compile 3 s worth of modules.
export UV_COMPILE_BYTECODE := 1

PACKAGES := avacast common sfu speech origin relay hls speech_service orchestrator
RUST := Cargo.toml Cargo.lock $(shell find crates -name '*.rs' -o -name Cargo.toml)
WEB := $(shell find web -path web/node_modules -prune -o -path web/dist -prune -o -type f -print)

help:
	@sed -n 's/^#   //p' Makefile

# --- set-up -----------------------------------------------------------------------------------------

$(STAMPS)/tools-%:
	@mkdir -p $(STAMPS)
	@bash infra/setup/tools.sh $*
	@touch $@

$(STAMPS)/venv: $(STAMPS)/tools-build
	@test -x $(PY) || { echo "• virtual environment"; python3 -m venv .venv; }
	@$(PY) -m pip install --quiet --disable-pip-version-check uv==0.13.8
	@touch $@

$(STAMPS)/run-packages: $(STAMPS)/venv requirements/run.txt
	@echo "• Python packages"
	@uv pip install --quiet --python $(PY) --require-hashes -r requirements/run.txt
	@touch $@

$(STAMPS)/test-packages: $(STAMPS)/run-packages requirements/test.txt
	@echo "• Python packages of the tests"
	@uv pip install --quiet --python $(PY) --require-hashes -r requirements/test.txt
	@touch $@

$(STAMPS)/native: $(STAMPS)/run-packages pyproject.toml $(RUST)
	@echo "• Rust core (a few minutes the first time)"
	@touch $@.begun
	@maturin develop --release --locked --uv
	@mv $@.begun $@  # as old as the build's beginning: what was edited meanwhile is built the next time

$(STAMPS)/web-packages: $(STAMPS)/tools-build web/package.json web/package-lock.json
	@echo "• web packages"
	@cd web && npm ci --silent --no-fund --no-audit
	@touch $@

$(STAMPS)/web: $(STAMPS)/web-packages $(WEB)
	@echo "• web pages"
	@cd web && npm run --silent build
	@touch $@

$(STAMPS)/assets: $(STAMPS)/tools-build orchestrator/assets/package.json orchestrator/assets/package-lock.json
	@echo "• Swagger UI, country database"
	@cd orchestrator/assets && npm ci --silent --no-fund --no-audit --ignore-scripts
	@touch $@

build: $(STAMPS)/native $(STAMPS)/web $(STAMPS)/assets
	@$(PY) -m compileall -q $(PACKAGES)

# --- verbs ------------------------------------------------------------------------------------------

demo: build
	@avacast up

test-rust: $(STAMPS)/tools-build
	@cargo test --workspace --locked --quiet

test-web: $(STAMPS)/web
	@cd web && npm run --silent test

# Unit tests and stories of sockets and processes on every core; browsers and bad links one at a time, for they measure what people see.
UNITS := $(PY) -m pytest tests/unit -n auto --dist loadfile
STORIES := $(PY) -m pytest tests/integration -n auto --maxprocesses 4 --dist loadfile

# A publisher, a relay, their viewers, and the cluster that they are in.
QUICK := tests/integration/test_sfu_publish.py tests/integration/test_relay.py tests/integration/test_orchestrator_nodes.py

test: build $(STAMPS)/test-packages $(STAMPS)/tools-test test-rust test-web
	@$(UNITS) -q
	@$(PY) -m pytest --ignore tests/unit --ignore tests/integration
	@$(STORIES)

test-quick: build $(STAMPS)/test-packages test-rust test-web
	@$(UNITS) -q -m "not slow"
	@$(PY) -m pytest -q -m "not slow" $(QUICK)

lint: build $(STAMPS)/test-packages
	@ruff format --check .
	@ruff check .
	@mypy
	@lint-imports --no-logo
	@cargo fmt --all --check
	@cargo clippy --workspace --all-targets --locked --quiet -- -D warnings
	@RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --locked --quiet -p wire -p sfu -p node
	@cd web && npm run --silent lint

bench-avatar: build $(STAMPS)/test-packages
	@$(PY) bench/avatar.py $(ARGS)

bench: build $(STAMPS)/test-packages $(STAMPS)/tools-test
	@for one in $(filter-out bench/soak.py bench/faults.py,$(wildcard bench/*.py)); do $(PY) $$one; done

fuzz: $(STAMPS)/venv $(STAMPS)/tools-build
	@$(PY) tests/fuzz.py --minutes $(MINUTES)

client: build $(STAMPS)/test-packages
	@$(PY) -m avacast.bindings

api-test: build $(STAMPS)/test-packages
	@AVACAST_API_EXAMPLES=$(EXAMPLES) $(PY) -m pytest tests/integration/test_api_schema.py --timeout 3600

soak: build $(STAMPS)/test-packages
	@$(PY) bench/soak.py --minutes $(MINUTES)

faults: build $(STAMPS)/test-packages $(STAMPS)/tools-test
	@$(PY) bench/faults.py $(ARGS)

lock: $(STAMPS)/venv
	@uv pip compile --quiet --generate-hashes --no-header --no-annotate --python-version 3.11 --extra origin -o requirements/run.txt pyproject.toml requirements/build.in
	@uv pip compile --quiet --generate-hashes --no-header --no-annotate --python-version 3.11 --extra origin --extra loadtest --extra test -o requirements/test.txt -c requirements/run.txt pyproject.toml

clean:
	@rm -rf $(STAMPS) target web/dist web/node_modules .venv common/_native*.so
