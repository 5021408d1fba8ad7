package check

import (
	"os"
	"syscall"

	"github.com/reqmail/reqmail/compat/ids"
	"github.com/reqmail/reqmail/queue"
)

// What may be wrong with the queue's directories and fixed files.
const (
	MissingDirectory    Code = "missing-directory"
	MissingFile         Code = "missing-file"
	WrongType           Code = "wrong-type"
	WrongOwner          Code = "wrong-owner"
	WrongGroup          Code = "wrong-group"
	WrongMode           Code = "wrong-mode"
	WrongSize           Code = "wrong-size"
	DifferentFileSystem Code = "different-file-system"
	SurplusDirectory    Code = "surplus-directory"
	BigTodo             Code = "big-todo"
	Unfinished          Code = "unfinished-repair"
)

// Accounts are the numbers of the accounts that own a queue.
type Accounts struct {
	User  map[string]uint32 // by the name of a qmail account
	Group uint32            // qmail
}

// FindAccounts looks them up; in a private home all are its owner's.
func FindAccounts() (a Accounts, err error) {
	a.User = map[string]uint32{}
	for _, name := range []string{ids.Queue, ids.Send, ids.Remote} {
		if a.User[name], err = ids.UID(name); err != nil {
			return a, err
		}
	}
	a.Group, err = ids.GID(ids.Qmail)
	return a, err
}

// layout checks what every queue has.
func (l *list) layout(tree queue.Tree) error {
	for _, p := range tree.Layout() {
		var st syscall.Stat_t
		switch err := syscall.Lstat(p.Path, &st); err {
		case nil:
			l.place(p, &st)
		case syscall.ENOENT, syscall.ENOTDIR:
			l.missing(p)
		default:
			return &os.PathError{Op: "lstat", Path: p.Path, Err: err}
		}
	}
	l.fileSystems()
	if held, _ := os.ReadDir(moving); len(held) > 0 {
		l.add(Unfinished, moving, nil, "messages were on their way to another number when a repair was interrupted")
	}
	return nil
}

// optional tells what C's queues do not have.
func optional(path string) bool { return path == queue.SendState || path == queue.TCPTO6 }

func (l *list) missing(p queue.Place) {
	switch {
	case optional(p.Path):
	case p.Type == syscall.S_IFDIR:
		l.add(MissingDirectory, p.Path, nil, "the directory does not exist")
	default:
		l.add(MissingFile, p.Path, nil, "the file does not exist")
	}
}

func (l *list) place(p queue.Place, st *syscall.Stat_t) {
	if st.Mode&syscall.S_IFMT != p.Type {
		l.add(WrongType, p.Path, st, "is no %s", map[uint32]string{
			syscall.S_IFDIR: "directory", syscall.S_IFREG: "regular file", syscall.S_IFIFO: "FIFO",
		}[p.Type])
		return
	}
	l.owned(p.Path, st, p.Owner, p.Mode)
	if st.Gid != l.accounts.Group {
		l.add(WrongGroup, p.Path, st, "has group %d, should have %d (%s)", st.Gid, l.accounts.Group, ids.Qmail)
	}
	if p.Type == syscall.S_IFREG && p.Size > 0 && st.Size != p.Size {
		l.add(WrongSize, p.Path, st, "has %d bytes, should have %d", st.Size, p.Size)
	}
}

func (l *list) owned(path string, st *syscall.Stat_t, owner string, mode uint32) {
	if uid := l.accounts.User[owner]; st.Uid != uid {
		l.add(WrongOwner, path, st, "belongs to %d, should to %d (%s)", st.Uid, uid, owner)
	}
	if got := st.Mode & 0o7777; got != mode {
		l.add(WrongMode, path, st, "has mode %04o, should have %04o", got, mode)
	}
}

// fileSystems checks that a link can be made where one must be.
func (l *list) fileSystems() {
	var mess, st syscall.Stat_t
	if syscall.Stat("mess", &mess) != nil {
		return
	}
	for _, dir := range []string{"pid", "intd", "todo"} {
		if syscall.Stat(dir, &st) == nil && st.Dev != mess.Dev {
			l.add(DifferentFileSystem, dir, &st, "is not on the file system of mess: nothing can be queued")
		}
	}
}
