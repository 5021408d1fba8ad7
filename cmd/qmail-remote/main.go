// Qmail-remote sends a message by SMTP.
//
// Synopsis: qmail-remote host sender recipient …
//
// It reads the message from descriptor 0 and sends it to the mail exchangers
// of host, or where control/smtproutes says. For each recipient it prints a
// letter r (accepted), h or s (refused for good, or for now) and a text, then
// for the message K, Z or D (sent, not yet, failed) and a text, each ended by
// a NUL. The exit code is 0 always: the output is the answer.
//
// Control files: helohost, me, timeoutconnect, timeoutremote, smtputf8; where
// mail goes: smtproutes, authsenders, both with a user and a password if the
// relay wants them; this host's address and name: outgoingip (the environment
// variable OUTGOINGIP goes before it), bindroutes, senderips, domainbindings,
// domainips, helohosts; TLS: tlsremote, tlsminimum, tlsclientciphers,
// clientcert.pem, tlshosts/HOST.pem, tlshosts/exhaustivelist,
// notlshosts/HOST. Name servers: /etc/resolv.conf, RES_OPTIONS. Hosts that did
// not answer are kept in queue/lock/tcpto and, if it is there, tcpto6.
//
// A qmail-rspawn of ours may ask it to stay. Then it takes many deliveries at a
// time, keeps connections for a moment for the next message
// (connectionreuse), and names several recipients of a message on one host in
// one transaction (transactionrecipients). It prints nothing but for its first
// delivery, and ends when nothing has been asked of it for some seconds.
//
// TLS, logging in and names that are not ASCII need bin/reqmail-ext, which the
// program becomes. Without it hosts' offers of TLS are passed over.
package main

import (
	"os"

	"github.com/reqmail/reqmail/compat/fdio"
	"github.com/reqmail/reqmail/compat/home"
	"github.com/reqmail/reqmail/compat/program"
	"github.com/reqmail/reqmail/compat/resident"
	"github.com/reqmail/reqmail/qmail/remote"
)

// bug is for our own failures; qmail-rspawn takes it for a temporary one.
const bug = 111

func main() { program.Main("qmail-remote", bug, run) }

func run() int {
	program.IgnorePipe()
	if post := resident.Invited(); post != nil {
		remote.Stay(post, os.Args[1:], home.Dir(), fdio.FD(0), fdio.FD(1), nil)
		return 0
	}
	remote.Run(os.Args[1:], home.Dir(), fdio.FD(0), fdio.FD(1), nil)
	return 0
}
