package check

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/reqmail/reqmail/compat/ids"
	"github.com/reqmail/reqmail/queue"
)

// Where what may be mail is moved, and what is noted of it.
const (
	lost   = "lost+found"
	report = lost + "/REPORT"
	moving = lost + "/moving"
)

// makeLost makes lost+found, for qmailq alone.
func makeLost(a Accounts) error {
	for _, dir := range []string{lost, moving} {
		if err := os.Mkdir(dir, 0o700); errors.Is(err, os.ErrExist) {
			continue
		} else if err != nil {
			return err
		}
		if err := os.Lchown(dir, int(a.User[ids.Queue]), int(a.Group)); err != nil {
			return err
		}
	}
	return nil
}

// aside moves something to lost+found.
//
// Its line in the report is durable before it is moved; a crash may leave a
// line of something that is still in its place, and is moved by the next
// repair.
func aside(f Finding, path string) error {
	return wrap("rename", path, toNew(f, path, func(to string) error { return renameNew(path, to) }))
}

// toNew has a file given a name in lost+found that no other has, noted before.
func toNew(f Finding, path string, give func(to string) error) error {
	name := lost + "/" + strings.ReplaceAll(path, "/", ".")
	to := name
	for n := 2; ; n++ {
		if _, err := os.Lstat(to); err == nil {
			to = fmt.Sprintf("%s.%d", name, n)
			continue
		}
		if err := note(f, path, to); err != nil {
			return err
		}
		if err := give(to); err != syscall.EEXIST {
			return err
		}
	}
}

// note adds a line to the report and syncs it.
func note(f Finding, from, to string) error {
	out, err := os.OpenFile(report, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer out.Close()
	line := fmt.Sprintf("%s %s: %q is now %q: %s\n", time.Now().UTC().Format(time.RFC3339), f.Code, from, to, f.Text)
	if _, err := out.WriteString(line); err != nil {
		return err
	}
	return out.Sync()
}

// asideWhole moves all of a message to lost+found. The text gets its new name
// first and loses the old one last, so that a crash leaves no text alone for
// qmail-send to collect.
func asideWhole(f Finding, m message) error {
	if mess := m.one(queue.MessFile); mess != nil {
		err := toNew(f, mess.path, func(to string) error { return syscall.Link(mess.path, to) })
		if err != nil {
			return wrap("link", mess.path, err)
		}
	}
	for _, kind := range []queue.Kind{queue.TodoFile, queue.InfoFile, queue.IntdFile, queue.LocalFile, queue.RemoteFile, queue.BounceFile} {
		if file := m.one(kind); file != nil {
			if err := aside(f, file.path); err != nil && !errors.Is(err, os.ErrNotExist) {
				return err
			}
		}
	}
	if err := syncQueue(); err != nil {
		return err
	}
	if mess := m.one(queue.MessFile); mess != nil {
		return wrap("unlink", mess.path, unlinked(mess.path))
	}
	return nil
}

func sameFile(a, b string) bool {
	x, err := os.Lstat(a)
	if err != nil {
		return false
	}
	y, err := os.Lstat(b)
	return err == nil && os.SameFile(x, y)
}

func unlinked(path string) error {
	if err := syscall.Unlink(path); err != syscall.ENOENT {
		return err
	}
	return nil
}

// renameNew renames a file to a name that does not exist, else fails with
// EEXIST.
func renameNew(from, to string) error {
	return unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, unix.RENAME_NOREPLACE)
}

func wrap(op, path string, err error) error {
	if err == nil {
		return nil
	}
	return &os.PathError{Op: op, Path: path, Err: err}
}

// syncQueue makes everything on the queue's file system durable: one barrier
// between the steps of many messages.
func syncQueue() error {
	dir, err := os.Open(".")
	if err != nil {
		return err
	}
	defer dir.Close()
	return wrap("syncfs", ".", unix.Syncfs(int(dir.Fd())))
}
