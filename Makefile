# The two commands are `make demo` and `make test`; `make help` lists the others. Only relative paths are used here, so
# that the path of the clone may hold a space.
PORT ?= 8000
JOBS ?= 2
UV ?= uv
PY = .venv/bin/python
LOCKS = requirements/runtime.txt requirements/sandbox.txt
COMPILE = $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header
export PYTHON

.DEFAULT_GOAL := help
.PHONY: help demo demo-reset test bench check lint types format lock

help:
	@echo "make demo         the whole product with demo data, on http://127.0.0.1:$(PORT) (PORT=8010 for another port)"
	@echo "make demo-reset   the same, with fresh data"
	@echo "make test         every test (ARGS=\"-k seats\" for some, JOBS=4 for more at once)"
	@echo "make bench        the benchmarks, a line a figure"
	@echo "make check        lint and types; make format puts the code in order"
	@echo "make lock         the lock files anew, from pyproject.toml (needs uv)"

# A file of .venv says that the lock files are installed; it is older than they are when they have changed.
.venv/demo.installed: $(LOCKS)
	@.ci/install $@ $(LOCKS)

.venv/dev.installed: $(LOCKS) requirements/dev.txt
	@.ci/install $@ $(LOCKS) requirements/dev.txt

# No shell between make and the demo: a signal to make reaches the demo itself.
demo: .venv/demo.installed
	@$(PY) -m portal.sandbox.demo --port $(PORT)

demo-reset: .venv/demo.installed
	@$(PY) -m portal.sandbox.demo --port $(PORT) --reset

test: .venv/dev.installed
	@$(PY) -m pytest -n $(JOBS) $(ARGS)

bench: .venv/dev.installed
	@$(PY) -m benchmarks $(ARGS)

check: lint types

lint: .venv/dev.installed
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .

types: .venv/dev.installed
	@.venv/bin/mypy .

format: .venv/dev.installed
	@.venv/bin/ruff check --fix .
	@.venv/bin/ruff format .

lock:
	@command -v $(UV) >/dev/null || { echo "uv is needed: https://docs.astral.sh/uv/ (or UV=/path/to/uv)" >&2; exit 1; }
	$(COMPILE) pyproject.toml -o requirements/runtime.txt
	$(COMPILE) --group sandbox -c requirements/runtime.txt -o requirements/sandbox.txt
	$(COMPILE) --group dev -c requirements/runtime.txt -c requirements/sandbox.txt -o requirements/dev.txt
