// Package program is the frame of every command: memory limit, and what
// happens when our own code fails. It must not know any command.
package program

import (
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/reqmail/reqmail/compat/fdio"
	"github.com/reqmail/reqmail/compat/limits"
)

// Main runs a command and ends the process with its exit code.
//
// A Go panic exits with 2, which qmail-lspawn and qmail-rspawn report as a
// permanent failure: mail would bounce for our bug. So a panic in run becomes
// one line on descriptor 2 and the exit code temporary, and whatever cannot
// be recovered (out of memory, a panic in another goroutine) ends the process
// by a signal, which every caller takes for a temporary failure.
func Main(name string, temporary int, run func() int) {
	debug.SetTraceback("crash")
	limits.Apply()
	limits.Unplug()
	os.Exit(guard(name, temporary, faulty(name, run)))
}

func guard(name string, temporary int, run func() int) (code int) {
	defer func() {
		if recover() != nil {
			_, _ = fdio.FD(2).WriteString(name + ": fatal: internal bug (#4.3.0)\n")
			code = temporary
		}
	}()
	return run()
}

// IgnorePipe keeps SIGPIPE from ending the process; programs that it starts
// get the default disposition all the same.
func IgnorePipe() {
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
}

// IgnorePipeThroughout ignores SIGPIPE, also in the programs that are started:
// a queue program and the spawners' deliveries have always been started so.
func IgnorePipeThroughout() { signal.Ignore(syscall.SIGPIPE) }
