# Needs git, make, gcc (for the race detector) and Go 1.21 or newer, which fetches the toolchain that go.mod names.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules

GO ?= go
PREFIX ?= /usr/local
DESTDIR ?=
FUZZTIME ?= 60s
BENCH ?= .
# Some distributions forbid Go to fetch a newer toolchain; this allows it for these targets.
GOTOOLCHAIN ?= auto
export GOTOOLCHAIN

VERSION := $(shell git describe --tags 2>/dev/null)
COMMIT := $(shell c=$$(git rev-parse --short=12 HEAD 2>/dev/null) && { git diff --quiet HEAD && echo $$c || echo $$c-modified; })
LDFLAGS := -s -w -X main.buildVersion=$(VERSION) -X main.buildCommit=$(COMMIT)
# The tree's state is told by -X; -buildvcs=false keeps a build from failing where git refuses the checkout's owner.
BUILDFLAGS := -trimpath -buildvcs=false -ldflags '$(LDFLAGS)'
REPORT := $(GO) -C tools run ./testreport -skips ../.ci/allowed-skips
LINT := $(GO) tool -modfile=tools/go.mod golangci-lint

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## build bin/dfetch
	CGO_ENABLED=0 $(GO) build $(BUILDFLAGS) -o bin/dfetch ./cmd/dfetch

.PHONY: demo
demo: build ## serve a real tree, fetch it onto nothing and onto a stale copy, say where the bytes came from
	demo/demo.sh bin/dfetch

.PHONY: test
test: ## run the tests
	$(GO) test -json ./... | $(REPORT)

.PHONY: check
check: format vet lint test-tools test-race ## run every check that a change must pass

.PHONY: format
format: ## fail if a file is not in gofmt's form
	@bad=$$(git ls-files -co --exclude-standard '*.go' | xargs -r gofmt -l); \
	if [ -n "$$bad" ]; then printf 'not in gofmt form:\n%s\n' "$$bad" >&2; exit 1; fi

.PHONY: vet
vet: ## run go vet, for a 32-bit processor and for arm64 as well
	$(GO) vet ./...
	GOARCH=386 $(GO) vet ./...
	GOARCH=arm64 $(GO) vet ./...

.PHONY: lint
lint: ## run golangci-lint, at the version that tools/go.mod pins
	$(LINT) run ./...

.PHONY: test-tools
test-tools: ## test what the checks themselves use
	$(GO) -C tools vet ./...
	$(GO) -C tools test ./...

.PHONY: test-race
test-race: ## run the tests with the race detector, in random order
	CGO_ENABLED=1 $(GO) test -json -race -shuffle=on ./... | $(REPORT)

.PHONY: bench
bench: ## run the benchmarks (BENCH=regexp)
	$(GO) test -run '^$$' -bench '$(BENCH)' -benchmem ./...

.PHONY: fuzz
fuzz: ## fuzz every target, a minute each (FUZZTIME=60s)
	@for pkg in $$($(GO) list ./...); do \
		listed=$$($(GO) test -list '^Fuzz' $$pkg); \
		for target in $$(grep '^Fuzz' <<<"$$listed" || true); do \
			echo "$$pkg $$target"; \
			$(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) $$pkg; \
		done; \
	done

# The lab: dfetch and other programs on emulated links; see eval/README.md.
BUDGET ?= 90m
SUITE ?= full

.PHONY: lab
lab: build ## build bin/lab, the evaluation's program
	CGO_ENABLED=0 $(GO) build $(BUILDFLAGS) -o bin/lab ./eval/cmd/lab

.PHONY: eval
eval: lab ## run the whole evaluation, as far as BUDGET=90m goes, and go on with it next time (SUITE=full)
	eval/setup.sh
	bin/lab run -suite $(SUITE) -budget $(BUDGET) -o eval/out/$(SUITE).jsonl; status=$$?; \
	bin/lab report -md eval/out/$(SUITE)/report.md -html eval/out/$(SUITE)/report.html eval/out/$(SUITE).jsonl && exit $$status

.PHONY: eval-quick
eval-quick: ## run the evaluation's quick part, ten minutes at most
	$(MAKE) eval SUITE=quick BUDGET=9m
	@echo "the report is eval/out/quick/report.html"

.PHONY: eval-smoke
eval-smoke: lab ## see in two minutes that the evaluation works
	rm -f eval/out/smoke.jsonl
	bin/lab run -suite smoke -budget 2m -o eval/out/smoke.jsonl
	bin/lab report eval/out/smoke.jsonl

.PHONY: eval-bench
eval-bench: lab ## measure dfetch beside rsync on the loopback, with goals (SCALE=1, ROUNDS=5, ONLY=e2e-file)
	eval/bench_e2e.sh

.PHONY: eval-disk
eval-disk: lab ## measure the search of this machine's disk, with goals (SCALE=1, ROUNDS=0, ONLY=disk-search)
	eval/disk_bench.sh

.PHONY: eval-report
eval-report: lab ## make docs/performance.md out of the results in eval/results
	bin/lab report -md docs/performance.md -html eval/out/performance.html eval/results/*.jsonl

WORLDS ?= 1000
SEED ?= 0

.PHONY: worlds
worlds: ## hold the core against the best single way in simulated worlds (WORLDS=1000 SEED=0)
	$(GO) test ./fetch -count=1 -timeout 0 -v -run '^TestRegretInSimulatedWorlds$$' -args -worlds $(WORLDS) -first-world $(SEED)

.PHONY: install
install: build ## install program, manual pages and completions below PREFIX (DESTDIR is put before it)
	install -D -m 755 bin/dfetch '$(DESTDIR)$(PREFIX)/bin/dfetch'
	bin/dfetch man '$(DESTDIR)$(PREFIX)/share/man/man1'
	install -d '$(DESTDIR)$(PREFIX)/share/bash-completion/completions' \
		'$(DESTDIR)$(PREFIX)/share/zsh/site-functions' '$(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d'
	bin/dfetch completion bash > '$(DESTDIR)$(PREFIX)/share/bash-completion/completions/dfetch'
	bin/dfetch completion zsh > '$(DESTDIR)$(PREFIX)/share/zsh/site-functions/_dfetch'
	bin/dfetch completion fish > '$(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/dfetch.fish'

.PHONY: clean
clean: ## remove what the build made
	rm -rf bin
