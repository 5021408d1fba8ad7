// Package enqueue is qmail-queue: it reads a message and its envelope and
// puts them into the queue. It owns the input format, the Received line and
// the exit codes; how a message lies on disk is package queue's. It must not
// look at what is in the message.
package enqueue

import (
	"bufio"
	"errors"
	"io"
	"strconv"
	"syscall"
	"time"

	"github.com/reqmail/reqmail/compat/datetime"
	"github.com/reqmail/reqmail/compat/status"
	"github.com/reqmail/reqmail/queue"
)

// Invoker tells who runs qmail-queue, for the Received line.
type Invoker struct {
	PID int
	UID int

	// The uids that the Received line has words for; nil in a private
	// home, where one user plays every role.
	Roles *Roles
}

// Roles are the uids of accounts that queue mail on others' behalf.
type Roles struct{ Alias, Daemon, Send uint32 }

// received returns the line that every message begins with in the queue.
func (i Invoker) received(now time.Time) string {
	by := "by uid " + strconv.Itoa(i.UID)
	if i.Roles != nil {
		switch uint32(i.UID) {
		case i.Roles.Alias:
			by = "by alias"
		case i.Roles.Daemon:
			by = "from network"
		case i.Roles.Send:
			by = "for bounce"
		}
	}
	return "Received: (qmail " + strconv.Itoa(i.PID) + " invoked " + by + "); " + datetime.Header(now) + "\n"
}

// copySize is the size in bytes of the buffer that messages pass through.
const copySize = 64 << 10

// Run queues one message from the current directory, which must be the queue,
// and returns qmail-queue's exit code. On failure to read or to write nothing
// is left; every other failure leaves files that are collected later.
func Run(message, envelope io.Reader, who Invoker, now time.Time) int {
	d, err := queue.NewDraft(who.PID, now)
	if err != nil {
		return code(err)
	}
	return finish(d, message, envelope, who, now)
}

// finish queues the message of a draft.
func finish(d *queue.Draft, message, envelope io.Reader, who Invoker, now time.Time) int {
	defer d.Close()
	result := fill(d, message, envelope, who, now)
	if result == status.WriteError || result == status.ReadError {
		d.Discard()
	}
	return result
}

// fill takes the message from S2 to S4.
func fill(d *queue.Draft, message, envelope io.Reader, who Invoker, now time.Time) int {
	if err := copyText(d, message, who.received(now)); err != nil {
		return code(err)
	}
	if err := d.OpenEnvelope(); err != nil {
		return code(err)
	}
	head := "u" + strconv.Itoa(who.UID) + "\x00p" + strconv.Itoa(who.PID) + "\x00"
	if err := copyEnvelope(d, envelope, head); err != nil {
		return code(err)
	}
	if err := d.Commit(); err != nil {
		return code(err)
	}
	queue.Pull()
	return status.Queued
}

// copyText copies the message as it is, behind the Received line.
func copyText(d *queue.Draft, message io.Reader, received string) error {
	size := copySize
	if whole, ok := message.(interface{ Len() int }); ok {
		size = min(size, len(received)+whole.Len()+1) // and a byte to see its end
	}
	buf := make([]byte, max(size, len(received)+1))
	used := copy(buf, received)
	for {
		n, err := message.Read(buf[used:])
		used += n
		if used == len(buf) || err != nil {
			if writeErr := d.WriteText(buf[:used]); writeErr != nil {
				return writeErr
			}
			used = 0
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return errRead
		}
	}
}

// The ways in which an envelope can be wrong.
var (
	errRead      = errors.New("envelope or message cannot be read to its end")
	errTooLong   = errors.New("address too long")
	errMalformed = errors.New("record of wrong type")
)

// copyEnvelope checks the envelope "F" sender NUL ("T" recipient NUL)* NUL
// and copies it, without its last NUL, behind head.
func copyEnvelope(d *queue.Draft, envelope io.Reader, head string) error {
	in := bufio.NewReaderSize(envelope, 4096)
	out := bufio.NewWriterSize(envelopeWriter{d}, 4096)
	if _, err := out.WriteString(head); err != nil {
		return err
	}
	for first := true; ; first = false {
		letter, err := in.ReadByte()
		switch {
		case err != nil:
			return errRead
		case first && letter != 'F', !first && letter != 'T' && letter != 0:
			return errMalformed
		case !first && letter == 0:
			return out.Flush()
		}
		if err := copyRecord(in, out, letter); err != nil {
			return err
		}
	}
}

func copyRecord(in *bufio.Reader, out *bufio.Writer, letter byte) error {
	if err := out.WriteByte(letter); err != nil {
		return err
	}
	for range queue.MaxAddress + 1 {
		c, err := in.ReadByte()
		if err != nil {
			return errRead
		}
		if err := out.WriteByte(c); err != nil {
			return err
		}
		if c == 0 {
			return nil
		}
	}
	return errTooLong
}

type envelopeWriter struct{ d *queue.Draft }

func (w envelopeWriter) Write(p []byte) (int, error) {
	if err := w.d.WriteEnvelope(p); err != nil {
		return 0, err
	}
	return len(p), nil
}

// code is the table of exit codes.
func code(err error) int {
	var step *queue.StepError
	switch {
	case err == errRead:
		return status.ReadError
	case err == errTooLong:
		return status.AddressTooLong
	case err == errMalformed:
		return status.BadEnvelope
	case errors.As(err, &step):
		return [...]int{
			queue.StepPid:   status.PidFile,
			queue.StepMess:  status.MessFile,
			queue.StepIntd:  status.IntdFile,
			queue.StepTodo:  status.TodoFile,
			queue.StepWrite: status.WriteError,
		}[step.Step]
	}
	return status.InternalBug
}

// EnterQueue makes the queue the working directory and returns 0 or an exit
// code.
func EnterQueue(home string) int {
	if syscall.Chdir(home) != nil {
		return status.HomeDirectory
	}
	if syscall.Chdir("queue") != nil {
		return status.QueueDirectory
	}
	return 0
}
