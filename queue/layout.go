package queue

import (
	"os"
	"syscall"

	"github.com/reqmail/reqmail/compat/ids"
)

// Place is a directory or file of an empty queue. Its group is qmail.
type Place struct {
	Path  string // relative to the queue directory; "." is that itself
	Type  uint32 // S_IFDIR, S_IFREG or S_IFIFO
	Mode  uint32 // permission bits
	Owner string // a qmail account
	Size  int64  // of a regular file, all zero
}

// Sizes in bytes of the tables of dead hosts.
const (
	tcptoSize  = 64 * 16
	tcpto6Size = 64 * 28
)

// Layout lists what an empty queue consists of, in the order of its creation.
func Layout() []Place { return Built().Layout() }

// flatLayout lists the directories that every queue has.
func flatLayout(dir func(path string, mode uint32, owner string) Place) []Place {
	return []Place{
		dir(".", 0o750, ids.Queue),
		dir("pid", 0o700, ids.Queue),
		dir("intd", 0o700, ids.Queue),
		dir("todo", 0o750, ids.Queue),
		dir("bounce", 0o700, ids.Send),
		dir("lock", 0o750, ids.Queue),
		dir("mess", 0o750, ids.Queue),
		dir("info", 0o700, ids.Send),
		dir("local", 0o700, ids.Send),
		dir("remote", 0o700, ids.Send),
	}
}

// lockLayout lists what lies in lock.
func lockLayout(dir func(path string, mode uint32, owner string) Place) []Place {
	return []Place{
		dir(SendState, 0o700, ids.Send),
		{Path: SendMutex, Type: syscall.S_IFREG, Mode: 0o600, Owner: ids.Send},
		{Path: TCPTO, Type: syscall.S_IFREG, Mode: 0o644, Owner: ids.Remote, Size: tcptoSize},
		{Path: TCPTO6, Type: syscall.S_IFREG, Mode: 0o644, Owner: ids.Remote, Size: tcpto6Size},
		{Path: Trigger, Type: syscall.S_IFIFO, Mode: 0o622, Owner: ids.Send},
	}
}

// Make creates the place below dir if it is not there; what is there keeps
// its content. own is called for it in either case, so that owner and mode
// can be set right.
func (p Place) Make(dir string, own func(path string, p Place) error) error {
	path := dir + "/" + p.Path
	var err error
	switch p.Type {
	case syscall.S_IFDIR:
		err = os.MkdirAll(path, 0o700)
	case syscall.S_IFIFO:
		err = syscall.Mkfifo(path, p.Mode)
	default:
		err = makeFile(path, p)
	}
	if err != nil && !os.IsExist(err) {
		return &os.PathError{Op: "create", Path: path, Err: err}
	}
	return own(path, p)
}

func makeFile(path string, p Place) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, os.FileMode(p.Mode))
	if err != nil {
		return err
	}
	if err := f.Truncate(p.Size); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}
