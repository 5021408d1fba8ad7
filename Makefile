# make build    every program into build/bin
# make help     the other targets

GO      ?= go
QMAIL   ?= /var/qmail
SPLIT   ?= 23
MODULE  := github.com/reqmail/reqmail
BIN     := build/bin

# No cgo: a dynamically linked program dies under small memory limits before
# its first instruction. The entry point is compat/limits' (see there).
LDFLAGS := -s -w -E $(MODULE)/compat/limits.entry \
	-X $(MODULE)/compat/home.linked=$(QMAIL) -X $(MODULE)/queue.split=$(SPLIT)
GOBUILD := CGO_ENABLED=0 $(GO) build -trimpath

COMMANDS := $(patsubst cmd/%/main.go,%,$(wildcard cmd/*/main.go))

.PHONY: build
build:
	@mkdir -p $(BIN)
	$(GOBUILD) -ldflags '$(LDFLAGS)' -o $(BIN)/ $(addprefix ./cmd/,$(filter-out qmail-queue,$(COMMANDS)))
	$(GOBUILD) -ldflags '$(LDFLAGS) -X $(MODULE)/compat/limits.exitCode=51' -o $(BIN)/ ./cmd/qmail-queue
