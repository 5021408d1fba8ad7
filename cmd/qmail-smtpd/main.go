// Qmail-smtpd takes mail by SMTP.
//
// Synopsis: qmail-smtpd, without operands, from tcpserver, xinetd or inetd.
//
// The connection is descriptors 0 and 1, described by the variables of
// tcp-environ(5). RELAYCLIENT lets the client send anywhere and is appended to
// recipients; DATABYTES limits the size of messages. Control files:
// badmailfrom, databytes, localiphost, me, morercpthosts.cdb, rcpthosts,
// smtpgreeting, timeoutsmtpd. Nothing is written to descriptor 2. Exit codes:
// 0 after QUIT, 1 otherwise.
package main

import (
	"os"

	"github.com/reqmail/reqmail/compat/fdio"
	"github.com/reqmail/reqmail/compat/home"
	"github.com/reqmail/reqmail/compat/program"
	"github.com/reqmail/reqmail/qmail/intake"
	"github.com/reqmail/reqmail/qmail/smtpd"
)

func main() { program.Main("qmail-smtpd", int(smtpd.Lost), run) }

func run() int {
	program.IgnorePipe()
	config, err := smtpd.ReadConfig(home.Dir(), os.LookupEnv)
	if err != nil {
		_, _ = fdio.FD(1).WriteString(err.Error() + "\r\n")
		return int(smtpd.Lost)
	}
	conn := &fdio.Timed{In: 0, Out: 1, Timeout: config.Timeout}
	s := smtpd.NewSession(config, intake.PeerFrom(os.LookupEnv), conn)
	if mode, ok := os.LookupEnv("SMTPAUTH"); ok && mode != "-" {
		s.AnnounceSize()
	}
	return int(s.Serve())
}
