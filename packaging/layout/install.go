package layout

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/reqmail/reqmail/queue"
)

// Chown gives a file its owner and mode.
type Chown func(path string, owner Owner, mode os.FileMode) error

// Install lays out a home in the folder dest, or brings the one there up to
// date: files are replaced by rename, so that running programs are not
// disturbed and no moment is without one; the queue, control files and users/
// keep what is in them.
func Install(home, dest string, from Sources, own Chown) error {
	all, err := entries(home, from, false)
	if err != nil {
		return err
	}
	for _, e := range all {
		if err := e.make(dest, own); err != nil {
			return err
		}
	}
	return nil
}

func (e entry) make(dest string, own Chown) error {
	path := filepath.Join(dest, e.path)
	switch {
	case e.place != nil:
		return e.place.Make(filepath.Join(dest, "queue"), func(path string, _ queue.Place) error {
			return own(path, e.owner, e.mode)
		})
	case e.kind == syscall.S_IFDIR:
		if err := os.MkdirAll(path, 0o755); err != nil {
			return err
		}
		return own(path, e.owner, e.mode)
	case e.source != "":
		in, err := os.Open(e.source)
		if err != nil {
			return err
		}
		defer in.Close()
		return e.replace(path, in, own)
	}
	return e.replace(path, strings.NewReader(e.text), own)
}

// replace puts a file in place by rename, with owner and mode set before it
// has its name.
func (e entry) replace(path string, content io.Reader, own Chown) error {
	fresh := path + ".new"
	if err := writeFile(fresh, content, 0o600); err != nil {
		return err
	}
	if err := own(fresh, e.owner, e.mode); err != nil {
		os.Remove(fresh)
		return err
	}
	return os.Rename(fresh, path)
}

// CopyFile copies a file's content to a path that it creates or replaces.
func CopyFile(from, to string, mode os.FileMode) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	return writeFile(to, in, mode)
}

func writeFile(to string, content io.Reader, mode os.FileMode) error {
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, content)
	if err == nil {
		err = out.Chmod(mode)
	}
	if err == nil {
		err = out.Sync()
	}
	if closeErr := out.Close(); err == nil {
		err = closeErr
	}
	return err
}
