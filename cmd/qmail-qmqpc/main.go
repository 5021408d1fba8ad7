// Qmail-qmqpc queues a message on another host, in qmail-queue's place.
//
// Synopsis: qmail-qmqpc, without operands.
//
// It reads message and envelope as qmail-queue does and hands them by QMQP to
// the first of control/qmqpservers (IPv4 addresses) that can be reached. Exit
// codes are qmail-queue's: 0 queued, 31 and 71 refused for good or for now, 55
// no servers, 72 and 73 no connection, 74 connection broken.
package main

import (
	"syscall"

	"github.com/reqmail/reqmail/compat/fdio"
	"github.com/reqmail/reqmail/compat/home"
	"github.com/reqmail/reqmail/compat/program"
	"github.com/reqmail/reqmail/compat/status"
	"github.com/reqmail/reqmail/qmail/qmqp"
)

func main() { program.Main("qmail-qmqpc", status.OutOfMemory, run) }

func run() int {
	program.IgnorePipe()
	if syscall.Chdir(home.Dir()) != nil {
		return status.HomeDirectory
	}
	return qmqp.Submit(home.Dir(), fdio.FD(0), fdio.FD(1))
}
