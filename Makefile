# Every target makes the environment it needs, says what it does, and can be run again at once.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
# Tests to record or to run live: all that talk to the server, unless named (`make record T=tests/core/test_chat.py`).
T      ?= tests

.DEFAULT_GOAL := help
.PHONY: help demo test test-live lab lab-stop record lint typecheck format

help: ## Say what can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  make %-10s %s\n", $$1, $$2 }'

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

test: $(READY) ## Run all tests on the recordings, with the network blocked
	@echo "Testing on the recordings in cassettes/, with the network blocked"
	@$(BIN)/python -m pytest

test-live: $(READY) ## Run the tests that talk to a server on the running lab
	@$(LAB) && echo "Testing live on the lab at $$XINFERENCE_ENDPOINT" && $(BIN)/python -m pytest -m server --live $(T)

lab: ## Start a real Xinference with tiny models on this machine
	@$(PYTHON) -m lab start

lab-stop: ## End the lab and all its processes
	@$(PYTHON) -m lab stop

record: $(READY) ## Record the tests that have no recording yet, or anew what is named: make record T=tests/...
	@$(LAB) && echo "Recording from the lab at $$XINFERENCE_ENDPOINT into cassettes/" && \
		{ $(BIN)/python -m pytest -m server --record=$(if $(filter file,$(origin T)),missing,anew) $(T) || \
		[ $$? -eq 5 ]; }  # 5: nothing to record
	@$(BIN)/python -m pytest -q tests/test_recordings.py -k no_recording_holds

lint: $(READY) ## Look for mistakes and for layout that differs from the formatter's
	@echo "Linting"
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .

typecheck: $(READY) ## Check the types, strictly
	@echo "Checking types"
	@$(BIN)/mypy

format: $(READY) ## Lay the code out, and mend what can be mended without thought
	@$(BIN)/ruff check --fix-only --quiet . ; $(BIN)/ruff format .

# The lab's address and credentials, as `make lab` left them.
LAB = { test -f .lab/env || { echo "No lab is running here: start one with 'make lab'"; exit 1; }; } && set -a && . ./.lab/env && set +a
# The same for the demo, where the lab may be missing or stopped. What the caller has set himself comes first.
LAB_IF_UP = if [ -z "$$XINFERENCE_ENDPOINT$$XINFERENCE_SERVER_URL" ] && [ -f .lab/env ]; then \
		set -a; . ./.lab/env; set +a; \
		$(BIN)/python -c 'import os, urllib.request as u; u.build_opener(u.ProxyHandler({})).open(os.environ["XINFERENCE_ENDPOINT"] + "/status", timeout=2)' 2>/dev/null \
		|| unset XINFERENCE_ENDPOINT XINFERENCE_API_KEY XINFERENCE_USERNAME XINFERENCE_PASSWORD; fi;
