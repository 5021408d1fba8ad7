package local

import (
	"io"
	"os"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/reqmail/reqmail/compat/errno"
	"github.com/reqmail/reqmail/compat/fdio"
)

// Limits of a Maildir delivery.
const (
	maildirPatience = 24 * time.Hour  // in all
	nameTries       = 3               // for a name that nobody uses
	namePause       = 2 * time.Second // between two of them
	hostNameSize    = 64              // bytes of the host's name in a file name
)

// What can go wrong with a Maildir.
var (
	errMaildir        = temporary("Temporary error on maildir delivery. (#4.3.0)")
	errMaildirMissing = temporary("Unable to chdir to maildir. (#4.2.1)")
	errMaildirTimeout = temporary("Timeout on maildir delivery. (#4.3.0)")
	errMaildirRead    = temporary("Unable to read message. (#4.3.0)")
)

// maildir delivers the message into a Maildir (maildir(5)).
//
// When it returns nil, the message and its name in new are durable, and its
// name in tmp is gone. A crash before the link leaves at most a file in tmp,
// which mail readers remove after 36 hours; a crash after it a message in new
// whose delivery is done again. An error leaves nothing in tmp.
func (d *Delivery) maildir(dir string) error {
	message, err := d.open()
	if err != nil {
		return err
	}
	at, err := fdio.Open(dir, unix.O_PATH|unix.O_DIRECTORY, 0)
	if errno.Temporary(err) {
		return errMaildir
	}
	if err != nil {
		return errMaildirMissing
	}
	defer at.Close()
	name, f, err := createTmp(at, d.Process.number())
	if err == syscall.EACCES && !mayEnter(at) {
		return errMaildirMissing
	}
	if err != nil {
		return errMaildir
	}
	done := make(chan error, 1)
	go func() { done <- d.fillMaildir(at, f, name, message) }()
	patience := time.NewTimer(maildirPatience)
	defer patience.Stop()
	select {
	case err = <-done:
	case <-patience.C:
		d.abandoned = true
		err = errMaildirTimeout
	}
	_ = fdio.UnlinkAt(at, "tmp/"+name)
	return err
}

// mayEnter reports whether the user may search a directory, as chdir(2) asks.
func mayEnter(dir fdio.FD) bool {
	_, err := fdio.StatAt(dir, ".")
	return err == nil
}

// createTmp creates a file with a unique name TIME.NUMBER.HOST in tmp.
func createTmp(at fdio.FD, number int) (string, fdio.FD, error) {
	for try := 1; ; try++ {
		name := strconv.FormatInt(time.Now().Unix(), 10) + "." + strconv.Itoa(number) + "." + hostName()
		f, err := fdio.OpenAt(at, "tmp/"+name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL, 0o644)
		if err != syscall.EEXIST || try == nameTries {
			return name, f, err
		}
		time.Sleep(namePause)
	}
}

// pidRoom is above every process id.
const pidRoom = 10_000_000

// number returns one that no other delivery on this host has in this second, in
// this process or another: the process's id, and from the second on with a
// count before it.
func (p *Process) number() int {
	if p.pid == 0 {
		p.pid = os.Getpid()
	}
	number := p.given*pidRoom + p.pid
	p.given++
	return number
}

// hostName returns the host's name as gethostname(2) has it.
func hostName() string {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return ""
	}
	return unix.ByteSliceToString(u.Nodename[:hostNameSize])
}

// fillMaildir takes the message from tmp to new: write, sync, close, link,
// and sync of the directory. It closes f.
func (d *Delivery) fillMaildir(at, f fdio.FD, name string, message *text) error {
	err := d.writeMaildir(f, message)
	if closeErr := f.Close(); err == nil && closeErr != nil {
		err = errMaildir // a file system on the network may say it only now
	}
	if err != nil {
		return err
	}
	if fdio.LinkAt(at, "tmp/"+name, "new/"+name) != nil {
		return errMaildir
	}
	if d.Process.syncEntry(at, "new", "new/"+name) != nil {
		return errMaildir
	}
	return nil
}

// writeMaildir writes the message behind two header lines. It is durable when
// it returns nil, but not yet in new.
func (d *Delivery) writeMaildir(f fdio.FD, message *text) error {
	err := d.writeHeadAndText(f, message)
	if err == nil && d.Process.sync(f) != nil {
		err = errMaildir
	}
	return err
}

// writeHeadAndText writes the message behind two header lines. Nothing is durable.
func (d *Delivery) writeHeadAndText(f fdio.FD, message *text) error {
	out := d.Process.writer(fdio.Prompt(f))
	// An error of the writer stays with it until Flush.
	_, _ = out.WriteString(d.headers.returnPath + d.headers.deliveredTo)
	_, _ = io.Copy(out, message)
	switch {
	case message.err != nil:
		return errMaildirRead
	case out.Flush() != nil:
		return errMaildir
	}
	return nil
}
