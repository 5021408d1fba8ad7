// Package command is the small programs that .qmail lines are made of:
// forward, condredirect, bouncesaying, except, preline, qreceipt, qbiff and
// qsmhook (qmail-command(8)), and predate, datemail and mailsubj, which put
// lines in front of a message too.
// It owns their texts and exit codes. It must not know qmail-local: all it
// learns about the delivery is in the environment.
package command

import (
	"syscall"

	"github.com/reqmail/reqmail/compat/child"
	"github.com/reqmail/reqmail/compat/errno"
	"github.com/reqmail/reqmail/compat/fdio"
)

// Exit codes, as qmail-local understands them (qmail-command(8)).
const (
	done      = 0   // go on with the next line
	delivered = 99  // and ignore the lines that follow
	permanent = 100 // the message bounces
	temporary = 111 // it is tried again
)

// Files are the descriptors 0, 1 and 2 of a command and of the programs that
// it runs: message, output and complaints.
type Files [3]fdio.FD

// tool is a command at work.
type tool struct {
	name  string
	files Files
}

func (t tool) say(text string) { _, _ = t.files[2].WriteString(text + "\n") }

// usage complains about operands.
func (t tool) usage(synopsis string) int {
	t.say(t.name + ": usage: " + t.name + " " + synopsis)
	return permanent
}

// fatal says why the command fails and returns its exit code.
func (t tool) fatal(code int, text string) int {
	t.say(t.name + ": fatal: " + text)
	return code
}

// trouble is a temporary failure with the system's reason, if there is one.
func (t tool) trouble(doing string, err error) int {
	if err == nil {
		return t.fatal(temporary, doing)
	}
	return t.fatal(temporary, doing+": "+errno.Text(err))
}

// isForkError tells a process that could not be had from a program that could
// not be executed.
func isForkError(err error) bool { return err == syscall.EAGAIN || err == syscall.ENOMEM }

// holds runs a program, which shares the message, as a condition: true if it
// exits 0. If it is false, or cannot be told, code is the exit code to leave
// with. A program that cannot be executed is as good as one that says no.
func (t tool) holds(argv []string) (yes bool, code int) {
	cmd := child.Command{Path: argv[0], Args: argv, Find: true, Files: t.files[:]}
	pid, err := cmd.Start()
	switch {
	case err == nil:
	case isForkError(err):
		return false, t.trouble("unable to fork", err)
	case errno.Temporary(err):
		return false, t.fatal(temporary, "temporary child error")
	default:
		return false, done
	}
	end, err := child.Wait(pid)
	switch {
	case err != nil:
		return false, t.fatal(temporary, "wait failed")
	case end.Signaled():
		return false, t.fatal(temporary, "child crashed")
	case end.ExitStatus() == temporary:
		return false, t.fatal(temporary, "temporary child error")
	}
	return end.ExitStatus() == 0, done
}
