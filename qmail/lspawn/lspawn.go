// Package lspawn is what qmail-lspawn adds to a spawner: it finds the account
// that an address belongs to and runs qmail-local under it. It runs as root
// and looks at nothing but addresses; what is in messages and .qmail files is
// qmail-local's business.
package lspawn

import (
	"bytes"
	"runtime"
	"strings"
	"sync"
	"syscall"

	"github.com/reqmail/reqmail/compat/child"
	"github.com/reqmail/reqmail/compat/errno"
	"github.com/reqmail/reqmail/compat/fdio"
	"github.com/reqmail/reqmail/compat/home"
	"github.com/reqmail/reqmail/compat/resident"
	"github.com/reqmail/reqmail/compat/wire"
	"github.com/reqmail/reqmail/qmail/spawn"
	"github.com/reqmail/reqmail/qmail/users"
)

// MaxOutput is how much of a delivery's output is reported, in bytes, and
// TooMuch what replaces the rest.
const (
	MaxOutput = 3000
	TooMuch   = "\nError report too long, sorry.\n"
)

// Exit codes by which a delivery tells what went wrong before qmail-local
// ran; qmail-getpw shares some of them.
const (
	exitUsage    = 112
	exitRoot     = 113
	exitNFS      = 115
	exitNoAlias  = 116
	exitCDB      = 117
	exitSystem   = 118
	exitNoMemory = 119
	exitExecSoft = 120
	exitExecPW   = 121
	exitExecHard = 126
)

// Local runs deliveries to local recipients.
type Local struct {
	Home            string
	DefaultDelivery string // instructions for users without .qmail file

	UID uint32 // that it runs under: root's, or the one there is in a private home

	// GetpwUID and GetpwGID are what qmail-getpw runs under.
	GetpwUID, GetpwGID uint32

	Assigned *users.Database  // users/cdb
	Runner   *resident.Runner // of qmail-local
	Getpw    *resident.Runner // of qmail-getpw
	Null     fdio.FD          // standard input of qmail-getpw

	mu        sync.Mutex
	inquiries map[string]*inquiry // by local part, those that are about to be made
}

// inquiry is a question to qmail-getpw, for all deliveries that come before it is
// asked.
type inquiry struct {
	data     []byte
	code     int
	answered chan struct{}
}

var _ spawn.Worker = (*Local)(nil)

// Run finds the account and runs qmail-local.
func (l *Local) Run(d spawn.Delivery) spawn.End {
	if d.Local == "" {
		return spawn.End{} // a bounce of a bounce: delivered to nobody
	}
	data, code := l.find(d.Local)
	if code != 0 {
		return spawn.End{Code: code}
	}
	account, ok := parseAccount(data)
	if !ok {
		return spawn.End{Code: exitUsage}
	}
	return l.start(d, account)
}

// account is who gets the mail, from users/cdb or qmail-getpw.
type account struct {
	user     string
	uid, gid uint32
	home     string
	dash     string
	ext      string
}

// parseAccount takes six NUL-terminated fields apart. Numbers are the digits
// at a field's start.
func parseAccount(data []byte) (account, bool) {
	f := bytes.SplitN(data, []byte{0}, 7)
	if len(f) < 7 {
		return account{}, false
	}
	return account{
		user: string(f[0]),
		uid:  number(f[1]),
		gid:  number(f[2]),
		home: string(f[3]),
		dash: string(f[4]),
		ext:  string(f[5]),
	}, true
}

func number(digits []byte) (n uint32) {
	for _, c := range digits {
		if c < '0' || c > '9' {
			break
		}
		n = n*10 + uint32(c-'0')
	}
	return n
}

// start runs qmail-local under the account.
func (l *Local) start(d spawn.Delivery, a account) spawn.End {
	const nobody = ^uint32(0) // no uid: setuid(2) refuses it
	if a.uid == nobody || a.gid == nobody {
		return spawn.End{Code: exitUsage}
	}
	if a.uid == 0 {
		return spawn.End{Code: exitRoot}
	}
	cmd := child.Command{
		Path: "bin/qmail-local",
		Args: []string{"bin/qmail-local", "--", a.user, a.home, d.Local, a.dash, a.ext,
			d.Domain, d.Sender, l.DefaultDelivery},
		Dir:        l.Home,
		Files:      []fdio.FD{d.Message, resident.Collected, resident.Collected},
		Credential: &syscall.Credential{Uid: a.uid, Gid: a.gid, Groups: []uint32{a.gid}},
	}
	if l.UID != 0 {
		// A private home: there is one user, and mail for others is not
		// to be delivered.
		if a.uid != l.UID {
			return spawn.End{Code: exitUsage}
		}
		cmd.Credential = nil
	}
	status, err := l.Runner.Run(&cmd, d.Output, func(text []byte) { tell(d, text) })
	switch {
	case err == nil:
		return ended(status)
	case err == resident.ErrPipe:
		return spawn.End{NoPipe: true}
	case err == syscall.EAGAIN, err == syscall.ENOMEM:
		return spawn.End{NoFork: true}
	case syscall.Access(l.Home, 1) != nil:
		return spawn.End{Code: exitUsage}
	case errno.Temporary(err):
		return spawn.End{Code: exitExecSoft}
	}
	return spawn.End{Code: exitExecHard}
}

