package filter

import (
	"os"
	"strings"
	"syscall"

	"github.com/reqmail/reqmail/compat/address"
	"github.com/reqmail/reqmail/compat/cdb"
	"github.com/reqmail/reqmail/compat/child"
	"github.com/reqmail/reqmail/compat/environ"
	"github.com/reqmail/reqmail/compat/fdio"
	"github.com/reqmail/reqmail/control"
)

// Replies about recipients that nobody knows.
const (
	replyNotListed  = "553 sorry, this recipient is not in my validrcptto list (#5.7.1)"
	replyNoMailbox  = "553 sorry, no mailbox here by that name. (#5.1.1)"
	replyCannotTell = "421 unable to verify recipient (#4.3.0)"
	replyCannotAsk  = "421 unable to execute recipient check (#4.3.0)"
)

// defaultViolations is how many unknown recipients a client may name, unless
// VALIDRCPTTO_LIMIT says another number.
const defaultViolations = 10

// wanted reports whether a recipient would be accepted for a client that may
// not relay: for others nobody asks whether it exists.
func wanted(t *Transaction) bool { return stranger(t) && t.Allowed }

// known asks a database of all recipients: user@domain, user-default@domain
// for all that begin with "user-", @domain for all of a domain. A "-" at the
// start of a record's data means that there is no such recipient.
type known struct {
	Pass
	path  string
	limit int // unknown recipients before the client is hung up on; 0 for none
	count int
}

// newKnown returns nil where there is no database. An empty VALIDRCPTTO_CDB
// means none.
func newKnown(d *control.Dir, home string, lookup Lookup) (*known, error) {
	k := &known{path: home + "/control/" + string(control.ValidRcptToCDB), limit: defaultViolations}
	path, named := lookup("VALIDRCPTTO_CDB")
	if named && path == "" || !named && d.Lacks(control.ValidRcptToCDB) {
		return nil, nil
	}
	if named {
		k.path = below(home, path)
	}
	if value, ok := lookup("VALIDRCPTTO_LIMIT"); ok {
		k.limit, _ = control.Number(value)
	}
	file, err := k.open()
	if err == syscall.ENOENT && !named {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return k, file.Close()
}

// below is a path that is relative to the qmail home unless it is absolute.
func below(home, path string) string {
	if strings.HasPrefix(path, "/") {
		return path
	}
	return home + "/" + path
}

func (k *known) open() (*os.File, error) {
	fd, err := fdio.Open(k.path, syscall.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), k.path), nil
}

func (k *known) Rcpt(t *Transaction, recipient string) Verdict {
	if !wanted(t) {
		return Verdict{}
	}
	file, err := k.open()
	if err != nil {
		return broken
	}
	defer file.Close()
	valid, err := listed(file, recipient)
	switch {
	case err != nil:
		return broken
	case valid:
		return Verdict{}
	}
	if k.count++; k.limit > 0 && k.count >= k.limit {
		return Verdict{Reply: replyTooManyBad, Close: true}
	}
	return Verdict{Reply: replyNotListed}
}

// listed looks a recipient up. The first record counts.
func listed(db *os.File, recipient string) (bool, error) {
	for _, key := range keysOf(address.Lower(recipient)) {
		data, found, err := cdb.Find(db, []byte(key))
		if found || err != nil {
			return err == nil && !strings.HasPrefix(string(data), "-"), err
		}
	}
	return false, nil
}

func keysOf(recipient string) []string {
	keys := []string{recipient}
	local, domain, ok := address.Split(recipient)
	if !ok {
		return keys
	}
	for i := len(local) - 1; i >= 0; i-- {
		if local[i] == '-' {
			keys = append(keys, local[:i+1]+"default@"+domain)
		}
	}
	return append(keys, "@"+domain)
}

// checker asks the program that RCPTCHECK names. It gets SENDER and RECIPIENT
// in its environment, and neither descriptor 0 nor 1 is the client.
type checker struct {
	Pass
	home    string
	program string
}

// Exit codes of the program; all others mean that the recipient is welcome.
const (
	exitRefused   = 100
	exitTemporary = 111
	exitCannotRun = 120
)

func (f checker) Rcpt(t *Transaction, recipient string) Verdict {
	if stranger(t) && !t.Allowed {
		return Verdict{} // refused anyway
	}
	null, err := fdio.Open("/dev/null", syscall.O_RDWR, 0)
	if err != nil {
		return Verdict{Reply: replyCannotAsk, Close: true}
	}
	defer null.Close()
	cmd := child.Command{
		Path:  f.program,
		Args:  []string{f.program},
		Env:   environ.List(t.Environ()).With("SENDER="+t.Sender, "RECIPIENT="+recipient),
		Dir:   f.home,
		Files: []fdio.FD{null, null, 2},
	}
	pid, err := cmd.Start()
	if err != nil {
		return Verdict{Reply: replyCannotAsk, Close: true}
	}
	end, err := child.Wait(pid)
	switch {
	case err != nil || !end.Exited() || end.ExitStatus() == exitTemporary:
		return Verdict{Reply: replyCannotTell, Close: true}
	case end.ExitStatus() == exitRefused:
		return Verdict{Reply: replyNoMailbox}
	case end.ExitStatus() == exitCannotRun:
		return Verdict{Reply: replyCannotAsk, Close: true}
	}
	return Verdict{}
}
