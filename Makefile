# jetvol. `make` alone lists what there is to make.
#
# Only the Go toolchain, git and (for the race detector) a C compiler must be there, and
# Ceph for what has ceph in its name, for `make test` and for lint and vet.
# The other tools have versions pinned in internal/tools/*/go.mod and are built to bin/.

SHELL       := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:

VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
DIR      ?= jetvol-data
TIMEOUT  ?= 20m
FUZZTIME ?= 10s
BENCH    ?= .
BENCH_FLAGS ?=
KILLS    ?= 100
SEEDS    ?= 20
SAMPLE   ?= 150
CEPH_SAMPLE ?= 30
ROUNDS   ?= 40
RECORDS  ?= 1000000
VOLUMES  ?= 1000000

# go-ceph wants the name of the oldest release whose libraries it may meet: Debian 12's. What
# it calls a preview is the progress of a flatten and its end; without that tag it has neither.
CEPH_TAGS ?= ceph,pacific,ceph_preview
# The packages whose tests talk to a Ceph cluster.
CEPH_TESTS ?= ./backends/ceph/... ./internal/cephproc ./internal/cephtest ./internal/cephcluster ./internal/killmatrix

# The acceptance tests run these: what was just built, and the nats CLI of the documents.
export JETVOL_BIN      := $(CURDIR)/bin/jetvol
export JETVOL_CEPH_BIN := $(CURDIR)/bin/jetvol-ceph
export JETVOL_NATS_CLI := $(CURDIR)/bin/nats

##@ Use
.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' \
		'/^##@/ { printf "\n%s\n", substr($$0, 5) } /^[a-z-]+:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' \
		$(firstword $(MAKEFILE_LIST))

.PHONY: build
build: need-go ## build bin/jetvol
	CGO_ENABLED=0 go build -trimpath -ldflags '-X main.version=$(VERSION)' -o bin/jetvol ./cmd/jetvol

# It is another file than bin/jetvol because it needs Ceph's libraries where it runs.
.PHONY: build-ceph
build-ceph: need-ceph ## build bin/jetvol-ceph, which has the ceph driver (CEPH_TAGS)
	CGO_ENABLED=1 go build -trimpath -tags '$(CEPH_TAGS)' -ldflags '-X main.version=$(VERSION)' -o bin/jetvol-ceph ./cmd/jetvol

.PHONY: run
run: build ## start jetvol and show one volume's life; Ctrl-C ends it (DIR=jetvol-data)
	@exec bin/jetvol up --dir '$(DIR)' --demo

##@ Test
.PHONY: test
test: need-go need-cc bin/nats build vet crash-short chaos-short kill-matrix-short allocations race test-ceph kill-matrix-ceph-short ## everything that must pass: vet, kill -9 runs, chaos, kill matrix, all tests under -race, Ceph
	@echo "make test: passed"

.PHONY: check
check: lint vet tidy race ## what a change must pass before review: lint, vet, tidy, tests under -race
	@echo "make check: passed"

.PHONY: allocations
allocations: need-go ## how much commands may allocate: the race detector changes that, so without it
	go test -run '^TestAllocations_' $$(grep -rl --include='*_test.go' 'func TestAllocations_' . | xargs -n1 dirname | sort -u)

.PHONY: race
race: need-go need-cc bin/nats build ## all tests under the race detector (TIMEOUT=20m for each package)
	go test -race -timeout $(TIMEOUT) ./...

# $(call on-ceph,COMMANDS) runs them with a cluster in $$JETVOL_CEPH_DIR, which is ended
# whatever happens. A test that breaks daemons starts its own.
define on-ceph
	@export JETVOL_CEPH_DIR=$$(mktemp -d /tmp/jetvol-ceph-XXXXXX); \
	go build -o bin/cephcluster ./internal/cephcluster; \
	trap 'bin/cephcluster down "$$JETVOL_CEPH_DIR"' EXIT; \
	bin/cephcluster up "$$JETVOL_CEPH_DIR"; \
	set -x; \
	$(1)
endef

.PHONY: test-ceph
test-ceph: need-ceph bin/nats build-ceph ## the tests against a real Ceph cluster, which is started and ended (CEPH_TESTS)
	$(call on-ceph,go test -race -parallel 4 -tags '$(CEPH_TAGS)' -timeout $(TIMEOUT) $(CEPH_TESTS) && go test -race -tags '$(CEPH_TAGS)' -timeout $(TIMEOUT) -run '^TestCeph_' -v ./internal/acceptance)

