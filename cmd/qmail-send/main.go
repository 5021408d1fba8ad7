// Qmail-send delivers the messages in the queue.
//
// Synopsis: qmail-send, without arguments; qmail-start becomes it, as qmails.
//
// Descriptors: 0 the log; 1 to and 2 from qmail-lspawn; 3 to and 4 from
// qmail-rspawn; 5 to and 6 from qmail-clean. Control files: bouncefrom,
// bouncehost, concurrencylocal, concurrencyremote, domainlifetime,
// doublebouncehost, doublebounceto, envnoathost, fairscheduler, freezebounces,
// locals, mailpolicy, me, percenthack, queuelifetime, virtualdomains. Where the folder
// queue/lock/send exists it takes questions and orders on the socket control
// in it (compat/steer).
//
// Signals: TERM leaves when the running deliveries have ended; ALRM makes
// every message due now that is not held or postponed; HUP reads locals,
// mailpolicy and virtualdomains again.
//
// Exit codes: 0 after TERM or the loss of a child, 111 if it cannot start; the
// log says why.
package main

import (
	"errors"
	"runtime"
	"runtime/debug"
	"syscall"

	"github.com/reqmail/reqmail/compat/home"
	"github.com/reqmail/reqmail/compat/maillog"
	"github.com/reqmail/reqmail/compat/program"
	"github.com/reqmail/reqmail/qmail/send"
	"github.com/reqmail/reqmail/queue"
)

const failed = 111

// The loop's work stays on one thread, so that a trace of its calls is nearly the
// same in every run: the tests of crashes and errors go by that.
func init() { runtime.LockOSThread() }

func main() { program.Main("qmail-send", failed, run) }

func run() int {
	debug.SetGCPercent(send.Garbage(0))
	files := send.Standard()
	if err := serve(files); err != nil {
		_, _ = files.Log.WriteString(maillog.Alert("cannot start: "+err.Error()) + "\n")
		return failed
	}
	return 0
}

// serve starts up and serves; the error says why it could not start.
func serve(files send.Files) error {
	if syscall.Chdir(home.Dir()) != nil {
		return errors.New("unable to switch to home directory")
	}
	config, err := send.ReadConfig(home.Dir() + "/control")
	if err != nil {
		return errors.New("unable to read controls")
	}
	if syscall.Chdir("queue") != nil {
		return errors.New("unable to switch to queue directory")
	}
	program.IgnorePipeThroughout()
	syscall.Umask(0o077)
	taken, err := queue.LockSend()
	if err != nil {
		return errors.New("unable to open mutex")
	}
	if !taken {
		return errors.New("qmail-send is already running")
	}
	s, err := send.New(config, home.Dir(), files)
	if err != nil {
		return err
	}
	s.Run()
	return nil
}
