# make demo   sets up, trains on embedded faces, ends with pictures and a report (minutes on a CPU)
# make test   sets up, checks, runs all tests
# make check  lint, types, import contract
# make fast   the quick tests alone
# make ordinary  the numeric tests as on a processor without AVX-512; make test runs it too
# make mutants   do the tests notice small changes of the code? 300 of them; MUTANTS="losses labels" for all of two rooms
# make site   the pages of docs/ as a site, in site/; a link that leads nowhere ends it
# make browser  installs Chromium where it is missing, for the test of the page (Debian, as root)
# make bench  the paper recipe's step against a naive version of it; exported formats; monitors
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: demo test check fast ordinary mutants site browser bench clean

$(VENV)/run: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "stargan needs Python 3.11 or newer: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	@touch $@

$(VENV)/dev: $(VENV)/run
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

demo: $(VENV)/run
	$(BIN)/stargan train experiment=demo

check: $(VENV)/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	PATH="$(abspath $(BIN)):$$PATH" lint-imports

# A process per core with one thread each: many threads on small tensors only wait for each other.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/pytest -n auto --maxprocesses 8 --dist loadfile

test: check
	$(PYTEST)
	$(ORDINARY)

# Torch and oneDNN each have a setting of their own; tests/test_ordinary.py checks that they hold.
ORDINARY = ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 $(PYTEST) -m "numeric and not slow"

ordinary: $(VENV)/dev
	$(ORDINARY)

fast: $(VENV)/dev
	$(PYTEST) -m "not slow"

MUTANTS ?= --sample 300
mutants: $(VENV)/dev
	$(BIN)/python scripts/mutants.py $(MUTANTS)

site: $(VENV)/dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

# Without a browser the tests that need one are skipped; with CI=true they fail instead.
browser:
	@command -v chromium || command -v chromium-browser || command -v google-chrome \
	|| { apt-get update -q && DEBIAN_FRONTEND=noninteractive \
	     apt-get install -y -q --no-install-recommends chromium; } \
	|| { echo "make browser: install Chromium or Chrome by hand" >&2; exit 1; }

bench: $(VENV)/dev
	$(BIN)/python scripts/benchmark_step.py --json runs/bench.json
	$(BIN)/python scripts/benchmark_export.py
	$(BIN)/python scripts/benchmark_health.py experiment=demo method.warmup_steps=0 trainer.max_steps=200

clean:
	rm -rf $(VENV) build dist site *.egg-info
