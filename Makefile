# Two commands: `make demo` shows what nodegraph does, `make test` checks all of it.
# Both need only make and Python 3.11 or 3.12; the first call installs into .venv.

VENV   := .venv
BIN    := $(VENV)/bin
PYTHON ?= $(shell for python in python3 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)))' \
	2>/dev/null && echo $$python && break; done)
PIP    := $(BIN)/python -m pip --disable-pip-version-check install --quiet -c constraints.txt

.PHONY: demo test lint types imports clean

demo: $(VENV)/installed
	@echo "Running workflows/canny.json: new pictures that follow the edges of an old one ..."
	$(BIN)/nodegraph run workflows/canny.json
	@echo
	@echo "Running workflows/contact_sheet.json: the same hints with other prompts and other noise ..."
	$(BIN)/nodegraph run workflows/contact_sheet.json
	@echo
	@echo "Look at the pictures in $(CURDIR)/out:"
	@echo "  canny/image.png (and edges.png, what it follows), contact_sheet/sheet.png"
	@echo "Then change the prompt and see the edges stay:"
	@echo "  $(BIN)/nodegraph run workflows/canny.json --prompt 'a green sphere left of an orange cube, at night'"

test: lint types imports
	OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive $(BIN)/python -m pytest -n logical --dist loadfile

lint: $(VENV)/installed-test
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(VENV)/installed-test
	$(BIN)/mypy
	$(BIN)/pyright --pythonpath $(BIN)/python

imports: $(VENV)/installed-test
	$(BIN)/lint-imports

# The two stamps: a second call installs nothing, a changed pyproject.toml installs again.
$(VENV)/installed: $(BIN)/python pyproject.toml constraints.txt
	@echo "Installing nodegraph and torch into $(VENV); the first time takes a few minutes ..."
	@$(PIP) -e .
	@touch $@

$(VENV)/installed-test: $(VENV)/installed
	@echo "Installing the linters, type checkers and reference libraries into $(VENV) ..."
	@$(PIP) -e '.[test]'
	@touch $@

$(BIN)/python:
	@test -n '$(PYTHON)' || { echo 'nodegraph needs Python 3.11 or 3.12 on the PATH' \
		'(or: make PYTHON=/path/to/python3.12)' >&2; exit 1; }
	@echo "Making $(VENV) with $$($(PYTHON) --version) ..."
	@$(PYTHON) -m venv $(VENV)

clean:
	rm -rf $(VENV) out .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
