# One word per chore; CI runs the same ones. `make demo` and `make test` need Python 3.11+ and a C++ compiler, nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo test lint format types build bench sanitize check-full clean

$(STAMP): pyproject.toml constraints.txt
	@echo "installing into $(VENV): some three minutes and 2 GB the first time, during which pip says nothing"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -c constraints.txt torch
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[train,onnx,tf1,serve,dev]"
	touch $@

CORE := src/recurra/kernels/librecurra_core.so

build: $(STAMP) $(CORE)

# The compiled kernels; without a compiler everything runs in plain torch.
$(CORE): CMakeLists.txt $(wildcard csrc/*.cpp csrc/*/*.cpp csrc/*/*.h) | $(STAMP)
	$(BIN)/cmake -S . -B build/dev -G Ninja -DCMAKE_MAKE_PROGRAM=$(abspath $(BIN))/ninja \
		-DPython_EXECUTABLE=$(abspath $(BIN))/python >/dev/null \
		&& $(BIN)/cmake --build build/dev && $(BIN)/cmake --install build/dev --prefix src >/dev/null && touch $@ \
		|| echo "no compiled kernels: is there a C++17 compiler?"

demo: build
	$(BIN)/recurra train digits

test: build
	$(BIN)/python -m pytest

lint: build
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: build
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: build
	$(BIN)/recurra bench

check-full: lint sanitize
	$(BIN)/python -m pytest -m "slow or not slow"

# The kernel tests over a library built with AddressSanitizer and UndefinedBehaviorSanitizer. Forks are left out: the
# sanitizer's own threads do not survive them.
sanitize: build
	$(BIN)/cmake -S . -B build/sanitize -G Ninja -DCMAKE_MAKE_PROGRAM=$(abspath $(BIN))/ninja -DRECURRA_SANITIZE=ON \
		-DPython_EXECUTABLE=$(abspath $(BIN))/python >/dev/null
	$(BIN)/cmake --build build/sanitize
	RECURRA_CORE=$(abspath build/sanitize/librecurra_core.so) RECURRA_BINDING=$(abspath build/sanitize/_binding.abi3.so) \
		LD_PRELOAD="$$($(CXX) -print-file-name=libasan.so) $$($(CXX) -print-file-name=libubsan.so)" \
		ASAN_OPTIONS=detect_leaks=0 $(BIN)/python -m pytest tests/kernels -k "not forked and not workers and not environment and not without"

clean:
	rm -rf build $(VENV)
