# Postroom. Needs python3 (3.11 or newer), make and git; everything else is fetched into .venv.
PYTHON ?= python3
BOOT    = $(PYTHON) tools/bootstrap.py
BIN     = .venv/bin

.PHONY: run test test-thorough check bench lock clean

run:            ## start the demo: an organization with two users, on high ports
	@$(BOOT) run
	@exec $(BIN)/postroom demo $(ARGS)

test:           ## install what the tests need and run them
	@$(BOOT) dev --system
	@$(BIN)/python tools/run_tests.py $(ARGS)

test-thorough:  ## the same with whole programs on every engine, and crashes and random operations at full length
	@$(BOOT) dev --system
	@POSTROOM_TEST_THOROUGH=1 $(BIN)/python tools/run_tests.py $(ARGS)

check:          ## lint, types, import contracts
	@$(BOOT) dev
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

bench:          ## side by side with named peers, as ratios
	@$(BOOT) dev --system
	@$(BIN)/python -m bench $(ARGS)

lock:           ## pin every dependency again, with hashes
	@$(BOOT) dev
	@PATH=$(CURDIR)/$(BIN):$$PATH $(BIN)/python tools/lock.py $(ARGS)

clean:          ## remove what the other targets made
	rm -rf .venv data build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