.PHONY: bench-ceph
bench-ceph: need-ceph bin/nats build-ceph ## create over JetStream against bare go-ceph, as ratios (ROUNDS=40)
	$(call on-ceph,go test -tags '$(CEPH_TAGS)' -timeout 30m -run '^$$' -bench '^BenchmarkCeph_' -benchtime $(ROUNDS)x ./internal/acceptance)

.PHONY: lint
lint: need-ceph bin/golangci-lint ## golangci-lint with .golangci.yml, which includes gofumpt
	bin/golangci-lint run ./...
	bin/golangci-lint run --build-tags '$(CEPH_TAGS)' ./...

.PHONY: format
format: need-go bin/golangci-lint ## rewrite the files as gofumpt wants them
	bin/golangci-lint fmt ./...

.PHONY: vet
vet: need-ceph ## go vet, without and with the ceph driver
	go vet ./...
	go vet -tags '$(CEPH_TAGS)' ./...

.PHONY: tidy
tidy: need-go ## fail if go.mod or go.sum are not as `go mod tidy` leaves them
	go mod tidy -diff

.PHONY: fuzz
fuzz: need-go ## every fuzz target in turn, each for FUZZTIME=10s
	@found=0; \
	while read -r dir target; do \
		found=$$((found + 1)); echo "fuzz $$target in $$dir for $(FUZZTIME)"; \
		go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) "$$dir" </dev/null; \
	done < <(grep -rno --include='*_test.go' '^func Fuzz[A-Za-z0-9_]*' . \
		| sed -E 's|^(.*)/[^/]+:[0-9]+:func (.*)|\1 \2|' | sort); \
	if [ "$$found" = 0 ]; then echo "make fuzz: no fuzz target found"; exit 1; fi; \
	echo "make fuzz: $$found targets passed"

.PHONY: bench
bench: need-go build ## the speed against the ceiling in the same run, as ratios (BENCH_FLAGS='--workload life'; two minutes)
	bin/jetvol bench $(BENCH_FLAGS)

.PHONY: scale
scale: need-go build ## the cost of a command with VOLUMES=1000000 volumes against 6,000, and a worker after 100,000 (fifteen minutes)
	bin/jetvol bench scale --volumes $(VOLUMES) $(BENCH_FLAGS)

.PHONY: bench-go
bench-go: need-go ## the Go benchmarks (BENCH=. chooses by name)
	go test -run '^$$' -bench '$(BENCH)' -benchmem ./...

.PHONY: audit-scale
audit-scale: need-go ## audit 1,000,000 events of 100,000 volumes, clean and with each kind of damage (some minutes)
	go test ./audit -count 1 -timeout 60m -run '^TestVerify_AtScale$$' -v -scale-volumes 100000 -scale-events 10

.PHONY: crash
crash: need-go build ## kill -9 jetvol under load KILLS=100 times and compare all that is left
	go run ./internal/crash -kills $(KILLS)

.PHONY: crash-short
crash-short: need-go build ## the same 10 times, as part of `make test`
	go run ./internal/crash -kills 10

# Both forms end with two lines for each of their two runs: one server, then three.
.PHONY: chaos
chaos: need-go build ## many workers and servers, killed, stopped and cut off under load: about 40 minutes
	go run ./internal/chaos -binary '$(JETVOL_BIN)' -servers 1 -workers 4 -kills 200 -stops 48 -long-stops 4 -server-kills 30 \
		-commands 130000 -clients 32 -volumes 384 -pace 2500ms
	go run ./internal/chaos -binary '$(JETVOL_BIN)' -servers 3 -workers 4 -kills 40 -stops 10 -long-stops 1 -server-kills 30 \
		-commands 70000 -clients 32 -volumes 384 -pace 5s

.PHONY: chaos-short
chaos-short: need-go build ## the same in a minute, for `make test`
	go run ./internal/chaos -binary '$(JETVOL_BIN)' -servers 1 -kills 8 -stops 3 -server-kills 1
	go run ./internal/chaos -binary '$(JETVOL_BIN)' -servers 3 -kills 1 -stops 1 -server-kills 1 -pace 1500ms

.PHONY: scale-query
scale-query: need-go bin/nats build ## a worker, get and list with RECORDS=1000000 records: memory, start, latencies (a minute)
	go test -timeout $(TIMEOUT) -count 1 -v -run '^TestQuery_ManyRecords$$' ./internal/acceptance -scale-records $(RECORDS)

