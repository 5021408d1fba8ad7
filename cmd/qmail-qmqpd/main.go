// Qmail-qmqpd takes mail by QMQP from hosts without a queue.
//
// Synopsis: qmail-qmqpd, without operands, from tcpserver.
//
// The connection is descriptors 0 and 1, described by the variables of
// tcp-environ(5). It accepts any recipient: only trusted hosts may connect.
// Exit codes: 0, also when the client hangs up; 100 if it does not speak QMQP;
// 111 for trouble of ours or after an hour.
package main

import (
	"os"
	"time"

	"github.com/reqmail/reqmail/compat/fdio"
	"github.com/reqmail/reqmail/compat/program"
	"github.com/reqmail/reqmail/qmail/intake"
	"github.com/reqmail/reqmail/qmail/qmqp"
)

func main() { program.Main("qmail-qmqpd", qmqp.ExitResources, run) }

func run() int {
	program.IgnorePipeThroughout()
	time.AfterFunc(qmqp.MaxTime, func() { os.Exit(qmqp.ExitResources) })
	return qmqp.Serve(intake.PeerFrom(os.LookupEnv), fdio.FD(0), fdio.FD(1))
}
