// Qmail-remote sends a message by SMTP.
//
// Synopsis: qmail-remote host sender recipient …
//
// It reads the message from descriptor 0 and sends it to the mail exchangers
// of host, or where control/smtproutes says. For each recipient it prints a
// letter r (accepted), h or s (refused for good, or for now) and a text, then
// for the message K, Z or D (sent, not yet, failed) and a text, each ended by
// a NUL. Control files: helohost, me, smtproutes, timeoutconnect,
// timeoutremote. Name servers: /etc/resolv.conf, RES_OPTIONS. Hosts that did
// not answer are kept in queue/lock/tcpto and, if it is there, tcpto6. The exit
// code is 0 always: the output is the answer.
package main

import (
	"os"

	"github.com/reqmail/reqmail/compat/fdio"
	"github.com/reqmail/reqmail/compat/home"
	"github.com/reqmail/reqmail/compat/program"
	"github.com/reqmail/reqmail/qmail/remote"
)

// bug is for our own failures; qmail-rspawn takes it for a temporary one.
const bug = 111

func main() { program.Main("qmail-remote", bug, run) }

func run() int {
	program.IgnorePipe()
	remote.Run(os.Args[1:], home.Dir(), fdio.FD(0), fdio.FD(1))
	return 0
}
