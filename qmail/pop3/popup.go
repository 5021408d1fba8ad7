// Package pop3 is POP3 (RFC 1939): the authorization state, qmail-popup, and
// the transaction state on a Maildir, qmail-pop3d. It must not know how
// passwords are checked.
package pop3

import (
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/reqmail/reqmail/compat/address"
	"github.com/reqmail/reqmail/compat/child"
	"github.com/reqmail/reqmail/compat/fdio"
	"github.com/reqmail/reqmail/qmail/dialogue"
)

// Timeout is how long a client is waited for.
const Timeout = 1200 * time.Second

// pipeCapacity is how many bytes a pipe takes that nobody reads (pipe(7)).
const pipeCapacity = 64 << 10

// ExitPopup is the exit code of qmail-popup, always.
const ExitPopup = 1

const ok = "+OK "

func sorry(text string) string { return "-ERR " + text }

// Popup is a conversation in the authorization state.
type Popup struct {
	*dialogue.Dialogue
	hostname   string
	subprogram []string
	unique     string
	user       string
	seenUser   bool
}

// NewPopup prepares a conversation. subprogram checks passwords and goes on.
func NewPopup(conn *fdio.Timed, hostname string, subprogram []string) *Popup {
	unique := strconv.Itoa(os.Getpid()) + "." + strconv.FormatInt(time.Now().Unix(), 10)
	return &Popup{Dialogue: dialogue.New(conn), hostname: hostname, subprogram: subprogram, unique: unique}
}

// Usage complains about operands.
func Usage(conn *fdio.Timed) {
	_, _ = conn.Write([]byte(sorry("usage: popup hostname subprogram") + "\r\n"))
}

// timestamp is what the greeting has for APOP (RFC 1939 7).
func (p *Popup) timestamp() string { return "<" + p.unique + "@" + p.hostname + ">" }

// Serve talks until the client has logged in or gone.
func (p *Popup) Serve() {
	p.Reply(ok + p.timestamp())
	for {
		name, arg, err := p.Command()
		if err != nil || p.command(address.Lower(name), arg) {
			_ = p.Flush()
			return
		}
	}
}

// command carries out a command; true ends the conversation.
func (p *Popup) command(name, arg string) (end bool) {
	switch name {
	case "user":
		if arg == "" {
			p.Reply(sorry("syntax error"))
			return false
		}
		p.user, p.seenUser = arg, true
		p.Reply(ok)
	case "pass":
		return p.pass(arg)
	case "apop":
		user, digest, found := strings.Cut(arg, " ")
		if !found {
			p.Reply(sorry("syntax error"))
			return false
		}
		p.login(user, digest)
		return true
	case "quit":
		p.Reply(ok)
		return true
	case "noop":
		p.Reply(ok)
	default:
		p.Reply(sorry("authorization first"))
	}
	return false
}

func (p *Popup) pass(arg string) (end bool) {
	switch {
	case !p.seenUser:
		p.Reply(sorry("USER first"))
	case arg == "":
		p.Reply(sorry("syntax error"))
	default:
		p.login(p.user, arg)
		return true
	}
	return false
}

// login runs the subprogram with name, password and timestamp on its
// descriptor 3 (checkpassword's interface) and waits for it. The connection
// is the subprogram's as long as it runs.
func (p *Popup) login(user, password string) {
	_ = p.Flush()
	r, w, err := fdio.Pipe()
	if err != nil {
		p.Reply(sorry("unable to open pipe"))
		return
	}
	cmd := child.Command{Path: p.subprogram[0], Find: true, Args: p.subprogram, Files: []fdio.FD{0, 1, 2, r}}
	pid, err := cmd.Start()
	r.Close()
	if err != nil {
		w.Close()
		if err == syscall.EAGAIN || err == syscall.ENOMEM {
			p.Reply(sorry("unable to fork"))
			return
		}
		p.Reply(sorry("authorization failed"))
		return
	}
	fields := user + "\x00" + password + "\x00" + p.timestamp() + "\x00"
	_, err = w.WriteString(fields)
	w.Close()
	// A program that did not read says why by its end. Whether it ended before
	// it was written to is chance, unless it had to read.
	if err != nil && (err != syscall.EPIPE || len(fields) > pipeCapacity) {
		p.Reply(sorry("unable to write pipe"))
		return
	}
	status, err := child.Wait(pid)
	switch {
	case err != nil:
	case status.Signaled():
		p.Reply(sorry("aack, child crashed"))
	case status.ExitStatus() != 0:
		p.Reply(sorry("authorization failed"))
	}
}
