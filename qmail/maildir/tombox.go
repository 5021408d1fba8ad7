package maildir

import (
	"bufio"
	"io"
	"path"
	"strings"
	"syscall"
	"time"

	"github.com/reqmail/reqmail/compat/datetime"
	"github.com/reqmail/reqmail/compat/errno"
	"github.com/reqmail/reqmail/compat/fdio"
	"github.com/reqmail/reqmail/qmail/mbox"
)

// Trouble is what a program says before it gives up.
type Trouble struct{ Text string }

func (t *Trouble) Error() string { return t.Text }

func trouble(doing string, err error) error {
	return &Trouble{doing + ": " + errno.Text(err)}
}

// Enter makes the Maildir that the environment variable MAILDIR names the
// current directory.
func Enter(lookup func(string) (string, bool)) error {
	dir, ok := lookup("MAILDIR")
	if !ok {
		return &Trouble{"MAILDIR not set"}
	}
	if err := syscall.Chdir(dir); err != nil {
		return trouble("unable to chdir to "+dir, err)
	}
	return nil
}

// ToMbox empties the Maildir in MAILDIR into the mbox MAIL by way of MAILTMP,
// which must be on the same file system. warn is told what goes wrong when it
// is too late to stop. The error is a *Trouble.
//
// The new mbox and its name are durable before a message is removed. A crash
// before leaves the old mbox and the Maildir as they were; one after it,
// messages that are in both.
func ToMbox(lookup func(string) (string, bool), now time.Time, warn func(string)) error {
	mail, ok := lookup("MAIL")
	if !ok {
		return &Trouble{"MAIL not set"}
	}
	tmp, ok := lookup("MAILTMP")
	if !ok {
		return &Trouble{"MAILTMP not set"}
	}
	if err := Enter(lookup); err != nil {
		return err
	}
	Clean(now.Unix())
	messages, err := Scan(now.Unix(), "new", "cur")
	if err != nil {
		return &Trouble{"unable to scan $MAILDIR/" + err.(*ScanError).Dir + ": " + errno.Text(err)}
	}
	if len(messages) == 0 {
		return nil
	}
	if err := replace(mail, tmp, messages); err != nil {
		return err
	}
	for _, m := range messages {
		if err := syscall.Unlink(m.File); err != nil {
			warn("$MAILDIR/" + m.File + " will be delivered twice; unable to unlink: " + errno.Text(err))
		}
	}
	return nil
}

// replace puts a new mbox, the old one with messages added, in its place.
func replace(mail, tmp string, messages []Message) error {
	lock, err := fdio.Open(mail, syscall.O_WRONLY|syscall.O_NONBLOCK|syscall.O_APPEND|syscall.O_CREAT, 0o600)
	if err != nil {
		return trouble("unable to lock "+mail, err)
	}
	defer lock.Close()
	for err = syscall.EINTR; err == syscall.EINTR; {
		err = syscall.Flock(int(lock), syscall.LOCK_EX)
	}
	if err != nil {
		return trouble("unable to lock "+mail, err)
	}
	old, err := fdio.Open(mail, syscall.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return trouble("unable to read "+mail, err)
	}
	defer old.Close()
	fresh, err := fdio.Open(tmp, syscall.O_WRONLY|syscall.O_NONBLOCK|syscall.O_TRUNC|syscall.O_CREAT, 0o644)
	if err != nil {
		return trouble("unable to create "+tmp, err)
	}
	defer fresh.Close()
	out := bufio.NewWriterSize(fresh, 32<<10)
	if _, err := io.Copy(struct{ io.Writer }{out}, old); err != nil {
		return trouble("unable to read "+mail, err)
	}
	for _, m := range messages {
		if err := m.appendTo(out); err != nil {
			return trouble("unable to read $MAILDIR/"+m.File, err)
		}
	}
	err = out.Flush()
	if err == nil {
		err = fresh.Sync()
	}
	if err != nil {
		return trouble("unable to write to "+tmp, err)
	}
	if err := syscall.Rename(tmp, mail); err != nil {
		return trouble("unable to move "+tmp+" to "+mail, err)
	}
	if dir, err := fdio.Open(path.Dir(mail), syscall.O_RDONLY|syscall.O_DIRECTORY, 0); err == nil {
		_ = dir.Sync() // some file systems have no such thing
		dir.Close()
	}
	return nil
}

// appendTo writes a message in mbox form; its From_ line is made of the
// Return-Path line on top of it. An error of the writer stays with it; the
// one returned is the file's.
func (m Message) appendTo(out *bufio.Writer) error {
	f, err := fdio.Open(m.File, syscall.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	const longest = 64 << 10 // Return-Path line that is understood, in bytes
	in := bufio.NewReaderSize(f, longest)
	first, err := in.Peek(int(min(m.Size, longest)))
	if err != nil && err != io.EOF {
		return err
	}
	line, _, whole := strings.Cut(string(first), "\n")
	_, _ = out.WriteString("From " + sender(line, whole) + " " + datetime.Mbox(time.Unix(m.Mtime, 0)) + "\n")
	if err := mbox.QuoteFrom(out, in); err != nil {
		return err
	}
	_ = out.WriteByte('\n')
	return nil
}

// sender takes the address out of a Return-Path line.
func sender(line string, whole bool) string {
	addr, ok := strings.CutPrefix(line, "Return-Path: <")
	switch {
	case !ok || !whole:
		return "XXX"
	case strings.HasPrefix(addr, ">"):
		return "MAILER-DAEMON"
	}
	if addr != "" {
		addr = addr[:len(addr)-1]
	}
	return strings.NewReplacer(" ", "-", "\t", "-").Replace(addr)
}
