# Two commands matter: `make demo` and `make test`. Each sets up all that it needs in .venv/.

PYTHON ?= python3
TASK ?= roadsigns
VENV := .venv
BIN := $(VENV)/bin
PYTEST := $(BIN)/python -m pytest -n logical --maxprocesses 8
# Tests of services wait for half of their time.
WORKERS := $(shell n=$$(nproc 2>/dev/null || echo 2); [ $$n -lt 7 ] || n=7; expr $$n + 1)

.PHONY: help demo test check audit format docs bench fpga protos clean
.DEFAULT_GOAL := help

help: ## Show this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | sort

$(VENV)/.core: pyproject.toml scripts/setup
	@PYTHON=$(PYTHON) scripts/setup core

$(VENV)/.dev: pyproject.toml scripts/setup
	@PYTHON=$(PYTHON) scripts/setup dev

demo: $(VENV)/.core ## Set up, then images at several accuracy targets (photos: TASK=… DATA=…)
	@mkdir -p build
	@$(BIN)/hawkvision demo --task $(TASK) $(if $(DATA),--data $(DATA)) --json build/demo.json

.venv-pynq/.ready: scripts/setup
	@PYTHON=$(PYTHON) scripts/setup pynq || echo "tests: no pynq; the tests of its driver will be skipped"

.venv-tensorrt/.ready: scripts/setup $(VENV)/.dev
	@scripts/setup tensorrt || echo "tests: no TensorRT parser for this machine; its gate will be skipped"

.venv-deploy/.ready: scripts/setup
	@PYTHON=$(PYTHON) scripts/setup deploy || echo "tests: no checkers of manifests; their tests will be skipped"

.venv-docs/.ready: scripts/setup $(VENV)/.core
	@scripts/setup docs || echo "tests: no MkDocs; the documentation's site will not be built"

docs: .venv-docs/.ready ## The documentation as a site, in build/site/
	@PYTHONPATH=.:.venv-docs NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet --clean

test: check .venv-pynq/.ready .venv-tensorrt/.ready .venv-deploy/.ready .venv-docs/.ready ## Set up, then static checks and the whole test suite
	@scripts/servers
	@$(PYTEST) -n $(WORKERS) --dist loadfile --ignore=tests/fpga; rest=$$?; \
		$(PYTEST) --dist worksteal tests/fpga && exit $$rest

check: $(VENV)/.dev ## Format, lint, types, links and tables in the documentation
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy --no-error-summary
	@$(BIN)/python scripts/check_docs.py

.venv-audit/.ready: scripts/setup
	@PYTHON=$(PYTHON) scripts/setup audit

audit: .venv-audit/.ready ## Scan code and files (bandit, detect-secrets); ONLINE=1: packages too
	@.venv-audit/bin/python scripts/audit.py \
		$(if $(ONLINE),--packages $$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))'))

format: $(VENV)/.dev ## Format the code and fix what can be fixed
	@$(BIN)/ruff check --fix --quiet . ; $(BIN)/ruff format --quiet .

bench: $(VENV)/.dev ## The headline benchmarks, 30 minutes (QUICK=1: 6; BEFORE=FILE: beside an earlier result); reports in build/bench/
	@mkdir -p build/bench
	@$(BIN)/hawkvision bench server --rounds $(if $(QUICK),1,2) --seconds $(if $(QUICK),1,2) --json build/bench/server.json
	@if [ -n "$(DATA)$$HAWKVISION_DATA" ]; then \
		$(BIN)/hawkvision bench modeless $(if $(QUICK),--quick) $(if $(DATA),--data $(DATA)) \
			$(if $(BEFORE),--before $(BEFORE)) --json build/bench/modeless.json; \
	else echo "bench: no photos (DATA=imagenette.tar.gz), so no bench modeless"; fi

fpga: $(VENV)/.dev ## Measure both FPGA designs, 15 minutes at first; results in docs/fpga/
	@scripts/servers
	@for profile in accurate fast; do $(BIN)/hawkvision fpga report --profile $$profile --images 100 \
		$(if $(DATA),--data $(DATA)) --json docs/fpga/$$profile.json --figure docs/fpga/$$profile.svg || exit 1; done

protos: $(VENV)/.dev ## Generate the gRPC stubs from hawkvision/oip/open_inference.proto
	@$(BIN)/python scripts/generate_protos.py

clean: ## Remove what was built
	@rm -rf build .venv .venv-audit .venv-docs .mypy_cache .ruff_cache .pytest_cache .hypothesis
