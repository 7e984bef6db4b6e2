# Every target makes the environment it needs, says what it does, and can be run again at once.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
BENCH  := .venv-bench
READY  := $(VENV)/.ready
# Tests to record or to run live: all that talk to the server, unless named (`make record T=tests/core/test_chat.py`).
T      ?= tests

# Without its compiled modules each process that a test starts would compile the package anew.
unexport PYTHONDONTWRITEBYTECODE

# $(call set_up,FOLDER,WHAT): a virtual environment with what pip installs there, for a target that is its mark.
define set_up
@$(PYTHON) -m venv $(1)
@$(1)/bin/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
@$(1)/bin/python -m pip install --quiet --disable-pip-version-check $(2)
@touch $@
endef

.DEFAULT_GOAL := help
.PHONY: help bench soak demo test test-all test-live lab lab-stop record lint typecheck format \
	bench-load bench-failover test-cluster bench-cluster test-corpora test-langgraph-dev test-langchain-agents traces \
	docs docs-serve docs-test docs-pictures docs-shots docs-tables test-migration dist test-wheel test-minimum test-newest test-pythons test-python

help: ## Say what can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  make %-14s %s\n", $$1, $$2 }'

$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
		{ echo "Python 3.10 or newer is needed; $(PYTHON) is $$($(PYTHON) -V 2>&1). Name another: make PYTHON=python3.12"; exit 1; }
	@echo "Setting up $(VENV): the package and what its tests need (once; a minute or two)"
	@$(PYTHON) -m venv $(VENV) || \
		{ echo "$(PYTHON) cannot make a virtual environment; on Debian and Ubuntu: apt-get install python3-venv"; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[all]' --group dev
	@touch $@

demo: $(READY) ## Ask a chain and a document question, of a server if one answers, else of a recording
	@$(LAB_IF_UP) $(BIN)/python examples/quickstart.py

test: $(READY) ## Run the tests on the recordings, with the network blocked (a minute)
	@echo "Testing on the recordings in cassettes/, with the network blocked"
	@FUZZ_EXAMPLES=12 $(BIN)/python -m pytest -n auto -m "not slow"

test-all: $(READY) ## The same with the slow tests, which start processes or cut streams at every byte (3 min)
	@echo "Testing on the recordings in cassettes/, with the network blocked, slow tests too"
	@$(BIN)/python -m pytest -n auto

test-live: $(READY) ## Run the tests that talk to a server on the running lab
	@$(LAB) && echo "Testing live on the lab at $$XINFERENCE_ENDPOINT" && $(BIN)/python -m pytest -m "server or live_only" --live $(T)

test-cluster: $(READY) ## Kill workers, add replicas and relaunch models, on a lab that is a cluster (make lab CLUSTER=1)
	@$(LAB) && $(BIN)/python -m pytest -m live_only --live tests/cluster

bench-cluster: $(READY) ## Embed a corpus with one replica and with two, on a lab that is a cluster; writes benchmarks/CLUSTER.md
	@$(LAB) && $(BIN)/python -m benchmarks.cluster

$(BENCH)/.ready: pyproject.toml
	@echo "Setting up $(BENCH) and $(BENCH)-peer: the package and what it is measured against (once; a few minutes)"
	@$(PYTHON) -m venv $(BENCH) && $(PYTHON) -m venv $(BENCH)-peer
	@$(BENCH)/bin/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	@$(BENCH)/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[all]' --group bench
	@$(BENCH)-peer/bin/python -m pip install --quiet --disable-pip-version-check langchain-xinference==0.1.2 aiohttp orjson
	@touch $@

bench: $(BENCH)/.ready ## Measure ours against the floor and the peers, and write benchmarks/RESULTS.md
	@$(BENCH)/bin/python -m benchmarks

bench-load: $(BENCH)/.ready ## Stream to 1 to 256 callers from the running lab, restart it amid that; writes benchmarks/LOAD.md (25 min)
	@$(LAB) && $(BENCH)/bin/python -m benchmarks.load $(LOAD_SECONDS)

bench-failover: $(BENCH)/.ready ## Kill one of two servers under load and bring it back; writes benchmarks/FAILOVER.md (6 min, beside the lab)
	@$(LAB) && LAB_STATE=build/second-lab $(BENCH)/bin/python -m benchmarks.failover

soak: $(READY) ## 20,000 calls against a local server: memory and file descriptors stay flat
	@$(BIN)/python benchmarks/soak.py

lab: ## Start a real Xinference with tiny models; also: make lab MEDIA=0 (quick), make lab CLUSTER=1, make lab XINFERENCE=1.17.1
	@$(PYTHON) -m lab start

lab-stop: ## End the lab and all its processes
	@$(PYTHON) -m lab stop

record: $(READY) ## Record the tests that have no recording yet, or anew what is named: make record T=tests/...
	@$(LAB) && echo "Recording from the lab at $$XINFERENCE_ENDPOINT into cassettes/" && \
		{ $(BIN)/python -m pytest -m server --record=$(if $(filter file,$(origin T)),missing,anew) $(T) || \
		[ $$? -eq 5 ]; }  # 5: nothing to record
	@$(BIN)/python -m pytest -q tests/test_recordings.py -k no_recording_holds

lint: $(READY) ## Look for mistakes, for layout that differs from the formatter's, and for imports that go upward
	@echo "Linting"
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/lint-imports --no-logo

typecheck: $(READY) ## Check the types, strictly
	@echo "Checking types"
	@$(BIN)/mypy

format: $(READY) ## Lay the code out, and mend what can be mended without thought
	@$(BIN)/ruff check --fix-only --quiet . ; $(BIN)/ruff format .

# The documentation and the packages that are published. Their tools have environments of their own.
DOCS_VENV  := .venv-docs
DOCS_READY := $(DOCS_VENV)/.ready

$(DOCS_READY): pyproject.toml
	@echo "Setting up $(DOCS_VENV): what builds the pages and what opens them in a browser (once; a minute)"
	$(call set_up,$(DOCS_VENV),--group docs)

docs: $(DOCS_READY) ## Build the documentation into site/, warnings as errors
	@echo "Building the documentation"
	@NO_MKDOCS_2_WARNING=1 $(DOCS_VENV)/bin/mkdocs build --strict --quiet && echo "Built: site/index.html"

docs-serve: $(DOCS_READY) ## Show the documentation at http://127.0.0.1:8000 while it is written
	@$(DOCS_VENV)/bin/mkdocs serve

docs-test: docs ## Open every page in a headless Chromium: search, errors, a phone's width
	@$(DOCS_VENV)/bin/python -m pytest -c docs/browser/pytest.ini docs/browser

docs-shots: docs ## Take pictures of four pages, on a desktop and a phone, light and dark, into build/shots/
	@$(DOCS_VENV)/bin/python docs/screenshots.py build/shots

docs-tables: $(READY) ## Write the tables anew that the pages take from the code
	@$(BIN)/python -m tests.docs.generated && DOCS_RENEW=1 $(BIN)/python -m pytest -q tests/docs/test_mistakes.py

docs-pictures: $(READY) ## Draw the pictures of the documentation anew, from the real thing (needs the lab)
	@$(LAB) && $(BIN)/python docs/pictures.py

test-migration: $(READY) ## Run the programs "before" of the pages on migration, with the older packages, on the running lab
	@$(LAB) && $(BIN)/python -m tests.docs.befores

CORPORA_VENV  := .venv-corpora
CORPORA_READY := $(CORPORA_VENV)/.ready

$(CORPORA_READY): pyproject.toml
	@echo "Setting up $(CORPORA_VENV): the package, Ray and Dask (once; a few minutes)"
	$(call set_up,$(CORPORA_VENV),--editable '.[all]' --group corpora)

test-corpora: $(CORPORA_READY) ## Embed corpora on Ray and Dask, kill and resume them, on the running lab
	@$(LAB) && echo "Embedding corpora on the lab at $$XINFERENCE_ENDPOINT" && \
		$(CORPORA_VENV)/bin/python -m pytest -c tests/corpora/pytest.ini tests/corpora

GRAPHS_VENV  := .venv-langgraph-dev
GRAPHS_READY := $(GRAPHS_VENV)/.ready

$(GRAPHS_READY): pyproject.toml
	@echo "Setting up $(GRAPHS_VENV): the package and langgraph dev (once; a minute or two)"
	$(call set_up,$(GRAPHS_VENV),--editable '.[langchain]' --group langgraph-dev)

test-langgraph-dev: $(GRAPHS_READY) ## Serve four graphs by langgraph dev, its guard against blocking calls on, on the running lab
	@$(LAB) && $(GRAPHS_VENV)/bin/python -m pytest -c tests/langgraph_dev/pytest.ini tests/langgraph_dev

TRACES_VENV  := .venv-traces
TRACES_READY := $(TRACES_VENV)/.ready

$(TRACES_READY): pyproject.toml
	@echo "Setting up $(TRACES_VENV): the package, ChatOpenAI and two instrumentations of LangChain (once; a minute)"
	$(call set_up,$(TRACES_VENV),--editable '.[langchain]' --group traces)

traces: $(TRACES_READY) ## Trace an agent on ChatXinference and on ChatOpenAI, on the running lab; writes docs/observability.md
	@$(LAB) && $(TRACES_VENV)/bin/python docs/traces.py

AGENTS_VENV  := .venv-langchain-agents
AGENTS_READY := $(AGENTS_VENV)/.ready

$(AGENTS_READY): pyproject.toml
	@echo "Setting up $(AGENTS_VENV): the package, LangChain and what its tests need (once; a minute)"
	$(call set_up,$(AGENTS_VENV),--editable '.[langchain]' --group langchain-agents)

test-langchain-agents: $(AGENTS_READY) ## Run LangChain's own tests of its agents on ChatXinference, under BlockBuster (4 min)
	@$(AGENTS_VENV)/bin/python -m tests.langchain_agents -n 2 --ignore=tests/unit_tests/agents/middleware_typing

RELEASE_VENV  := .venv-release
RELEASE_READY := $(RELEASE_VENV)/.ready
# The Pythons to install the wheel into: make test-wheel PYTHONS="3.10 3.13"
PYTHONS ?= $(PYTHON)
export UV_PYTHON_DOWNLOADS := never

$(RELEASE_READY): pyproject.toml
	@echo "Setting up $(RELEASE_VENV): what builds and checks the packages (once)"
	$(call set_up,$(RELEASE_VENV),--group release)

dist: $(RELEASE_READY) ## Build sdist and wheel into dist/, and check what they hold
	@rm -rf dist && mkdir -p build && $(RELEASE_VENV)/bin/python -m build --installer uv --outdir dist . >build/dist.log 2>&1 || { cat build/dist.log; exit 1; }
	@$(RELEASE_VENV)/bin/twine check --strict dist/* && $(PYTHON) release/wheel_contents.py

test-wheel: dist ## Install the wheel alone and with each extra into fresh environments, and use it
	@for python in $(PYTHONS); do for extra in '' langchain llamaindex cli parquet all; do \
		rm -rf build/fresh && \
		$(RELEASE_VENV)/bin/uv venv --quiet --python "$$python" build/fresh && \
		$(RELEASE_VENV)/bin/uv pip install --quiet --python build/fresh "$$(echo dist/*.whl)$${extra:+[$$extra]}" && \
		(cd build && ./fresh/bin/python -W error ../release/installed.py $$extra) || exit 1; \
	done; done

test-minimum: $(READY) $(RELEASE_READY) ## Run all tests on the oldest dependencies that are admitted
	@mkdir -p build && $(RELEASE_VENV)/bin/uv pip compile --quiet --resolution lowest-direct --extra all --group dev pyproject.toml \
		| $(BIN)/python release/floors.py >build/minimum.txt && cat build/minimum.txt
	@$(call run_tests_on,minimum,--constraint build/minimum.txt,-W ignore::DeprecationWarning)

test-newest: ## Run all tests on the newest dependencies that are admitted
	@$(call run_tests_on,newest)

test-pythons: ## Run all tests on each Python from 3.10 to 3.13 that is on this machine
	@for version in 3.10 3.11 3.12 3.13; do \
		python=$$(ls -d "$$HOME"/.pyenv/versions/$$version.*/bin/python 2>/dev/null | tail -1); python=$${python:-$$(command -v python$$version)}; \
		if ! "$$python" -c 'import sys' 2>/dev/null; then echo "No Python $$version here: left out"; continue; fi; \
		$(MAKE) --no-print-directory test-python PYTHON="$$python" VERSION=$$version || exit 1; \
	done

