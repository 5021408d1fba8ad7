// Qmail-clean removes queue files for qmail-send.
//
// Synopsis: qmail-clean, without arguments; qmail-start runs it as qmailq.
//
// It reads requests from descriptor 0, "foop/ID" or "todo/ID" with a NUL
// behind, and answers each with one byte on descriptor 1: "+" done, "!" not
// done, "x" malformed. A malformed request is answered once and does nothing.
// Exit codes: 0 at the end of its input, 100 if an answer cannot be written,
// 111 if the queue cannot be entered.
package main

import (
	"runtime"
	"syscall"
	"time"

	"github.com/reqmail/reqmail/compat/fdio"
	"github.com/reqmail/reqmail/compat/home"
	"github.com/reqmail/reqmail/compat/program"
	"github.com/reqmail/reqmail/qmail/clean"
)

// processors of the Go runtime: one for the work, the others for threads that give
// room back, and wait for the disk (queue.Remover).
const processors = 3

// The work stays on one thread, so that a trace of its calls is the same in
// every run: the tests of crashes and errors go by that.
func init() { runtime.LockOSThread() }

func main() { program.Main("qmail-clean", clean.ExitNoQueue, run) }

func run() int {
	program.IgnorePipe()
	if syscall.Chdir(home.Dir()) != nil || syscall.Chdir("queue") != nil {
		return clean.ExitNoQueue
	}
	runtime.GOMAXPROCS(processors)
	return clean.Run(fdio.FD(0), fdio.FD(1), time.Now)
}
