package local

import (
	"bufio"
	"io"
	"path"
	"syscall"
	"time"

	"github.com/reqmail/reqmail/compat/fdio"
)

// lockPatience is how long an mbox may be locked by somebody else.
const lockPatience = 30 * time.Second

// mbox appends the message to a file in mbox(5) format.
//
// The message, and the file's name where it is new, are durable when it
// returns nil. After an error the file is cut to its former length if its
// lock was to be had; a crash may leave a torn last message, and the message
// is delivered again.
func (d *Delivery) mbox(name string) error {
	if err := d.rewind(); err != nil {
		return err
	}
	f, isNew, err := openMbox(name)
	if err != nil {
		return trouble("Unable to open "+name, err, "4.2.1")
	}
	defer f.Close()
	locked, err := lock(f)
	if err != nil {
		return err
	}
	size, err := f.Seek(0, io.SeekEnd)
	failed := func(failure error) error {
		if locked && err == nil {
			_ = syscall.Ftruncate(int(f), size)
		}
		return failure
	}
	readErr, writeErr := d.writeMbox(f)
	if readErr != nil {
		return failed(trouble("Unable to read message", readErr, "4.3.0"))
	}
	if writeErr == nil {
		writeErr = f.Sync()
	}
	if writeErr == nil && isNew {
		writeErr = syncDir(path.Dir(name))
	}
	if writeErr != nil {
		return failed(trouble("Unable to write "+name, writeErr, "4.3.0"))
	}
	return nil
}

func openMbox(name string) (f fdio.FD, isNew bool, err error) {
	const flags = syscall.O_WRONLY | syscall.O_NONBLOCK | syscall.O_APPEND
	f, err = fdio.Open(name, flags, 0)
	if err == syscall.ENOENT {
		f, err = fdio.Open(name, flags|syscall.O_CREAT, 0o600)
		return f, true, err
	}
	return f, false, err
}

// lock takes the mbox's lock. Where locking does not work at all, the
// delivery goes on without.
func lock(f fdio.FD) (locked bool, err error) {
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
	case <-time.After(lockPatience):
		return false, temporary("File has been locked for 30 seconds straight. (#4.3.0)")
	}
}

// writeMbox writes the message with what an mbox wants around it.
func (d *Delivery) writeMbox(f io.Writer) (readErr, writeErr error) {
	out := bufio.NewWriterSize(f, 16<<10)
	// An error of the writer stays with it until Flush.
	_, _ = out.WriteString(d.headers.from + d.headers.returnPath + d.headers.deliveredTo)
	if err := quoteFrom(out, d.Message); err != nil {
		return err, nil
	}
	_, _ = out.WriteString("\n")
	return nil, out.Flush()
}

// quoteFrom copies a message and puts ">" before every line that begins with
// any number of ">" and "From ", so that readers can tell it from a From_
// line. A last line without newline gets one. The error is the reader's.
func quoteFrom(out *bufio.Writer, message io.Reader) error {
	in := bufio.NewReaderSize(message, 16<<10)
	atStart := true // of a line, or of what follows the ">"s at its start
	lastByte := byte('\n')
	for {
		if atStart {
			// Inserted behind the ">"s the mark makes the same line.
			if next, _ := in.Peek(5); string(next) == "From " {
				_ = out.WriteByte('>')
			}
		}
		c, err := in.ReadByte()
		if err == io.EOF {
			if lastByte != '\n' {
				_ = out.WriteByte('\n')
			}
			return nil
		}
		if err != nil {
			return err
		}
		_ = out.WriteByte(c)
		atStart = c == '\n' || atStart && c == '>'
		lastByte = c
	}
}
