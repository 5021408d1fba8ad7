// Qmail-queue puts a message into the queue.
//
// Synopsis: qmail-queue, without arguments.
//
// It reads the message from descriptor 0 to its end, then the envelope from
// descriptor 1: "F", the sender, a NUL; for each recipient "T", the address,
// a NUL; and a last NUL. It prints nothing; the answer is its exit code: 0 if
// the message is in the queue for good, 11 for an address that is too long,
// 51 to 66 for trouble that may pass, 81 for a bug, 91 for a malformed
// envelope (package compat/status has the table). A client of ours may keep it
// for more messages (package compat/submit).
//
// It is the only set-uid program (owner qmailq, mode 4711).
package main

import (
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/reqmail/reqmail/compat/fdio"
	"github.com/reqmail/reqmail/compat/home"
	"github.com/reqmail/reqmail/compat/ids"
	"github.com/reqmail/reqmail/compat/program"
	"github.com/reqmail/reqmail/compat/resident"
	"github.com/reqmail/reqmail/compat/status"
	"github.com/reqmail/reqmail/qmail/enqueue"
)

// lifetime is how long a qmail-queue may take. It must be below the 36 hours
// after which its files are taken for abandoned.
const lifetime = 24 * time.Hour

// The work stays on one thread, so that a trace of its calls is the same in
// every run: the tests of crashes and errors go by that.
func init() { runtime.LockOSThread() }

func main() { program.Main("qmail-queue", status.InternalBug, run) }

func run() int {
	post := resident.Invited()
	syscall.Umask(0o033)
	if code := enqueue.EnterQueue(home.Dir()); code != 0 {
		return code
	}
	who, err := invoker()
	if err != nil {
		_, _ = fdio.FD(2).WriteString(err.Error() + "\n")
		return 111
	}
	die(post)
	if enqueue.IsShared() {
		return enqueue.Share(home.Dir(), who, setAlarm)
	}
	setAlarm()
	now := time.Now()
	follows := enqueue.Wanted(now)
	leave := func() {
		if follows {
			enqueue.Leave(home.Dir())
		}
	}
	if post == nil {
		leave() // when nothing can befall a message that is queued already
		return enqueue.Run(fdio.FD(0), fdio.FD(1), who, now)
	}
	code := enqueue.Run(fdio.FD(0), fdio.FD(1), who, now)
	return enqueue.Stay(post, code, who, setAlarm, leave)
}

// setAlarm has the kernel send SIGALRM when the time for a message is over.
func setAlarm() {
	_, _ = unix.Setitimer(unix.ITIMER_REAL, unix.Itimerval{Value: unix.Timeval{Sec: int64(lifetime / time.Second)}})
}

// die ends the process, without any clean-up, when its time is over or a
// signal says so. A client that keeps it for more messages is told why.
func die(post *resident.Post) {
	signal.Ignore(syscall.SIGPIPE, syscall.SIGVTALRM, syscall.SIGPROF, syscall.SIGQUIT,
		syscall.SIGINT, syscall.SIGHUP, syscall.SIGXCPU, syscall.SIGXFSZ)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGALRM, syscall.SIGILL, syscall.SIGABRT, syscall.SIGFPE,
		syscall.SIGBUS, syscall.SIGSEGV, syscall.SIGSYS)
	go func() {
		code := status.InternalBug
		if <-signals == syscall.SIGALRM {
			code = status.Timeout
		}
		if post != nil {
			_ = post.Send([]byte{byte(code)})
		}
		os.Exit(code)
	}()
}

func invoker() (enqueue.Invoker, error) {
	who := enqueue.Invoker{PID: os.Getpid(), UID: os.Getuid()}
	if home.Private() {
		return who, nil
	}
	var roles enqueue.Roles
	for _, account := range []struct {
		name string
		uid  *uint32
	}{{ids.Alias, &roles.Alias}, {ids.Daemon, &roles.Daemon}, {ids.Send, &roles.Send}} {
		var err error
		if *account.uid, err = ids.UID(account.name); err != nil {
			return who, err
		}
	}
	who.Roles = &roles
	return who, nil
}
