// Reqmail-ext is qmail-smtpd and qmail-remote with everything that needs a
// cryptographic library. It has no use of its own: a program becomes it when
// it needs to, and stays as it is where this one is not installed. Started by
// hand it says so and leaves with 100.
package main

import (
	"os"

	"github.com/reqmail/reqmail/compat/environ"
	"github.com/reqmail/reqmail/compat/ext"
	"github.com/reqmail/reqmail/compat/fdio"
	"github.com/reqmail/reqmail/compat/home"
	"github.com/reqmail/reqmail/compat/program"
	"github.com/reqmail/reqmail/compat/resident"
	"github.com/reqmail/reqmail/qmail/filter"
	"github.com/reqmail/reqmail/qmail/filter/expression"
	"github.com/reqmail/reqmail/qmail/remote"
	"github.com/reqmail/reqmail/qmail/remoteext"
	"github.com/reqmail/reqmail/qmail/smtpd"
	"github.com/reqmail/reqmail/qmail/smtphost"
	"github.com/reqmail/reqmail/qmail/smtptls"
	"github.com/reqmail/reqmail/qmail/spf"
)

const (
	notByHand = 100
	remoteBug = 111 // qmail-rspawn takes it for a temporary failure
)

func main() {
	switch ext.Role() {
	case smtphost.Role:
		program.Main(smtphost.Role, int(smtpd.Lost), runSMTPD)
	case remote.Role:
		program.Main(remote.Role, remoteBug, runRemote)
	default:
		_, _ = fdio.FD(2).WriteString("reqmail-ext: fatal: other programs start this one when they need it\n")
		os.Exit(notByHand)
	}
}

func runSMTPD() int {
	program.IgnorePipeThroughout()
	host := &smtphost.Host{Whole: true, TLS: smtptls.New(home.Dir()).For, Filters: filters}
	return host.Run(os.Args)
}

func filters(home string, env environ.List) (filter.Libraries, error) {
	chain, err := spf.Filters(home, env)
	return filter.Libraries{Compile: expression.Compile, Chain: chain}, err
}

func runRemote() int {
	program.IgnorePipe()
	libraries := remoteext.Libraries(home.Dir())
	if post := resident.TakeOver(); post != nil {
		remote.Stay(post, os.Args[1:], home.Dir(), fdio.FD(0), fdio.FD(1), libraries)
		return 0
	}
	remote.Run(os.Args[1:], home.Dir(), fdio.FD(0), fdio.FD(1), libraries)
	return 0
}
