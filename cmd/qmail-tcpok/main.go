// Qmail-tcpok forgets which hosts did not answer lately, so that qmail-remote
// tries them again.
//
// Synopsis: qmail-tcpok, without arguments, as root or qmailr.
//
// It clears queue/lock/tcpto, and queue/lock/tcpto6 (IPv6) if that is there.
// Exit codes: 0; 111 if it cannot.
package main

import (
	"syscall"

	"github.com/reqmail/reqmail/compat/errno"
	"github.com/reqmail/reqmail/compat/fdio"
	"github.com/reqmail/reqmail/compat/home"
	"github.com/reqmail/reqmail/compat/program"
	"github.com/reqmail/reqmail/queue/tcpto"
)

const failed = 111

func main() { program.Main("qmail-tcpok", failed, run) }

func run() int {
	dir := home.Dir()
	for _, d := range []string{dir, dir + "/queue/lock"} {
		if err := syscall.Chdir(d); err != nil {
			return die("unable to chdir to "+d, err)
		}
	}
	if err := tcpto.Clear(dir + "/queue"); err != nil {
		e := err.(*tcpto.Error)
		return die("unable to "+e.Op+" "+dir+"/queue/lock/"+e.Name, err)
	}
	return 0
}

func die(doing string, err error) int {
	_, _ = fdio.FD(2).WriteString("qmail-tcpok: fatal: " + doing + ": " + errno.Text(err) + "\n")
	return failed
}