test-python:
	@$(call run_tests_on,py$(VERSION))

# Our own dependencies are held to their floors; the tools of development are the newest ones either way. What old ones do is
# deprecated by now, and the plugin for pytest of an old anyio is refused by the newest pytest; nothing here uses it.
run_tests_on = echo "Testing on the $(1) dependencies" && rm -rf .venv-$(1) && $(PYTHON) -m venv .venv-$(1) && \
	.venv-$(1)/bin/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1' && \
	.venv-$(1)/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[all]' --group dev $(2) && \
	.venv-$(1)/bin/python -m pip list --disable-pip-version-check 2>/dev/null | grep -E '^(langchain-core|llama-index-core|pydantic) ' && \
	.venv-$(1)/bin/python -m pytest -q -n auto -p no:anyio $(3)

# The lab's address and credentials, as `make lab` left them.
LAB = { test -f .lab/env || { echo "No lab is running here: start one with 'make lab'"; exit 1; }; } && set -a && . ./.lab/env && set +a
# The same for the demo, where the lab may be missing or stopped. What the caller has set himself comes first.
LAB_IF_UP = if [ -z "$$XINFERENCE_ENDPOINT$$XINFERENCE_SERVER_URL" ] && [ -f .lab/env ]; then \
		set -a; . ./.lab/env; set +a; \
		$(BIN)/python -c 'import os, urllib.request as u; u.build_opener(u.ProxyHandler({})).open(os.environ["XINFERENCE_ENDPOINT"] + "/status", timeout=2)' 2>/dev/null \
		|| unset XINFERENCE_ENDPOINT XINFERENCE_API_KEY XINFERENCE_USERNAME XINFERENCE_PASSWORD; fi;
