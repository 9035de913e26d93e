# Every target builds its own .venv from nothing: Python 3.11 (with venv) and make are enough.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo test check bench snap clean

demo: $(STAMP)            ## the app on the sandbox, with a campaign under way
	$(BIN)/aicmo demo

test: $(STAMP)            ## every test
	$(BIN)/python -m pytest -n 2 --dist loadfile

check: $(STAMP)           ## format, lint, types, import direction
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(STAMP)           ## the budgets, with the peer beside each
	$(BIN)/python -m bench

snap: $(STAMP)            ## redraw the pictures; look at each before committing it
	$(BIN)/python -m pytest tests/app/test_pictures.py --snapshot-update

clean:
	rm -rf $(VENV)

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "AICMO needs Python 3.11 or newer; name one with: make PYTHON=python3.11 $(MAKECMDGOALS)" >&2; exit 1; }
	test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "This Python cannot make virtual environments; on Debian: apt install python3-venv" >&2; exit 1; }
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[demo,dev,bench]'
	touch $(STAMP)
