// Qmail-start starts the mail system.
//
// Synopsis: qmail-start [defaultdelivery [logger arg …]]
//
// Run as root, it starts the logger (qmaill), qmail-lspawn (root),
// qmail-rspawn (qmailr) and qmail-clean (qmailq), connects them by pipes and
// becomes qmail-send (qmails). All are found by PATH. defaultdelivery is what
// qmail-local does for users without .qmail file, ./Mailbox where it is not
// given; without a logger the log goes to standard output. It prints nothing;
// every failure is exit code 111. In a private home everything runs under the
// caller's uid.
package main

import (
	"os"

	"github.com/reqmail/reqmail/compat/program"
	"github.com/reqmail/reqmail/qmail/start"
)

func main() { program.Main("qmail-start", start.Failed, run) }

func run() int { return start.Run(os.Args[1:]) }
