// Forward sends the message on from a .qmail line.
//
// Synopsis: forward address …
//
// It reads the message from standard input and queues it, with the
// Delivered-To line of the environment variable DTLINE on top, from
// NEWSENDER to the addresses. It prints "forward: qp" and the number that the
// log knows the new message by on standard error. Exit codes: 0 queued, 100
// failed for good, 111 to be tried again.
package main

import (
	"os"

	"github.com/reqmail/reqmail/compat/program"
	"github.com/reqmail/reqmail/qmail/command"
)

func main() {
	program.Main("forward", 111, func() int {
		program.IgnorePipeThroughout()
		return command.Forward(command.Files{0, 1, 2}, os.Args[1:])
	})
}
