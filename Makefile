# scfx: what to type. `make` alone lists the targets. PYTHON=python3.12 and VENV=/tmp/venv may be overridden.

PYTHON ?= python3
VENV ?= .venv
JOBS ?= 2
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt

# What the compiled kernels are built from: a change rebuilds them, and only them.
KERNELS := CMakeLists.txt $(shell find cmake backends plugins -name '*.cmake' -o -name 'CMakeLists.txt' \
	-o -name '*.cc' -o -name '*.cpp' -o -name '*.h' -o -name '*.hpp' -o -name '*.inc')

# Tests and tasks run side by side: one thread each, or they would fight for the cores.
ONE_THREAD := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1

# The kernels under AddressSanitizer and UndefinedBehaviorSanitizer: in the variants of this machine and of every other.
SANITIZED := build/sanitize
SANITIZED_TESTS := $(wildcard tests/unit/test_simd_*.py) tests/unit/test_libcint.py
# Python is not instrumented, so the runtimes must come first. It also keeps objects until it ends, as do jaxlib and
# PySCF: their leaks would drown the kernels', so leaks are not looked for. pytest would swallow what is reported.
SANITIZER := LD_PRELOAD="$$($${CXX:-g++} -print-file-name=libasan.so) $$($${CXX:-g++} -print-file-name=libubsan.so)" \
	ASAN_OPTIONS=detect_leaks=0:log_path=$(abspath $(SANITIZED))/report \
	UBSAN_OPTIONS=print_stacktrace=1:log_path=$(abspath $(SANITIZED))/report

.PHONY: help demo test test-slow sanitize docs check format venv system clean distclean

help:
	@echo "make demo       a small dataset, its label summary and plots, from examples/demo.toml"
	@echo "make test       all tests but the slow ones, on JOBS=$(JOBS) processes"
	@echo "make test-slow  the slow ones: the wheel in a clean environment, large references"
	@echo "make sanitize   the kernel tests on kernels built with ASan and UBSan (minutes)"
	@echo "make docs       the documentation site in build/site, tutorials executed (minutes)"
	@echo "make check      ruff (lint, format) and pyright"
	@echo "make format     let ruff rewrite the files"
	@echo "make venv       $(VENV) with scfx (editable), its extras and the tools above"
	@echo "make clean      remove what was built or computed; make distclean removes $(VENV) too"

demo: venv
	$(BIN)/scfx run examples/demo.toml

test: venv
	$(ONE_THREAD) $(BIN)/python -m pytest -m "not slow" -n $(JOBS) --dist worksteal -q

test-slow: venv
	$(ONE_THREAD) $(BIN)/python -m pytest -m slow -q

sanitize: venv
	variant=$$($(BIN)/python -c 'from scfx.execution import native; print(native.best_variant())') && \
	variants=$$(printf '%s\n' baseline $$variant | sort -u) && \
	PATH="$(abspath $(BIN)):$$PATH" && export PATH && \
	cmake -S . -B $(SANITIZED) -G Ninja -DSCFX_SANITIZE=ON -DPython3_EXECUTABLE=$(abspath $(BIN))/python \
	  -DSCFX_BACKENDS="scfx_libcint;scfx_simd" -DSCFX_VARIANTS="$$(echo $$variants | tr ' ' ';')" && \
	cmake --build $(SANITIZED) -j $(JOBS) && cmake --install $(SANITIZED) --prefix $(SANITIZED)/native && \
	rm -f $(SANITIZED)/report.* && \
	for each in $$variants; do \
	  echo "kernels: $$each"; \
	  env $(SANITIZER) $(ONE_THREAD) SCFX_CPU_VARIANT=$$each SCFX_NATIVE_DIR=$(abspath $(SANITIZED))/native \
	    $(BIN)/python -m pytest -m "not slow" -n $(JOBS) --dist worksteal -q $(SANITIZED_TESTS) || { cat $(SANITIZED)/report.* 2>/dev/null; exit 1; }; \
	done

# Tutorials run with a kernel of this environment, whatever kernels the user has.
docs: venv
	test -e $(VENV)/.scfx-docs || { $(PIP) furo myst-nb sphinx && touch $(VENV)/.scfx-docs; }
	$(BIN)/python -m ipykernel install --prefix $(VENV) --name python3 >/dev/null 2>&1
	$(ONE_THREAD) $(BIN)/python -m sphinx -b html -W --keep-going -q -c docs/site -d build/doctrees docs build/site
	@echo "build/site/index.html"

check: venv
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --pythonpath $(BIN)/python

format: venv
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

venv: $(VENV)/.scfx-built

# The C++ compiler is the one thing that pip cannot bring (CMake and Ninja come from PyPI).
system:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "scfx needs Python 3.11 or later; $(PYTHON) is $$($(PYTHON) --version 2>&1). Try make PYTHON=python3.12"; exit 1; }
	@missing=; \
	command -v "$${CXX:-g++}" >/dev/null || missing="$$missing g++"; \
	$(PYTHON) -c 'import ensurepip' 2>/dev/null || missing="$$missing python3-venv"; \
	if [ -n "$$missing" ]; then \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    echo "installing$$missing"; \
	    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing; \
	  else \
	    echo "missing:$$missing. On Debian or Ubuntu: sudo apt-get install$$missing"; exit 1; \
	  fi; \
	fi

$(VENV)/.scfx-created:
	$(MAKE) --no-print-directory system
	$(PYTHON) -m venv $(VENV)
	@touch $@

# Dependencies first, so that building again after a change of the kernels needs no network.
$(VENV)/.scfx-dependencies: $(VENV)/.scfx-created pyproject.toml constraints.txt
	$(PIP) setuptools scikit-build-core cmake ninja jax jaxlib
	$(PIP) --no-build-isolation --editable ".[all,dev]"
	$(PIP) --no-deps jax-xc # its formulas are all that scfx loads; what it requires (TensorFlow Probability) takes minutes
	@touch $@ $(VENV)/.fresh

$(VENV)/.scfx-built: $(VENV)/.scfx-dependencies $(KERNELS)
	test -e $(VENV)/.fresh || $(PIP) --no-build-isolation --no-deps --editable .
	@rm -f $(VENV)/.fresh
	@touch $@

clean:
	rm -rf build dist out .cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -not -path './.venv*' -prune -exec rm -rf {} +

distclean: clean
	rm -rf $(VENV)
