// Condredirect sends a message on if a program says so.
//
// Synopsis: condredirect newaddress program [ arg … ]
//
// It runs the program with the message, a file, as standard input. If that
// exits 0, condredirect queues the message, with the Delivered-To line of the
// environment variable DTLINE on top, from SENDER to newaddress and exits 99:
// the rest of the .qmail file does not count. If the program exits 111, so
// does condredirect; after every other exit code it does nothing. Exit codes:
// 99 queued, 0 nothing done, 100 failed for good, 111 to be tried again.
package main

import (
	"os"

	"github.com/reqmail/reqmail/compat/program"
	"github.com/reqmail/reqmail/qmail/command"
)

func main() {
	program.Main("condredirect", 111, func() int {
		program.IgnorePipeThroughout()
		return command.CondRedirect(command.Files{0, 1, 2}, os.Args[1:])
	})
}
