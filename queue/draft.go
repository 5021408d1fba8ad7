package queue

import (
	"strconv"
	"syscall"
	"time"

	"github.com/reqmail/reqmail/compat/fdio"
)

// Step is a step of queueing a message; each has an exit code of qmail-queue.
type Step int

// The steps of queueing a message that can fail.
const (
	StepPid   Step = iota // creating or removing the file in pid
	StepMess              // linking it into mess
	StepIntd              // creating the envelope
	StepTodo              // linking the envelope into todo
	StepWrite             // writing or syncing
)

// StepError says which step of queueing failed.
type StepError struct {
	Step Step
	Err  error
}

func (e *StepError) Error() string {
	names := [...]string{"create pid file", "link mess file", "create intd file", "link todo file", "write queue file"}
	return names[e.Step] + ": " + e.Err.Error()
}

func (e *StepError) Unwrap() error { return e.Err }

// Draft is a message on its way into the queue: state S2 after NewDraft, S3
// after OpenEnvelope, S4 after Commit.
type Draft struct {
	ID   ID
	mess fdio.FD
	intd fdio.FD // -1 until OpenEnvelope
}

// maxPidNames is how many names are tried for the file in pid.
const maxPidNames = 9

// NewDraft creates the file of a message: S1 → S2. The file's inode number
// becomes the message's name.
//
// Nothing is durable when it returns. A crash leaves a file in pid or mess
// that nobody owns; qmail-clean and qmail-send remove it after 36 hours.
func NewDraft(pid int, start time.Time) (*Draft, error) {
	prefix := "pid/" + strconv.Itoa(pid) + "." + strconv.FormatInt(start.Unix(), 10) + "."
	var name string
	var file fdio.FD
	var err error
	for n := 1; n <= maxPidNames; n++ {
		name = prefix + strconv.Itoa(n)
		if file, err = createExclusive(name); err == nil {
			break
		}
	}
	if err != nil {
		return nil, &StepError{StepPid, err}
	}
	st, err := file.Stat()
	if err != nil {
		return nil, &StepError{StepPid, err}
	}
	d := &Draft{ID: ID(st.Ino), mess: file, intd: -1}
	if err := syscall.Link(name, d.ID.Mess()); err != nil {
		return nil, &StepError{StepMess, err}
	}
	if err := syscall.Unlink(name); err != nil {
		return nil, &StepError{StepPid, err}
	}
	return d, nil
}

// WriteText appends to the text of the message.
func (d *Draft) WriteText(p []byte) error { return writeStep(d.mess, p) }

// WriteEnvelope appends to the envelope.
func (d *Draft) WriteEnvelope(p []byte) error { return writeStep(d.intd, p) }

func writeStep(f fdio.FD, p []byte) error {
	if _, err := f.Write(p); err != nil {
		return &StepError{StepWrite, err}
	}
	return nil
}

// OpenEnvelope ends the text and creates the envelope: S2 → S3.
//
// The text and its name in mess are durable when it returns. A crash leaves a
// message that was not accepted; qmail-send has it removed after 36 hours.
func (d *Draft) OpenEnvelope() error {
	if err := d.mess.Sync(); err != nil {
		return &StepError{StepWrite, err}
	}
	if err := syncDirOf(d.ID.Mess()); err != nil {
		return &StepError{StepWrite, err}
	}
	var err error
	if d.intd, err = createExclusive(d.ID.Intd()); err != nil {
		return &StepError{StepIntd, err}
	}
	return nil
}

// Commit ends the envelope and links it into todo: S3 → S4, the point at
// which the message is accepted.
//
// The whole message is durable when it returns without error, also where
// directory updates are not synchronous (ext4, XFS): the envelope is synced
// before the link, todo after it. A crash before the link leaves a message
// that was not accepted; a crash or an error after it leaves one that may be
// delivered although the caller was not told so.
func (d *Draft) Commit() error {
	if err := d.intd.Sync(); err != nil {
		return &StepError{StepWrite, err}
	}
	if err := syscall.Link(d.ID.Intd(), d.ID.Todo()); err != nil {
		return &StepError{StepTodo, err}
	}
	if err := syncDirOf(d.ID.Todo()); err != nil {
		return &StepError{StepTodo, err}
	}
	return nil
}

// Discard removes what was written so far: back to S1. Nothing is synced; what
// a crash leaves is removed after 36 hours.
func (d *Draft) Discard() {
	if d.intd >= 0 {
		_ = syscall.Ftruncate(int(d.intd), 0)
		if syscall.Unlink(d.ID.Intd()) != nil {
			return
		}
	}
	_ = syscall.Ftruncate(int(d.mess), 0)
	_ = syscall.Unlink(d.ID.Mess())
}
