// Maildir2mbox moves mail from a Maildir into an mbox.
//
// Synopsis: maildir2mbox, with MAILDIR, MAIL and MAILTMP in the environment.
//
// MAILTMP is a file on the file system of the mbox MAIL; the new mbox is
// written there first. Exit codes: 0; 111 if nothing was moved.
package main

import (
	"os"
	"syscall"
	"time"

	"github.com/reqmail/reqmail/compat/fdio"
	"github.com/reqmail/reqmail/compat/program"
	"github.com/reqmail/reqmail/qmail/maildir"
)

const failed = 111

func main() { program.Main("maildir2mbox", failed, run) }

func run() int {
	syscall.Umask(0o077)
	say := func(kind, text string) { _, _ = fdio.FD(2).WriteString("maildir2mbox: " + kind + ": " + text + "\n") }
	err := maildir.ToMbox(os.LookupEnv, time.Now(), func(text string) { say("warning", text) })
	if err != nil {
		say("fatal", err.Error())
		return failed
	}
	return 0
}
