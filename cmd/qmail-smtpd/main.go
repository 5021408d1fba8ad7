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

	"github.com/reqmail/reqmail/compat/program"
	"github.com/reqmail/reqmail/qmail/smtpd"
	"github.com/reqmail/reqmail/qmail/smtphost"
)

func main() {
	program.Main(smtphost.Role, int(smtpd.Lost), func() int {
		program.IgnorePipeThroughout()
		return new(smtphost.Host).Run(os.Args)
	})
}