.PHONY: kill-matrix
kill-matrix: need-go ## SIGKILL at every point of every verb, SEEDS=20 times each; writes the table of docs/reliability.md
	go run ./internal/killmatrix -seeds $(SEEDS) -parallel 24 -update

.PHONY: kill-matrix-short
kill-matrix-short: need-go ## the same once for SAMPLE=150 squares
	go run ./internal/killmatrix -sample $(SAMPLE) -parallel 16 -seed $$(date +%s)

# Over Ceph each square takes seconds, of which most is the time that a fence waits for the dead.
.PHONY: kill-matrix-ceph
kill-matrix-ceph: need-go need-ceph ## the kill matrix over RBD, on a cluster of its own, SEEDS=20 times each (10 minutes for one)
	go run -tags '$(CEPH_TAGS)' ./internal/killmatrix -backend ceph -seeds $(SEEDS) -parallel 8

.PHONY: kill-matrix-ceph-short
kill-matrix-ceph-short: need-go need-ceph ## the same once for CEPH_SAMPLE=30 squares
	go run -tags '$(CEPH_TAGS)' ./internal/killmatrix -backend ceph -sample $(CEPH_SAMPLE) -parallel 4 -seed $$(date +%s)

# Not part of check: it reads the public vulnerability data base over the network.
.PHONY: vuln
vuln: need-go bin/govulncheck ## known vulnerabilities in what is imported (needs the network)
	bin/govulncheck ./...

##@ Keep house
.PHONY: tools
tools: bin/nats bin/golangci-lint bin/govulncheck ## build the pinned tools to bin/

.PHONY: clean
clean: ## remove bin/; a data directory stays
	rm -rf bin

# A tool is built again when its module's files change: $(call tool,MODULE,PACKAGE).
define tool
	@echo "build $@ (minutes the first time)"
	@go build -C internal/tools/$(1) -o $(CURDIR)/$@ $(2)
	@touch $@
endef

bin/nats: internal/tools/natscli/go.mod internal/tools/natscli/go.sum | need-go
	$(call tool,natscli,github.com/nats-io/natscli/nats)

bin/golangci-lint: internal/tools/lint/go.mod internal/tools/lint/go.sum | need-go
	$(call tool,lint,github.com/golangci/golangci-lint/v2/cmd/golangci-lint)

bin/govulncheck: internal/tools/vuln/go.mod internal/tools/vuln/go.sum | need-go
	$(call tool,vuln,golang.org/x/vuln/cmd/govulncheck)

.PHONY: need-go
need-go:
	@command -v go >/dev/null || { echo "make: no go command found: install Go 1.26 or later (https://go.dev/dl) and put it on PATH" >&2; exit 1; }

# On Debian and Ubuntu, as root, a missing compiler is installed; elsewhere it is asked for.
.PHONY: need-cc
need-cc: need-go
	@command -v "$$(go env CC)" >/dev/null && exit 0; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo "install gcc, which the race detector needs"; \
		apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends gcc libc6-dev; \
	else \
		echo "make: no C compiler found: the race detector needs one, such as gcc" >&2; exit 1; \
	fi

# The same for Ceph: the daemons of a test cluster, the libraries of the driver, and the
# tools that use an image as a node would.
CEPH_PACKAGES := ceph-mon ceph-mgr ceph-osd ceph-common librados-dev librbd-dev qemu-utils qemu-block-extra
.PHONY: need-ceph
need-ceph: need-cc
	@missing=; \
	for program in ceph-mon ceph-mgr ceph-osd ceph rbd qemu-io qemu-nbd; do \
		command -v $$program >/dev/null || missing+=" $$program"; \
	done; \
	printf '#include <rados/librados.h>\n#include <rbd/librbd.h>\n' | "$$(go env CC)" -E -o /dev/null - 2>/dev/null || missing+=" librbd.h"; \
	compgen -G '/usr/lib*/*/qemu/block-rbd.so' >/dev/null || compgen -G '/usr/lib*/qemu*/block-rbd.so' >/dev/null || missing+=" block-rbd.so"; \
	[ -n "$$missing" ] || exit 0; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo "install Ceph (missing:$$missing)"; \
		apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends $(CEPH_PACKAGES); \
	else \
		echo "make: not found:$$missing: install the Debian packages $(CEPH_PACKAGES)" >&2; exit 1; \
	fi
