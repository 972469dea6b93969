# SPDX-License-Identifier: Apache-2.0
#
# `make` alone lists the targets. On a fresh Debian or Ubuntu with Go and root,
# `make demo` and `make test` both work right away: they install whatever else they
# need.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# sudo often hides where Go is installed by hand.
GO      := $(or $(shell command -v go),/usr/local/go/bin/go)
VERSION := $(or $(shell git describe --tags --always --dirty 2>/dev/null),dev)
PKG     ?= ./...
ARGS    ?=

# The objects in bpf/ are compared byte for byte, so everybody uses one clang.
CLANG_MAJOR := 14
BPF_ENV     := BPF2GO_CC=clang-$(CLANG_MAJOR) BPF2GO_STRIP=llvm-strip-$(CLANG_MAJOR)

# git refuses to answer root in another user's clone; the version comes from -X.
GOFLAGS += -buildvcs=false
export GO CLANG_MAJOR GOFLAGS

TOOLS     := $(CURDIR)/.cache/bin
LINT      := $(TOOLS)/golangci-lint
GOTESTSUM := $(TOOLS)/gotestsum
export GOLANGCI_LINT_CACHE := $(CURDIR)/.cache/golangci-lint

ROOT := $(filter 0,$(shell id -u))
need_root = $(if $(ROOT),,@echo '$@ needs root: sudo env "PATH=$$PATH" make $@' >&2; exit 1)

# The race detector needs a C compiler. `make check` vets.
# At its end each process with the race detector would wait a second for races that
# others may yet have: each package does, and each dwell that a test starts.
export GORACE := atexit_sleep_ms=20
TEST_FLAGS = -count=1 -timeout=20m -vet=off $(if $(shell command -v gcc),-race)

##@ Use
.PHONY: demo
demo: $(if $(ROOT),build) ## Trace some pings through a virtual network (root)
	$(need_root)
	bin/dwell demo $(ARGS)

.PHONY: build
build: ## Build the static binary bin/dwell
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o bin/dwell ./cmd/dwell

.PHONY: doctor
doctor: build ## Check whether this machine is ready to trace
	bin/dwell doctor $(ARGS)

##@ Work on it
.PHONY: test
test: build $(GOTESTSUM) test-deps ## Run all tests; as root, also those on the real kernel (PKG=./correlate/...)
	$(if $(ROOT),$(GO) build $(if $(shell command -v gcc),-race) $(PKG))
	$(GOTESTSUM) --format pkgname-and-test-fails --format-hide-empty-pkg \
		--post-run-command .ci/verdict --raw-command -- .ci/tests $(TEST_FLAGS) $(ARGS) -- $(PKG)

# Before `test`, whose flags depend on what it finds.
.PHONY: test-deps
test-deps:
	.ci/install test

# The runner itself says which test may not skip. KERNELS=6.12 for one kernel alone.
.PHONY: test-kernels
test-kernels: $(GOTESTSUM) ## Run tests on Linux 6.1 and 6.12, in emulated machines (PKG=./bpf)
	.ci/install kernels
	$(GO) build -o bin/vmtest ./internal/check/vmtest
	$(GOTESTSUM) --format pkgname-and-test-fails --raw-command -- \
		bin/vmtest $(if $(KERNELS),-kernels $(KERNELS)) $(ARGS) $(filter-out ./...,$(PKG))

.PHONY: check
check: lint generated tidy arch ## Run everything that CI checks besides the tests

.PHONY: lint
lint: $(LINT) ## Run linters, vet and format check, for all architectures we build for
	$(LINT) run
	GOARCH=arm64 CGO_ENABLED=0 $(GO) vet ./...

.PHONY: fmt
fmt: $(LINT) ## Format the Go files
	$(LINT) fmt

.PHONY: arch
arch: ## Check import rules, size of files, licence lines
	$(GO) test -count=1 ./internal/check/archtest

.PHONY: figures
figures: ## Print length, documentation, tests and imports of each package
	@$(GO) run ./internal/check/figures $(ARGS)

