package local

import (
	"io"
	"syscall"
	"time"

	"github.com/reqmail/reqmail/compat/fdio"
	"github.com/reqmail/reqmail/qmail/mbox"
)

// lockPatience is how long an mbox may be locked by somebody else.
const lockPatience = 30 * time.Second

// mbox appends the message to a file in mbox(5) format.
//
// When it returns nil, the message is durable, and so is the file's name. For
// this delivery it would do to sync the name last. It comes first for others: an
// empty mbox may be one that a delivery of this moment has just created, and once
// there is a message in it nobody asks again. A crash in the meantime leaves an
// empty mbox, or one with a torn last message for which the delivery is done
// again, behind an empty line. An error leaves the mbox at its former length,
// unless its lock could not be had.
func (d *Delivery) mbox(name string) error {
	message, err := d.open()
	if err != nil {
		return err
	}
	f, err := fdio.Open(name, syscall.O_WRONLY|syscall.O_NONBLOCK|syscall.O_APPEND|syscall.O_CREAT, 0o600)
	if err != nil {
		return trouble("Unable to open "+name, err, "4.2.1")
	}
	defer f.Close()
	locked, err := lock(f, lockPatience)
	if err != nil {
		d.abandoned = true
		return err
	}
	size, seekErr := f.Seek(0, io.SeekEnd)
	if seekErr != nil {
		size = -1
	}
	readErr, writeErr := d.appendTo(f, name, size, message)
	if readErr == nil && writeErr == nil {
		return nil
	}
	if locked && seekErr == nil {
		_ = syscall.Ftruncate(int(f), size)
	}
	if readErr != nil {
		return trouble("Unable to read message", readErr, "4.3.0")
	}
	return trouble("Unable to write "+name, writeErr, "4.3.0")
}

// appendTo takes the steps of mbox that change a file of that size, or of
// unknown size if negative: name, end of a torn message, message, sync.
func (d *Delivery) appendTo(f fdio.FD, name string, size int64, message *text) (readErr, writeErr error) {
	switch {
	case size == 0:
		if err := d.Process.syncEntry(fdio.Here, directoryOf(name), name); err != nil {
			return nil, err
		}
	case size > 0 && endsTorn(name, size):
		if _, err := f.WriteString("\n\n"); err != nil {
			return nil, err
		}
	}
	if readErr, writeErr = d.writeMbox(f, message); readErr != nil || writeErr != nil {
		return readErr, writeErr
	}
	return nil, d.Process.sync(f)
}

// endsTorn reports whether the last line of an mbox of that size has no end:
// what a crash left of a delivery, in which the next message would disappear.
// An mbox that its owner may not read is taken for whole.
func endsTorn(name string, size int64) bool {
	f, err := fdio.Open(name, syscall.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return false
	}
	defer f.Close()
	var last [1]byte
	n, err := syscall.Pread(int(f), last[:], size-1)
	return err == nil && n == 1 && last[0] != '\n'
}

// lock takes the mbox's lock, in the order of those who wait for it. Where
// locking does not work at all, the delivery goes on without.
func lock(f fdio.FD, patience time.Duration) (locked bool, err error) {
	result := make(chan error, 1)
	go func() {
		for {
			if err := syscall.Flock(int(f), syscall.LOCK_EX); err != syscall.EINTR {
				result <- err
				return
			}
		}
	}()
	select {
	case err := <-result:
		return err == nil, nil
	case <-time.After(patience):
		return false, temporary("File has been locked for 30 seconds straight. (#4.3.0)")
	}
}

// writeMbox writes the message with what an mbox wants around it.
func (d *Delivery) writeMbox(f io.Writer, message io.Reader) (readErr, writeErr error) {
	out := d.Process.writer(f)
	// An error of the writer stays with it until Flush.
	_, _ = out.WriteString(d.headers.from + d.headers.returnPath + d.headers.deliveredTo)
	if err := mbox.QuoteFrom(out, message); err != nil {
		return err, nil
	}
	_, _ = out.WriteString("\n")
	return nil, out.Flush()
}