// tell passes on what qmail-local tells: a phase and what it is busy with. It
// is the user's process that says so.
func tell(d spawn.Delivery, text []byte) {
	phase, host, _ := strings.Cut(string(text), "\n")
	switch phase {
	case wire.PhaseProgram, wire.PhaseMailbox, wire.PhaseFinish:
		d.Progress(phase, host, 0, 0)
	}
}

func ended(status syscall.WaitStatus) spawn.End {
	if status.Signaled() {
		return spawn.End{Crashed: true}
	}
	return spawn.End{Code: status.ExitStatus()}
}

// find returns the account data for a local part, or an exit code.
func (l *Local) find(local string) ([]byte, int) {
	data, found, err := l.Assigned.Find(local)
	if err != nil {
		return nil, exitCDB
	}
	if found {
		return append(data, 0), 0
	}
	if l.Getpw.Plain {
		return l.getpw(local)
	}
	return l.inquire(local)
}

// inquire asks qmail-getpw, once for all who want to know the same at the same time.
func (l *Local) inquire(local string) ([]byte, int) {
	l.mu.Lock()
	q, others := l.inquiries[local]
	if !others {
		q = &inquiry{answered: make(chan struct{})}
		if l.inquiries == nil {
			l.inquiries = map[string]*inquiry{}
		}
		l.inquiries[local] = q
	}
	l.mu.Unlock()
	if others {
		<-q.answered
		return q.data, q.code
	}
	runtime.Gosched() // those who come now
	l.mu.Lock()
	delete(l.inquiries, local) // who comes from now on may be told something newer
	l.mu.Unlock()
	q.data, q.code = l.getpw(local)
	close(q.answered)
	return q.data, q.code
}

// answer keeps what qmail-getpw prints, as far as it can be an account.
type answer struct{ data []byte }

// maxAccount is more than any account takes, in bytes.
const maxAccount = 1 << 16

func (a *answer) Write(p []byte) (int, error) {
	a.data = append(a.data, p[:min(len(p), maxAccount-len(a.data))]...)
	return len(p), nil
}

// getpw asks qmail-getpw, which a site may have replaced.
func (l *Local) getpw(local string) ([]byte, int) {
	cmd := child.Command{
		Path:  "bin/qmail-getpw",
		Args:  []string{"bin/qmail-getpw", local},
		Dir:   l.Home,
		Files: []fdio.FD{l.Null, resident.Collected, 2},
		Credential: &syscall.Credential{
			Uid: l.GetpwUID, Gid: l.GetpwGID, Groups: []uint32{l.GetpwGID},
		},
	}
	if l.UID != 0 && home.Private() {
		cmd.Credential = nil
	}
	var a answer
	status, err := l.Getpw.Run(&cmd, &a, func([]byte) {})
	switch {
	case err == resident.ErrPipe, err == syscall.EAGAIN, err == syscall.ENOMEM:
		return nil, exitSystem
	case err != nil:
		return nil, exitExecPW
	case status.Signaled():
		return nil, exitSystem
	case status.ExitStatus() != 0:
		return nil, status.ExitStatus()
	}
	return a.data, 0
}

// Report words the end of a delivery.
func (l *Local) Report(end spawn.End, output []byte) (status byte, text []byte) {
	if end.Crashed {
		return 'Z', []byte("qmail-local crashed.\n")
	}
	text, _, _ = bytes.Cut(output, []byte{0})
	switch end.Code {
	case exitCDB:
		return 'Z', []byte("Trouble reading users/cdb in qmail-lspawn.\n")
	case exitNoMemory:
		return 'Z', []byte("Out of memory in qmail-lspawn.\n")
	case exitSystem:
		return 'Z', []byte("Temporary failure in qmail-lspawn.\n")
	case exitNoAlias:
		return 'Z', []byte("Unable to find alias user!\n")
	case exitRoot:
		return 'Z', []byte("Not allowed to perform deliveries as root.\n")
	case exitUsage:
		return 'Z', []byte("Internal qmail-lspawn bug.\n")
	case exitNFS:
		return 'Z', []byte("NFS failure in qmail-local.\n")
	case exitExecHard:
		return 'D', []byte("Unable to run qmail-local.\n")
	case exitExecSoft:
		return 'Z', []byte("Unable to run qmail-local.\n")
	case exitExecPW:
		return 'Z', []byte("Unable to run qmail-getpw.\n")
	case 0:
		return 'K', text
	case 111, 71, 74, 75: // qmail-local, and sysexits' software, I/O, temporary
		return 'Z', text
	}
	return 'D', text
}
