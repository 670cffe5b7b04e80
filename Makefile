# `make demo` runs the main job, `make test` all the tests. Both set up what they need on a fresh Debian machine.
VENV ?= .venv
BIN = $(VENV)/bin
export PATH := $(PATH):/usr/sbin:/sbin

.PHONY: demo demo-article test chaos interop lint coverage fuzz bench budgets rfc rfc-proof clean setup-demo setup-article setup-test
.DEFAULT_GOAL := help

help:
	@echo "make demo    two hosts, etcd, BGP and containers on this machine, as the README shows"
	@echo "make demo-article  the article's cluster: podman, docker, addresses, profiles that are enforced"
	@echo "make test    all the tests"
	@echo "make chaos   a mesh and its etcd harmed at random for twenty rounds; ARGS='--seed N --rounds N'"
	@echo "make interop BIRD, FRR, GoBGP, ExaBGP and OpenBGPD beside pybgp, feature by feature; writes docs/interop.md"
	@echo "make lint    ruff and mypy --strict"
	@echo "make coverage  branch coverage of the codec and the state machine, with its threshold"
	@echo "make fuzz    coverage-guided fuzzing of the decoder, the sessions and the re-encoder; TIME=600: seconds for each"
	@echo "make bench   the benchmarks beside the other daemons, in a short form; writes docs/performance.md"
	@echo "make budgets function calls and memory a route, against what they may be"
	@echo "make rfc     docs/rfc.md from the marks on the tests; make rfc-proof proves them first"
	@echo "make clean   remove what the others made in this folder"

demo: setup-demo
	@./run-isolated.sh $(BIN)/python -m demo $(ARGS)

demo-article: setup-article
	@./run-isolated.sh $(BIN)/python -m demo article $(ARGS)

test: setup-test
	@./run-isolated.sh $(BIN)/python -m pytest $(ARGS)

# docs/chaos.md says what is done, and what must hold after each round.
chaos: setup-test
	@./run-isolated.sh $(BIN)/python -m tests.e2e.chaos $(ARGS)

# Every daemon with every feature; docs/interop.md is what it prints. ARGS: daemons or features, to run only those.
interop: setup-test
	@./run-isolated.sh $(BIN)/python -m tests.interop $(ARGS)

lint: setup-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

coverage: setup-test
	@./run-isolated.sh $(BIN)/python -m pytest tests/messages tests/fsm tests/test_session.py tests/test_session_errors.py \
		--cov=pybgp.messages --cov=pybgp.fsm --cov-branch --cov-report=term $(ARGS)

fuzz: setup-test
	@$(BIN)/python -m tests.fuzz --time $(or $(TIME),20) $(ARGS)

bench: setup-test
	@./run-isolated.sh $(BIN)/python -m benchmarks $(ARGS)

# Function calls and octets a route, against committed budgets.
budgets: setup-test
	$(BIN)/python -m benchmarks.regress $(ARGS)

# docs/rfc.md: which test shows which section; the proof breaks the code that each names.
rfc: setup-test
	$(BIN)/python -m tests.rfc

rfc-proof: setup-test
	@./run-isolated.sh $(BIN)/python -m tests.rfc prove $(ARGS)

setup-demo:
	@./setup.sh $(VENV) demo

setup-article:
	@./setup.sh $(VENV) article

setup-test:
	@./setup.sh $(VENV) test

clean:
	rm -rf $(VENV) .fuzz build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
