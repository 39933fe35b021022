# The commands of Weir. `make help` lists them.

SWIFT ?= swift
MODEL ?=
PORT ?= 8000
HOST ?= 127.0.0.1
ARGS ?=
CHECKS := -Xswiftc -DWEIR_CHECKS
BUILD_FLAGS := --explicit-target-dependency-import-check error
VENV := .venv

.DEFAULT_GOAL := help
.PHONY: help serve test test-swift test-clients try-clients check lint format build release bench bench-smoke faults faults-smoke docs fuzz golden train train-smoke setup venv clean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

setup: ## Install the Debian packages that a build or test needs (root), only where they are missing
	@scripts/setup.sh

serve: release ## Serve a model: make serve MODEL=path/to/model.gguf [PORT=8000] [HOST=127.0.0.1] [ARGS="..."]
	@scripts/serve.sh "$(MODEL)" "$(HOST)" "$(PORT)" $(ARGS)

release: setup ## Build the release executable
	$(SWIFT) build -c release --product weir

build: setup ## Build everything in debug, imports checked
	$(SWIFT) build $(BUILD_FLAGS)

test: test-swift test-clients ## Run all tests: Swift tests with invariants on, then real clients over a socket

test-swift: setup
	$(SWIFT) test $(BUILD_FLAGS) $(CHECKS)

test-clients: release venv
	scripts/test-clients.sh

try-clients: release ## Run lm-eval and guidellm against a server (large installs): make try-clients [MODEL=path]
	@scripts/venv.sh .venv-tools Tests/Clients/requirements-tools.txt
	scripts/try-clients.sh $(MODEL)

venv: setup
	@scripts/venv.sh $(VENV) Tests/Clients/requirements.txt

check: lint fuzz bench-smoke faults-smoke train-smoke ## Format lint, a short fuzz run of every parser, every bench once and small, each fault once, the training in miniature

lint: setup ## Check formatting and house rules without changing anything
	$(SWIFT) format lint --strict --recursive --parallel Package.swift Sources Tests Fuzz Examples

format: ## Rewrite the sources in the house format
	$(SWIFT) format --in-place --recursive --parallel Package.swift Sources Tests Fuzz Examples

fuzz: setup ## Run every fuzz entry for SECONDS (default 5) each
	Fuzz/run.sh $(or $(SECONDS),5)

bench: release ## Run a benchmark: make bench NAME=latency MODEL=path [ARGS="..."]
	.build/release/weir bench $(or $(NAME),latency) $(MODEL) $(ARGS)

bench-smoke: release ## Run every benchmark once, tiny, so that none rots
	scripts/bench-smoke.sh

faults: release ## Kill, stop, cut and corrupt a cluster under load: make faults [MODEL=path] [ARGS="--kinds kill-prefill --runs 100"]
	python3 Benchmarks/Faults/faults.py $(or $(MODEL),Models/weir-chat-q8_0.gguf) $(ARGS)

faults-smoke: release ## The same, each fault once
	timeout 300 python3 Benchmarks/Faults/faults.py $(or $(MODEL),Models/weir-chat-q8_0.gguf) --smoke

golden: ## Make the golden values again with their independent implementations (Python)
	scripts/golden.sh

train: ## Train a model by the recipe: make train NAME=chat [ARGS="--scale large --device cuda"] (resumes runs/NAME)
	scripts/venv.sh .venv-train Training/requirements.txt
	cd Training && ../.venv-train/bin/python -m weirtrain.train --model $(or $(NAME),chat) --out runs/$(or $(NAME),chat) --resume $(ARGS)

train-smoke: release ## Tests of the training, then both models in miniature: train, export, load, answer
	scripts/train-smoke.sh

docs: setup ## Build the documentation pages
	scripts/docs.sh

clean: ## Remove build products
	rm -rf .build $(VENV) .venv-tools
