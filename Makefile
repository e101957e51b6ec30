PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
TEXT ?= $(error give the text: make bench TEXT=tinyshakespeare/input.txt)
STDLIB = $$($(BIN)/python -c "import sysconfig; print(sysconfig.get_path('stdlib'))")

.PHONY: demo test lint bench docs clean

$(VENV)/pip: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	touch $@

$(VENV)/dev: $(VENV)/pip
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	touch $@

# Two minutes on the Python standard library's own source, then a sample of it.
demo: $(VENV)/pip
	rm -rf demo-run
	$(BIN)/unrolled train $(STDLIB) --include "*.py" --run demo-run --minutes 2
	@echo
	$(BIN)/unrolled sample demo-run --length 600 --temperature 0.6 --prime "def "

test: $(VENV)/dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2

lint: $(VENV)/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/dev
	$(BIN)/python benchmarks/overhead.py
	$(BIN)/python benchmarks/shakespeare.py $(TEXT)

docs: $(VENV)/dev
	$(BIN)/python docs/generate.py

clean:
	rm -rf $(VENV) demo-run .pytest_cache .hypothesis .mypy_cache .ruff_cache
