// Qmail-popup reads a user's name and password by POP3.
//
// Synopsis: qmail-popup hostname subprogram [arg …], from tcpserver, as root.
//
// The connection is descriptors 0 and 1. The subprogram, one with
// checkpassword's interface, gets name, password and timestamp on descriptor 3
// and the connection. APOP works where the subprogram can check its digests.
// The exit code is 1.
package main

import (
	"os"

	"github.com/reqmail/reqmail/compat/fdio"
	"github.com/reqmail/reqmail/compat/program"
	"github.com/reqmail/reqmail/qmail/pop3"
)

func main() { program.Main("qmail-popup", pop3.ExitPopup, run) }

func run() int {
	program.IgnorePipe()
	conn := &fdio.Timed{In: 0, Out: 1, Timeout: pop3.Timeout}
	if len(os.Args) < 3 {
		pop3.Usage(conn)
		return pop3.ExitPopup
	}
	pop3.NewPopup(conn, os.Args[1], os.Args[2:]).Serve()
	return pop3.ExitPopup
}
