# Everything is kept outside the checkout, in SHOAL_HOME: environments, programs, the cluster.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:
.DELETE_ON_ERROR:

export SHOAL_HOME ?= $(HOME)/.cache/shoal
ifndef SHOAL_STARTED
export SHOAL_STARTED := $(shell date +%s)
endif
export PATH := $(SHOAL_HOME)/bin:$(PATH)

PYTHON ?= python3
LOCK := $(shell sha256sum requirements/dev.lock | cut -c1-16)
VENV := $(SHOAL_HOME)/venv/$(LOCK)
BIN := $(VENV)/bin
READY := $(VENV)/complete
REPORTS := $(SHOAL_HOME)/reports
BENCHMARKS := first_answer burst update services many mlserver fetch initializer
RINGS := unit golden contract integration e2e

# What the operator's image is made from: a change of it rolls the operator on `make install`.
SOURCES = $(shell find operator Dockerfile requirements/runtime.lock -type f ! -name '*.pyc' | \
	LC_ALL=C sort | xargs sha256sum | sha256sum | cut -c1-16)

# The images of this project: the last part of a name's folder is that of its tag.
SERVERS := servers/triton servers/mlserver servers/kserve-sdk servers/torchserve
EXAMPLE := examples/custom-server
say = @printf '\n[%5ds] %s\n' $$(( $$(date +%s) - $$SHOAL_STARTED )) "$(1)"
make_image = $(BIN)/python tests/cluster/image.py --context $(1) --tag localhost/$(if $(filter servers/%,$(1)),shoal-)$(notdir $(1)):dev
ring = $(BIN)/pytest $(2) --junit-xml=$(REPORTS)/$(1).xml -o junit_suite_name=$(1) $(ARGS)
with_cluster = set -a; source $(SHOAL_HOME)/cluster/env; set +a

##@ The two that everything starts with

.PHONY: demo
demo: install example-image ## set everything up and serve two models on one server, step by step
	$(call say,The demo: examples/custom-model-mms as docs/walkthrough.md types it)
	@$(with_cluster); $(BIN)/python examples/demo.py

.PHONY: test
test: early lint $(RINGS) ## set everything up and pass every test
	$(call say,Done)
	@$(BIN)/python tests/support/summary.py $(REPORTS) $(RINGS)

# What later rings need is made while earlier ones run, with what they leave of the machine; what the
# next one waits for gets more of that. The compiler is never without work, pip and apt often are.
begin = $(if $(filter test verify,$(MAKECMDGOALS)),$(1) $(MAKE) --no-print-directory $(2) > $(SHOAL_HOME)/$(2).log 2>&1 &)

.PHONY: early
early: $(READY)
	@$(call begin,nice -n 19,programs) $(call begin,chrt --idle 0,ahead)

##@ The cluster

.PHONY: cluster
cluster: $(READY) ## bring a Kubernetes cluster up, or find it up; prints what to export
	$(call say,The cluster)
	@$(BIN)/python tests/cluster/up.py

