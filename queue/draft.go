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
	born time.Time

	commits *Commits // that it shares with others, or nil
}

// oldest is how old a message may be when it is accepted: well below the 36
// hours after which its text is taken for abandoned (Ossified).
const oldest = 30 * time.Hour

// maxPidNames is how many names are tried for the file in pid.
const maxPidNames = 9

// NewDraft creates the file of a message: S1 → S2. The file's inode number
// becomes the message's name.
//
// Nothing is durable when it returns. A crash leaves a file in pid or mess
// that nobody owns; qmail-clean and qmail-send remove it after 36 hours.
func NewDraft(pid int, start time.Time) (*Draft, error) { return newDraft(pid, start, 1) }

// newDraft is NewDraft with the number of the first name that is tried in pid.
func newDraft(pid int, start time.Time, first int) (*Draft, error) {
	prefix := "pid/" + strconv.Itoa(pid) + "." + strconv.FormatInt(start.Unix(), 10) + "."
	var name string
	var file fdio.FD
	var err error
	for n := range maxPidNames {
		name = prefix + strconv.Itoa(first+n)
		if file, err = createExclusive(name); err == nil {
			break
		}
	}
	if err != nil {
		return nil, &StepError{StepPid, err}
	}
	id, step, err := enterMess(file, name)
	if err != nil {
		file.Close()
		return nil, &StepError{step, err}
	}
	return &Draft{ID: id, mess: file, intd: -1, born: time.Now()}, nil
}

// enterMess moves a new file from its name in pid to mess.
func enterMess(file fdio.FD, name string) (id ID, failed Step, err error) {
	st, err := file.Stat()
	if err != nil {
		return 0, StepPid, err
	}
	id = ID(st.Ino)
	if err := syscall.Link(name, id.Mess()); err != nil {
		return 0, StepMess, err
	}
	return id, StepPid, syscall.Unlink(name)
}

// NewDraft is the package's NewDraft for a message that is made durable
// together with others of the process. Each has names in pid of its own.
func (c *Commits) NewDraft(pid int, start time.Time) (*Draft, error) {
	d, err := newDraft(pid, start, int(c.drafts.Add(1)-1)*maxPidNames+1)
	if err == nil {
		d.commits = c
	}
	return d, err
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
// Nothing is durable when it returns, but the text is on its way to the disk
// while the envelope is read: that takes its time, and where it ends before
// Commit begins one commit of the file system's journal serves both files. A
// crash leaves a message that was not accepted: its files are removed after 36
// hours, an envelope without its message by qmail-clean.
func (d *Draft) OpenEnvelope() error {
	_ = syscall.SyncFileRange(int(d.mess), 0, 0, startWriting) // Commit sees to it
	var err error
	if d.intd, err = createExclusive(d.ID.Intd()); err == syscall.EEXIST {
		// The number is ours: what has it is what a crash left of another
		// message.
		if err = unlinkIfThere(d.ID.Intd()); err == nil {
			d.intd, err = createExclusive(d.ID.Intd())
		}
	}
	if err != nil {
		d.intd = -1
		return &StepError{StepIntd, err}
	}
	return nil
}

// startWriting is SYNC_FILE_RANGE_WRITE of sync_file_range(2).
const startWriting = 2

// Commit ends the envelope and links it into todo: S3 → S4, the point at
// which the message is accepted.
//
// The whole message is durable when it returns without error, also where
// directory updates are not synchronous (ext4, XFS): envelope, text and the
// name in mess are synced before the link, todo after it; in which order the
// first three are is free. Both files must be durable before the link: a torn
// text would be delivered, a torn envelope lie in todo for ever. The name in mess
// need only be before the caller is told: an envelope without text is no message.
// A crash before the link leaves a message that was not accepted; a crash or
// an error after it leaves one that may be delivered although the caller was
// not told so.
func (d *Draft) Commit() error {
	if d.commits != nil {
		d.commits.begin()
		defer d.commits.end(1)
	}
	if err := d.sync(); err != nil {
		return &StepError{StepWrite, err}
	}
	todo, err := openDirOf(d.ID.Todo()) // what can fail before the link is not to fail after it
	if err != nil {
		return &StepError{StepTodo, err}
	}
	defer todo.Close()
	if time.Since(d.born) > oldest { // a disk hung, and no alarm got through
		return &StepError{StepTodo, syscall.ETIMEDOUT}
	}
	if err := syscall.Link(d.ID.Intd(), d.ID.Todo()); err != nil {
		return &StepError{StepTodo, err}
	}
	if d.commits != nil {
		err = d.commits.waitDir(dirOf(d.ID.Todo()), todo)
	} else {
		err = todo.Sync()
	}
	if err != nil {
		return &StepError{StepTodo, err}
	}
	return nil
}

// sync makes envelope, text and the name in mess durable, in any order, for
// nobody knows of the message yet. The envelope comes first because it was
// written last: its sync has the journal committed with all that was changed
// before, so that the two others find little left to do. Among others it is
// done at once, or for all of them by a sync of the file system.
func (d *Draft) sync() error {
	c := d.commits
	if c != nil && c.serves() && onDevice(c.device, d.intd, d.mess) && c.wait() == nil {
		return nil
	}
	return syncAll(c != nil && !c.crowded(), d.intd.Sync, d.mess.Sync, func() error { return syncDirOf(d.ID.Mess()) })
}

// Close lets go of the files, wherever the message is.
func (d *Draft) Close() {
	d.mess.Close()
	if d.intd >= 0 {
		d.intd.Close()
	}
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
