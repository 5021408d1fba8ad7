// Reqmail-ext is qmail-smtpd with everything that needs a cryptographic
// library. It has no use of its own: the program becomes it when it needs to,
// and stays as it is where this one is not installed. Started by hand it says
// so and leaves with 100.
package main

import (
	"os"

	"github.com/reqmail/reqmail/compat/ext"
	"github.com/reqmail/reqmail/compat/fdio"
	"github.com/reqmail/reqmail/compat/home"
	"github.com/reqmail/reqmail/compat/program"
	"github.com/reqmail/reqmail/qmail/smtpd"
	"github.com/reqmail/reqmail/qmail/smtphost"
	"github.com/reqmail/reqmail/qmail/smtptls"
	"github.com/reqmail/reqmail/qmail/spf"
)

const notByHand = 100

func main() {
	switch ext.Role() {
	case smtphost.Role:
		program.Main(smtphost.Role, int(smtpd.Lost), runSMTPD)
	default:
		_, _ = fdio.FD(2).WriteString("reqmail-ext: fatal: qmail-smtpd starts this program when it needs it\n")
		os.Exit(notByHand)
	}
}

func runSMTPD() int {
	program.IgnorePipe()
	host := &smtphost.Host{Whole: true, TLS: smtptls.New(home.Dir()).For, Filters: spf.Filters}
	return host.Run(os.Args)
}