.PHONY: tidy
tidy: ## Fail if a go.mod is not tidy
	for dir in . internal/check/*/; do if [ -f $$dir/go.mod ]; then $(GO) -C $$dir mod tidy -diff; fi; done

.PHONY: generate
generate: ## Rebuild the BPF objects and the generated pages (clang)
	.ci/install generate
	$(BPF_ENV) $(GO) generate ./...

.PHONY: generated
generated: ## Fail if generated files are not what `make generate` makes
	.ci/install generate
	$(BPF_ENV) .ci/generated

.PHONY: bench
bench: bench-go bench-export bench-overhead bench-bystander bench-fairness bench-firewall bench-fastpath ## Run all benchmarks

.PHONY: bench-go
bench-go: ## Run the benchmarks of the packages
	$(GO) test -run '^$$' -bench . -benchmem $(PKG)

.PHONY: bench-export
bench-export: ## Measure exported spans per CPU-second, next to the OpenTelemetry SDK
	$(GO) run ./internal/check/exportbench $(ARGS)

.PHONY: bench-overhead
bench-overhead: $(if $(ROOT),build) ## Measure what tracing costs a flood ping, next to bpftrace and perf (root)
	$(need_root)
	.ci/install bench
	$(GO) run ./internal/check/overhead --dwell bin/dwell $(ARGS)

.PHONY: bench-flood
bench-flood: $(if $(ROOT),build) ## Flood pings for 10 minutes, plot the memory, account for all events (root; ARGS="--steady 0,2000,5000": CPU time an event)
	$(need_root)
	.ci/install bench
	$(GO) run ./internal/check/floodbench --dwell bin/dwell --svg flood.svg $(ARGS)

.PHONY: bench-bystander
bench-bystander: ## Measure what tracing costs the packets that ping does not send (root)
	$(need_root)
	$(GO) run ./internal/check/bystanderbench $(ARGS)

.PHONY: bench-fairness
bench-fairness: ## Measure what one tenant's flood takes from another's traced pings (root)
	$(need_root)
	.ci/install bench
	$(GO) run ./internal/check/fairness $(ARGS)

.PHONY: bench-firewall
bench-firewall: ## Measure what 1 to 10,000 firewall rules cost a packet, in iptables and in dwell (root)
	$(need_root)
	.ci/install bench
	$(GO) run ./internal/check/firewallbench $(ARGS)

.PHONY: bench-fastpath
bench-fastpath: ## Measure the fast path beside the kernel's way and one veth pair (root)
	$(need_root)
	.ci/install bench
	$(GO) run ./internal/check/fastpathbench $(ARGS)

# Few kernels have flowtables, and so an emulated machine is measured: only ratios are of use.
.PHONY: bench-flowtable
bench-flowtable: ## Measure the fast path beside nf_flowtable, in an emulated machine with Linux 6.12
	.ci/install kernels
	$(GO) build -o bin/vmtest ./internal/check/vmtest
	bin/vmtest -kernels 6.12 -run '^$$' internal/check/fastpathbench -- -test.bench=Flowtable -test.benchtime=1x $(ARGS) | \
		sed -n 's/.*"Output":"\(.*\)\\n".*/\1/p'

.PHONY: soak
soak: $(if $(ROOT),build) ## Measure the agent's memory under an hour's worth of flood pings (root)
	$(need_root)
	$(GO) run ./internal/check/soak --dwell bin/dwell $(ARGS)

.PHONY: soak-faults
soak-faults: $(if $(ROOT),build) ## An hour with faults, reloads, floods, probes and churn; no trace may be missing uncounted (root)
	$(need_root)
	.ci/install bench
	$(GO) run ./internal/check/faultsoak --dwell bin/dwell --svg soak.svg $(ARGS)

.PHONY: verify-firewall
verify-firewall: ## Compare the firewall with iptables, 1,000 rule sets by 1,000 packets each (root)
	$(need_root)
	.ci/install test
	$(GO) run ./internal/check/firewall/verify $(ARGS)

.PHONY: verify-fastpath
verify-fastpath: ## Compare the fast path with the kernel, frame by frame, 2,000,000 packets (root)
	$(need_root)
	.ci/install test
	$(GO) run ./internal/check/fastpath/verify $(ARGS)

.PHONY: chaos-fastpath
chaos-fastpath: ## Change a hypervisor at random under traffic on the fast path: ARGS="--duration 1h" (root)
	$(need_root)
	.ci/install test
	$(GO) run ./internal/check/fastpath/chaos $(ARGS)

.PHONY: verify-guards
verify-guards: ## Take each guard of firewall, fast path and rings away and see that a test notices (root)
	$(need_root)
	.ci/install test
	.ci/install generate
	$(BPF_ENV) $(GO) run ./internal/check/firewall/mutate $(ARGS)

.PHONY: verify-docker
verify-docker: build ## Test the image in a real Docker engine of its own (root)
	$(need_root)
	.ci/install docker
	internal/check/docker/verify.sh $(ARGS)

.PHONY: verify-firewall-corpus
verify-firewall-corpus: ## Check others' rules against the real iptables: ARGS="-dir DIRECTORY" (root)
	$(need_root)
	$(GO) run ./internal/check/firewall/corpus $(ARGS)

.PHONY: clean
clean: ## Remove what make created, except the Go caches
	rm -rf bin .cache

.PHONY: help
help: ## List the targets
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} \
		/^[a-z-]+:.*## / {printf "  %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# Tools are pinned in a module of their own, so that what they depend on is not
# what dwell depends on. `go tool` would do, but links them anew for each user.
$(LINT): internal/check/tools/go.mod
	GOBIN=$(TOOLS) $(GO) -C internal/check/tools install github.com/golangci/golangci-lint/v2/cmd/golangci-lint
	@touch $@

$(GOTESTSUM): internal/check/tools/go.mod
	GOBIN=$(TOOLS) $(GO) -C internal/check/tools install gotest.tools/gotestsum
	@touch $@
