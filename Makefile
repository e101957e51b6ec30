PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
TEXT ?= $(error give the text: make bench TEXT=tinyshakespeare/input.txt)
STDLIB = $$($(BIN)/python -c "import sysconfig; print(sysconfig.get_path('stdlib'))")

BUILD := pyproject.toml constraints.txt CMakeLists.txt $(wildcard src/unrolled/engine/csrc/*)
INSTALL := pip install --quiet --disable-pip-version-check -c constraints.txt

ROOMS := $(addprefix tests/,compiler engine layers lab training)

# Halves of the list, so that what the tests of a file share is made once; who is done early takes from the other.
PARALLEL := -n 2 --dist worksteal

SANITIZE := .venv-sanitize
ASAN = $$(g++ -print-file-name=libasan.so) $$(g++ -print-file-name=libstdc++.so)

.PHONY: demo demo-caption test test-paths fuzz lint bench docs sanitize clean

$(VENV)/pip: $(BUILD)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/$(INSTALL) -e .
	touch $@

# What is tested is the compiled engine. Without a C++ compiler: make test UNROLLED_ENGINE=OFF
$(VENV)/dev: $(BUILD)
	$(PYTHON) -m venv $(VENV)
	UNROLLED_ENGINE=$${UNROLLED_ENGINE:-ON} $(BIN)/$(INSTALL) -e ".[dev]"
	touch $(VENV)/pip $@

$(SANITIZE)/dev: $(BUILD)
	$(PYTHON) -m venv $(SANITIZE)
	UNROLLED_ENGINE=ON $(SANITIZE)/bin/$(INSTALL) --config-settings=install.strip=false \
		--config-settings=cmake.define.UNROLLED_SANITIZE=address,undefined -e ".[dev]"
	touch $@

# Two minutes on the Python standard library's own source, then a sample of it.
demo: $(VENV)/pip
	rm -rf demo-run
	$(BIN)/unrolled train $(STDLIB) --include "*.py" --run demo-run --minutes 2
	@echo
	$(BIN)/unrolled sample demo-run --length 600 --temperature 0.6 --prime "def "

$(VENV)/caption: $(BUILD)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/$(INSTALL) -e ".[caption]"
	touch $(VENV)/pip $@

# A quarter of an hour on drawn scenes, then captions of scenes whose combinations training has not seen, and a page.
demo-caption: $(VENV)/caption
	rm -rf demo-scenes demo-captions
	$(BIN)/unrolled simulate scenes -n 6000 --out demo-scenes
	$(BIN)/unrolled train demo-scenes --run demo-captions
	$(BIN)/unrolled evaluate demo-captions --on test

test: $(VENV)/dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(PARALLEL)

# Random cells against a plain loop: make fuzz CELLS=100000 FROM=0, or make fuzz SECONDS=600
fuzz: $(VENV)/dev
	OMP_NUM_THREADS=1 PYTHONPATH=tests $(BIN)/python -m random_cells.fuzz \
		--from $(or $(FROM),0) $(if $(CELLS),--cells $(CELLS)) $(if $(SECONDS),--seconds $(SECONDS))

# The engine, and the rooms above it that compute most, on the instruction sets that `make test` did not use.
test-paths: $(VENV)/dev
	failed=; \
	for path in $$($(BIN)/python -c "from unrolled.engine import native; print(*(p for p in native.paths() if p != native.path()))"); do \
		echo "UNROLLED_CPU=$$path"; \
		UNROLLED_CPU=$$path OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(PARALLEL) $(ROOMS) || failed="$$failed $$path"; \
	done; \
	if [ -n "$$failed" ]; then echo "failed with UNROLLED_CPU =$$failed"; exit 1; fi

lint: $(VENV)/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/dev
	$(BIN)/python benchmarks/overhead.py
	$(BIN)/python benchmarks/shakespeare.py $(TEXT)

# The compiled engine's tests, with every access to memory checked.
sanitize: $(SANITIZE)/dev
	LD_PRELOAD="$(ASAN)" ASAN_OPTIONS=detect_leaks=0 OMP_NUM_THREADS=2 \
		$(SANITIZE)/bin/python -m pytest -p no:xdist tests/engine

docs: $(VENV)/dev
	$(BIN)/python docs/generate.py

clean:
	rm -rf $(VENV) $(SANITIZE) build demo-run demo-scenes demo-captions .pytest_cache .hypothesis .mypy_cache .ruff_cache
