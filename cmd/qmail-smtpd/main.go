// Qmail-smtpd takes mail by SMTP.
//
// Synopsis: qmail-smtpd, without options, from tcpserver, xinetd or inetd;
// or qmail-smtpd -l address:port … [-x rules.cdb] [-c max] [-C max] [-pH]
//
// The connection is descriptors 0 and 1, described by the variables of
// tcp-environ(5). RELAYCLIENT lets the client send anywhere and is appended to
// recipients; DATABYTES limits the size of messages. Control files:
// badmailfrom, databytes, localiphost, me, morercpthosts.cdb, rcpthosts,
// smtpgreeting, timeoutsmtpd. Nothing is written to descriptor 2. Exit codes:
// 0 after QUIT, 1 otherwise.
//
// With -l it listens by itself, in one process: see listen.go.
package main

import (
	"os"
	"strings"

	"github.com/reqmail/reqmail/compat/fdio"
	"github.com/reqmail/reqmail/compat/home"
	"github.com/reqmail/reqmail/compat/program"
	"github.com/reqmail/reqmail/qmail/intake"
	"github.com/reqmail/reqmail/qmail/smtpd"
)

func main() { program.Main("qmail-smtpd", int(smtpd.Lost), run) }

func run() int {
	program.IgnorePipe()
	if len(os.Args) > 1 && strings.HasPrefix(os.Args[1], "-l") {
		return listen(os.Args)
	}
	config, err := smtpd.ReadConfig(home.Dir(), os.LookupEnv)
	if err != nil {
		_, _ = fdio.FD(1).WriteString(err.Error() + "\r\n")
		return int(smtpd.Lost)
	}
	conn := &fdio.Timed{In: 0, Out: 1, Timeout: config.Timeout}
	s := smtpd.NewSession(config, intake.PeerFrom(os.LookupEnv), conn)
	announce(s, os.LookupEnv)
	return int(s.Serve())
}

// announce makes the session announce SIZE where the environment asks for
// what the AUTH patches do.
func announce(s *smtpd.Session, lookup func(string) (string, bool)) {
	if mode, ok := lookup("SMTPAUTH"); ok && mode != "-" {
		s.AnnounceSize()
	}
}
