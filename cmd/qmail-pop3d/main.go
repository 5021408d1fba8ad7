// Qmail-pop3d gives a user his mail by POP3.
//
// Synopsis: qmail-pop3d maildir, from qmail-popup and a password checker,
// under the user's uid in his home.
//
// The connection is descriptors 0 and 1. Messages are deleted, and moved from
// new to cur, only by QUIT. The exit code is 0; 1 for root, whom it does not
// serve.
package main

import (
	"os"
	"time"

	"github.com/reqmail/reqmail/compat/fdio"
	"github.com/reqmail/reqmail/compat/program"
	"github.com/reqmail/reqmail/qmail/pop3"
)

const failed = 1

func main() { program.Main("qmail-pop3d", failed, run) }

func run() int {
	program.IgnorePipe()
	if os.Getuid() == 0 {
		_, _ = fdio.FD(2).WriteString("qmail-pop3d invoked as uid 0, terminating\n")
		return failed
	}
	maildir := ""
	if len(os.Args) > 1 {
		maildir = os.Args[1]
	}
	conn := &fdio.Timed{In: 0, Out: 1, Timeout: pop3.Timeout}
	if m := pop3.OpenMailbox(conn, maildir, time.Now()); m != nil {
		m.Serve()
	}
	return 0
}
