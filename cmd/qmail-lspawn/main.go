// Qmail-lspawn runs local deliveries for qmail-send.
//
// Synopsis: qmail-lspawn defaultdelivery; qmail-start runs it as root.
//
// It reads commands from descriptor 0 and writes reports to descriptor 1. The
// account for an address comes from users/cdb or from qmail-getpw; under its
// uid qmail-local delivers. control/concurrencyspawn (120, at most 2000) is
// how many deliveries it offers to run at a time; with control/residentchildren
// other than 0 (1) programs of ours may stay for more of them. Exit codes: 0 at
// the end of its input, 100 without operand, 111 if it cannot start.
package main

import (
	"os"
	"syscall"

	"github.com/reqmail/reqmail/compat/child"
	"github.com/reqmail/reqmail/compat/fdio"
	"github.com/reqmail/reqmail/compat/home"
	"github.com/reqmail/reqmail/compat/ids"
	"github.com/reqmail/reqmail/compat/program"
	"github.com/reqmail/reqmail/qmail/lspawn"
	"github.com/reqmail/reqmail/qmail/spawn"
	"github.com/reqmail/reqmail/qmail/users"
)

const (
	failed = 111
	usage  = 100
)

func main() { program.Main("qmail-lspawn", failed, run) }

func run() int {
	slots := spawn.Slots(home.Dir())
	if syscall.Chdir(home.Dir()) != nil || syscall.Chdir("queue/mess") != nil {
		return failed
	}
	program.IgnorePipeThroughout()
	if len(os.Args) < 2 {
		return usage
	}
	worker := &lspawn.Local{Home: home.Dir(), DefaultDelivery: os.Args[1], UID: uint32(os.Geteuid()),
		Assigned: &users.Database{Path: home.Dir() + "/users/cdb"}, Null: child.Closed}
	s := spawn.Server{Slots: slots, MaxOutput: lspawn.MaxOutput, TooMuch: lspawn.TooMuch, Worker: worker}
	if err := accounts(worker, &s); err != nil {
		_, _ = fdio.FD(2).WriteString(err.Error() + "\n")
		return failed
	}
	if null, err := fdio.Open("/dev/null", syscall.O_RDONLY, 0); err == nil {
		worker.Null = null
	}
	worker.Runner, worker.Getpw = lspawn.NewRunners(home.Dir())
	s.Serve(fdio.FD(0), fdio.FD(1))
	return 0
}

func accounts(worker *lspawn.Local, s *spawn.Server) (err error) {
	if worker.GetpwUID, err = ids.UID(ids.Passwd); err != nil {
		return err
	}
	if s.QueueOwner, err = ids.UID(ids.Queue); err != nil {
		return err
	}
	worker.GetpwGID, err = ids.GID(ids.Nofiles)
	return err
}