.PHONY: image
image: cluster ## build the operator's image and load it into the cluster
	$(call say,The operator's image)
	@$(BIN)/python tests/cluster/image.py

.PHONY: example-image
example-image: cluster
	$(call say,The example model server's image)
	@$(call make_image,$(EXAMPLE))

.PHONY: server-images
server-images: cluster ## build the images of MLServer, Triton, the KServe SDK's server and TorchServe
	$(call say,The model servers' images)
	@$(foreach folder,$(SERVERS),$(call make_image,$(folder));)

.PHONY: ahead
ahead: $(READY) ## build what e2e asks for, beside other work, and bring it up
	$(call say,Programs and images)
	@$(BIN)/python tests/cluster/image.py --only-build
	@$(foreach folder,$(EXAMPLE) $(SERVERS),$(call make_image,$(folder)) --only-build;)
	@PYTHONPATH=tests $(BIN)/python -c "from cluster import binaries; [binaries.ensure(name) for name in ('coredns', 'contour')]"
	@chrt --other 0 $(MAKE) --no-print-directory cluster image example-image server-images

.PHONY: install
install: image $(SHOAL_HOME)/bin/helm ## install the operator with Helm on the cluster
	$(call say,The operator)
	@$(with_cluster); helm upgrade --install shoal charts/shoal --namespace shoal-system --create-namespace --take-ownership \
		--set image.repository=localhost/shoal --set image.tag=dev --set-string podAnnotations.sources=$(SOURCES) \
		--wait --timeout 5m > $(SHOAL_HOME)/helm.log || { cat $(SHOAL_HOME)/helm.log; \
		kubectl -n shoal-system describe pods; kubectl -n shoal-system logs deployment/shoal --tail 50; exit 1; }
	@$(with_cluster); kubectl -n shoal-system get deployment,pod

.PHONY: demo-down
demo-down: ## remove what the demo made, and the cluster
	@if [ -f $(SHOAL_HOME)/cluster/env ] && [ -f $(READY) ]; then \
		($(with_cluster); $(BIN)/python examples/demo.py --remove) || echo "the cluster does not answer"; fi
	@$(MAKE) --no-print-directory cluster-down

.PHONY: cluster-down
cluster-down: ## stop the cluster and remove its state; programs and images stay cached
	@$(PYTHON) tests/cluster/down.py

##@ The rings of tests; ARGS is passed to pytest, e.g. make unit ARGS="-k urls"

.PHONY: lint
lint: $(READY) ## formats, lint rules, types, who may import whom
	$(call say,lint)
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy -p shoal -p cluster
	@MYPYPATH=benchmarks $(BIN)/mypy benchmarks/*.py
	@MYPYPATH=servers/mlserver $(BIN)/mypy -p shoal_mlserver -m modelfiles
	@MYPYPATH=servers/kserve-sdk $(BIN)/mypy -m server
	@MYPYPATH=servers/torchserve $(BIN)/mypy -m front
	@PYTHONPATH=operator $(BIN)/lint-imports

.PHONY: unit
unit: $(READY) ## pure code, without sockets and sleeps
	$(call say,unit)
	@$(call ring,unit,tests/unit)

.PHONY: golden
golden: $(READY) ## resources in, children and status out; UPDATE=1 rewrites what is expected
	$(call say,golden)
	@$(if $(UPDATE),SHOAL_UPDATE_GOLDEN=$(UPDATE)) $(call ring,golden,tests/golden)

.PHONY: contract
contract: $(READY) $(SHOAL_HOME)/bin/helm ## files that must agree: CRDs, chart, examples, docs
	$(call say,contract)
	@$(call ring,contract,tests/contract)

.PHONY: programs
programs: $(READY) ## build and install what the integration ring runs beside its tests
	$(call say,Programs and environments)
	@PYTHONPATH=tests:operator $(BIN)/python -m support.programs

# These tests wait more than they compute. Each lane has an API server of its own.
LANES ?= 3

.PHONY: integration
integration: programs ## a real API server; operator and agents as processes; no node
	$(call say,integration)
	@$(call ring,integration,tests/integration -n $(LANES) --dist loadfile)

.PHONY: e2e
e2e: install example-image server-images ## a real node: the walk-through as a user types it, and its failures
	$(call say,e2e)
	@$(with_cluster); $(call ring,e2e,tests/e2e)

##@ Files that are made from others

.PHONY: generate
generate: $(READY) ## rewrite crds/, the chart's copies of them, docs/reference/ and a table of docs/runtimes.md
	$(call say,generate)
	@PYTHONPATH=operator $(BIN)/python -m shoal crds crds
	@PYTHONPATH=operator $(BIN)/python docs/generate.py
	@$(BIN)/python docs/generate_runtimes.py
	@rm -f charts/shoal/files/crds/*.yaml && cp crds/*.yaml charts/shoal/files/crds/

.PHONY: verify
verify: generate lint test ## what a change must pass: everything, and no generated file left behind
	@dirty=$$(git status --porcelain crds charts docs/reference docs/runtimes.md); if [ -n "$$dirty" ]; then \
		echo "Generated files differ from their sources; commit what 'make generate' wrote:"; echo "$$dirty"; exit 1; fi

.PHONY: bench
bench: install example-image server-images ## measure on the cluster what README and docs say in numbers
	$(call say,bench)
	@rm -rf $(SHOAL_HOME)/bench
	@$(with_cluster); export PYTHONPATH=operator:tests; \
		for program in $(BENCHMARKS); do $(BIN)/python benchmarks/$$program.py || true; done; \
		$(BIN)/python benchmarks/summary.py $(BENCHMARKS)

.PHONY: bench-growth
bench-growth: install example-image ## measure how cost grows; rewrites docs/growth.csv and .svg
	$(call say,bench-growth)
	@$(with_cluster); PYTHONPATH=operator:tests $(BIN)/python benchmarks/growth.py

SECONDS ?= 900
MODELS ?= 200

.PHONY: soak
soak: install example-image ## random kills and edits for SECONDS=900, of MODELS=200; SEED= repeats one
	$(call say,soak)
	@$(with_cluster); export PYTHONPATH=operator:tests; \
		$(BIN)/python -m soak --seconds $(SECONDS) --models $(MODELS) $(if $(SEED),--seed $(SEED))

.PHONY: help
help: ## this list
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} \
		/^[a-z0-9-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# The folder's name carries the lock's hash, so there is nothing to compare by time.
$(READY):
	@$(PYTHON) tests/support/environments.py $(VENV)

$(SHOAL_HOME)/bin/helm:
	@PYTHONPATH=tests $(PYTHON) -c "from cluster import binaries; binaries.ensure('helm')"
