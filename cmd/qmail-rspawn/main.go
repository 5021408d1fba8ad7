// Qmail-rspawn runs remote deliveries for qmail-send.
//
// Synopsis: qmail-rspawn, without arguments; qmail-start runs it as qmailr.
//
// It reads commands from descriptor 0 and writes reports to descriptor 1. For
// each recipient it runs qmail-remote, or what the environment variable
// QMAILREMOTE names, found by PATH. control/concurrencyspawn (120, at most
// 2000) is how many deliveries it offers to run at a time. At its start it
// forgets all timeouts in queue/lock/tcpto. Exit codes: 0 at the end of its
// input, 111 if it cannot start.
package main

import (
	"os"
	"syscall"

	"github.com/reqmail/reqmail/compat/child"
	"github.com/reqmail/reqmail/compat/fdio"
	"github.com/reqmail/reqmail/compat/home"
	"github.com/reqmail/reqmail/compat/ids"
	"github.com/reqmail/reqmail/compat/program"
	"github.com/reqmail/reqmail/control"
	"github.com/reqmail/reqmail/qmail/rspawn"
	"github.com/reqmail/reqmail/qmail/spawn"
	"github.com/reqmail/reqmail/queue/tcpto"
)

const failed = 111

func main() { program.Main("qmail-rspawn", failed, run) }

func run() int {
	slots := spawn.Slots(home.Dir())
	if syscall.Chdir(home.Dir()) != nil || syscall.Chdir("queue/mess") != nil {
		return failed
	}
	program.IgnorePipeThroughout()
	owner, err := ids.UID(ids.Queue)
	if err != nil {
		_, _ = fdio.FD(2).WriteString(err.Error() + "\n")
		return failed
	}
	tcpto.Forget(home.Dir() + "/queue")
	remote, ok := os.LookupEnv("QMAILREMOTE")
	if !ok {
		remote = "qmail-remote"
	}
	worker := &rspawn.Remote{Program: remote, Reaper: child.NewReaper(), Residents: control.Residents(home.Dir())}
	s := spawn.Server{
		Slots:      slots,
		QueueOwner: owner,
		MaxOutput:  rspawn.MaxOutput,
		Worker:     worker,
	}
	s.Serve(fdio.FD(0), fdio.FD(1))
	worker.Leave()
	return 0
}
