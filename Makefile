# make build     every program into build/bin
# make install   into a qmail home (QMAIL=/var/qmail DESTDIR=)
# make instcheck what such a home lacks, or has with a wrong owner or mode
# make packages  a Debian package and an RPM that install beside, into build
# make demo      see it work: no root, under a minute
# make run       the demo's system in the foreground, until Ctrl-C
# make test      the tests (under five minutes on two cores)
# make lint      gofmt, vet, staticcheck, mandoc
# make vuln      govulncheck, with the database on the network or, of a module, here
# make bench     figures of the built programs (REF=DIR: beside others'; BENCHFLAGS)
# make fuzz      every fuzz target for FUZZTIME (5m)

GO       ?= go
QMAIL    ?= /var/qmail
SPLIT    ?= 23
DESTDIR  ?=
FUZZTIME ?= 5m
VERSION  ?= 0.1.0
MODULE   := github.com/reqmail/reqmail
BIN      := build/bin

# No cgo: a dynamically linked program dies under small memory limits before
# its first instruction. The entry point is compat/limits' (see there).
LDFLAGS := -s -w -E $(MODULE)/compat/limits.entry -X main.version=$(VERSION) \
	-X $(MODULE)/compat/home.linked=$(QMAIL) -X $(MODULE)/queue.split=$(SPLIT)
GOBUILD := CGO_ENABLED=0 $(GO) build -trimpath

COMMANDS := $(patsubst cmd/%/main.go,%,$(wildcard cmd/*/main.go))

.PHONY: build install instcheck packages demo run test lint vuln bench fuzz clean

# Programs that have work for more than one processor. The others, which are
# started for a message or a connection, or only hand work on, run their Go code
# on one thread (compat/limits): it spares them to wake each other.
LONG  := qmail-qread qmail-remote qmail-send reqmail reqmail-ext splogger
ONE   := -X $(MODULE)/compat/limits.threads=1

# Of those, the spawners have many files open; the rest may open few while it
# starts. Programs that serve one client, and wait for nobody else meanwhile, need
# no monitor that is quick (compat/limits).
SPAWN := qmail-lspawn qmail-rspawn
BRIEF := qmail-inject qmail-qmqpd qmail-qmtpd qmail-smtpd sendmail
SHORT := $(filter-out $(LONG) $(SPAWN) $(BRIEF) qmail-queue,$(COMMANDS))
FEW   := $(ONE) -X $(MODULE)/compat/limits.few=1

build:
	@mkdir -p $(BIN)
	$(GOBUILD) -ldflags '$(LDFLAGS)' -o $(BIN)/ $(addprefix ./cmd/,$(LONG))
	$(GOBUILD) -ldflags '$(LDFLAGS) $(ONE)' -o $(BIN)/ $(addprefix ./cmd/,$(SPAWN))
	$(GOBUILD) -ldflags '$(LDFLAGS) $(FEW)' -o $(BIN)/ $(addprefix ./cmd/,$(SHORT))
	$(GOBUILD) -ldflags '$(LDFLAGS) $(FEW) -X $(MODULE)/compat/limits.brief=1' -o $(BIN)/ $(addprefix ./cmd/,$(BRIEF))
	$(GOBUILD) -ldflags '$(LDFLAGS) $(FEW) -X $(MODULE)/compat/limits.exitCode=51 -X $(MODULE)/compat/limits.deaf=1' -o $(BIN)/ ./cmd/qmail-queue

INSTALL := $(GO) run ./packaging/install -home $(QMAIL) $(if $(DESTDIR),-destdir $(DESTDIR)) -man man -doc docs

install: build
	$(INSTALL) $(BIN)

instcheck:
	$(INSTALL) -check $(BIN)

# The packages carry what a home has, below /usr/lib/reqmail; packaging/nfpm.yaml
# is read where that was staged.
NFPM    := $(GO) run github.com/goreleaser/nfpm/v2/cmd/nfpm@v2.45.2

packages: build
	rm -rf build/package
	$(GO) run ./packaging/install -private -home $(QMAIL) -destdir build/package -man man -doc docs $(BIN)
	cp LICENSE CHANGELOG.md build/package$(QMAIL)/doc
	cd build/package$(QMAIL) && for format in deb rpm; do VERSION=$(VERSION) ARCH=$$($(GO) env GOARCH) \
		$(NFPM) package -f $(CURDIR)/packaging/nfpm.yaml -p $$format -t $(CURDIR)/build || exit; done

build/demo: build
	$(GOBUILD) -o $@ ./tests/demo

.PHONY: build/demo

demo: build/demo
	build/demo $(BIN)

run: build/demo
	build/demo -run $(BIN)

# Programs that can be told to fail, for the tests of what happens then.
.PHONY: build/fault
build/fault:
	$(GOBUILD) -tags reqmail_fault -ldflags '$(LDFLAGS)' -o $@/ ./cmd/qmail-local ./cmd/qmail-remote ./cmd/qmail-getpw

# The packages whose goroutines share state are tested with the race detector,
# which needs a C compiler; without one they are tested all the same.
RACE := $(if $(shell command -v $(or $(CC),cc) 2>/dev/null),-race)

test: build build/fault
	$(GO) vet ./...
	$(GO) test $(RACE) ./compat/... ./control/... ./queue/... ./qmail/... ./packaging/...
	$(GO) test -count=1 ./cmd/... ./tests/...

lint:
	test -z "$$(gofmt -l .)"
	$(GO) vet ./...
	$(GO) run honnef.co/go/tools/cmd/staticcheck@v0.8.2 ./...
	if command -v mandoc >/dev/null; then mandoc -Tlint -Wwarning man/*; fi

# The database is a module, too; a host without vuln.go.dev may have a proxy.
GOVULNCHECK := $(GO) run golang.org/x/vuln/cmd/govulncheck@v1.9.0
VULNDB      := golang.org/x/vulndb@latest

vuln:
	@if curl -sfm 10 -o /dev/null https://vuln.go.dev/index/db.json; then $(GOVULNCHECK) ./...; \
	elif dir=$$(cd / && $(GO) mod download -json $(VULNDB) | sed -n 's/^.*"Dir": "\(.*\)".*$$/\1/p') && [ -n "$$dir" ]; then \
		$(GOVULNCHECK) -db "file://$$dir/data/osv" ./...; \
	else echo 'vuln: left out, neither vuln.go.dev nor $(VULNDB) can be had'; fi

bench: build
	$(GO) run ./tests/bench $(if $(REF),-ref $(REF)) $(BENCHFLAGS) $(BIN)

fuzz:
	@set -e; grep -rl --include='*_test.go' '^func Fuzz' . | xargs -n1 dirname | sort -u | while read -r dir; do \
		for f in $$(grep -ho '^func Fuzz[A-Za-z0-9_]*' $$dir/*_test.go | cut -d' ' -f2); do \
			echo "$$dir $$f"; $(GO) test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) $$dir; \
		done; done

clean:
	rm -rf build
