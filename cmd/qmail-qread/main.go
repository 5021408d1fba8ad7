// Qmail-qread lists the messages of the queue and their recipients.
//
// Synopsis: qmail-qread, without arguments, as root or qmails.
//
// For each message that qmail-send has preprocessed it prints a line with date,
// number, size and sender, and a line for each recipient:
//
//	22 Nov 2026 16:57:49 GMT  #9979901  230  <bob@example.org>  bouncing
//	  done	local	alice@example.com
//		remote	carol@example.net
//
// "bouncing" says that deliveries have failed and a bounce is to be sent, "done"
// that nothing is left to be done for a recipient. What is not printable ASCII
// is shown as "_". A message that changes under its hands is a warning.
//
// Exit codes: 0; 111 if the queue cannot be read, which it says on standard
// output.
package main

import (
	"errors"
	"os"
	"runtime"
	"syscall"

	"github.com/reqmail/reqmail/compat/errno"
	"github.com/reqmail/reqmail/compat/home"
	"github.com/reqmail/reqmail/compat/program"
	"github.com/reqmail/reqmail/qmail/qlist"
	"github.com/reqmail/reqmail/queue"
)

const failed = 111

func main() { program.Main("qmail-qread", failed, run) }

func run() int {
	if err := syscall.Chdir(home.Dir() + "/queue"); err != nil {
		return fatal("unable to chdir: " + errno.Text(err))
	}
	// Each lister needs one, as its calls do not give it up; and the writer.
	runtime.GOMAXPROCS(max(runtime.NumCPU(), qlist.Listers+1))
	// Unlike fdio, os.Stdout ends the program when nobody reads any more.
	err := qlist.List(os.Stdout)
	var dir *queue.FileError
	switch {
	case errors.As(err, &dir):
		return fatal(dir.Doing + " " + dir.File + ": " + errno.Text(dir.Err))
	case errors.Is(err, qlist.ErrRead):
		return fatal(err.Error())
	case err != nil:
		return failed // standard output cannot be written
	}
	return 0
}

func fatal(text string) int {
	_, _ = os.Stdout.WriteString("fatal: " + text + "\n")
	return failed
}
