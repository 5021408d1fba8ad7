// Qmail-qmtpd takes mail by QMTP.
//
// Synopsis: qmail-qmtpd, without operands, from tcpserver.
//
// The connection is descriptors 0 and 1, described by the variables of
// tcp-environ(5). RELAYCLIENT, DATABYTES, rcpthosts, morercpthosts.cdb and
// databytes mean what they mean to qmail-smtpd. Exit codes: 0 when the client
// hangs up, 100 if it does not speak QMTP, 111 for trouble of ours or after an
// hour.
package main

import (
	"os"
	"time"

	"github.com/reqmail/reqmail/compat/fdio"
	"github.com/reqmail/reqmail/compat/home"
	"github.com/reqmail/reqmail/compat/program"
	"github.com/reqmail/reqmail/qmail/qmtp"
)

func main() { program.Main("qmail-qmtpd", qmtp.ExitResources, run) }

func run() int {
	program.IgnorePipeThroughout()
	time.AfterFunc(qmtp.MaxTime, func() { os.Exit(qmtp.ExitResources) })
	s, err := qmtp.New(home.Dir(), os.LookupEnv, fdio.FD(0), fdio.FD(1))
	if err != nil {
		return qmtp.ExitResources
	}
	return s.Serve()
}
