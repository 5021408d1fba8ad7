// Qreceipt tells the sender of a message that it has arrived.
//
// Synopsis: qreceipt address, in a .qmail line.
//
// If the header on standard input has a Notice-Requested-Upon-Delivery-To
// field with that address, a notice goes to SENDER. Exit codes: 0, also where
// none is wanted; 100 and 111 if it cannot be sent, for good or for now.
package main

import (
	"os"

	"github.com/reqmail/reqmail/compat/program"
	"github.com/reqmail/reqmail/qmail/command"
)

func main() {
	program.Main("qreceipt", 111, func() int {
		program.IgnorePipeThroughout()
		return command.QReceipt(command.Files{0, 1, 2}, os.Args[1:])
	})
}
