// Package layout lays down a qmail home: directories, queue and programs with
// their owners and modes (the tables of qmail's own "make setup"). It is used
// by the installer, the demo and the tests; no installed program needs it.
package layout

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sort"
	"syscall"

	"github.com/reqmail/reqmail/compat/ids"
	"github.com/reqmail/reqmail/queue"
)

// Owner is an account and a group.
type Owner struct{ User, Group string }

// directory is a directory of the home beside the queue.
type directory struct {
	path  string
	mode  os.FileMode
	owner Owner
}

func directories() []directory {
	root := Owner{ids.Owner, ids.Qmail}
	return []directory{
		{".", 0o755, root},
		{"alias", 0o755 | os.ModeSetgid, Owner{ids.Alias, ids.Qmail}},
		{"bin", 0o755, root},
		{"boot", 0o755, root},
		{"control", 0o755, root},
		{"doc", 0o755, root},
		{"man", 0o755, root},
		{"users", 0o755, root},
	}
}

// programMode returns the owner and mode of an installed program.
func programMode(name string) (Owner, os.FileMode) {
	root := Owner{ids.Owner, ids.Qmail}
	switch name {
	case "qmail-queue":
		return Owner{ids.Queue, ids.Qmail}, 0o711 | os.ModeSetuid
	case "qmail-lspawn", "qmail-newmrh", "qmail-newu", "qmail-start":
		return root, 0o700
	case "qmail-clean", "qmail-getpw", "qmail-local", "qmail-popup", "qmail-pw2u",
		"qmail-remote", "qmail-rspawn", "qmail-send", "splogger":
		return root, 0o711
	}
	return root, 0o755
}

// Chown gives a file its owner and mode.
type Chown func(path string, owner Owner, mode os.FileMode) error

// Private lays out a home that belongs to the caller alone, with copies of
// the programs in binDir.
func Private(home, binDir string) error {
	return Install(home, binDir, func(path string, _ Owner, mode os.FileMode) error {
		return os.Chmod(path, mode&^os.ModeSetuid|0o600)
	})
}

// Install lays out a home, or brings an existing one up to date: programs are
// replaced by rename, so that running ones are not disturbed and no moment is
// without one; everything else that is there is kept.
func Install(home, binDir string, own Chown) error {
	for _, d := range directories() {
		path := filepath.Join(home, d.path)
		if err := os.MkdirAll(path, 0o755); err != nil {
			return err
		}
		if err := own(path, d.owner, d.mode); err != nil {
			return err
		}
	}
	for _, p := range queue.Layout() {
		err := p.Make(filepath.Join(home, "queue"), func(path string, p queue.Place) error {
			return own(path, Owner{p.Owner, ids.Qmail}, os.FileMode(p.Mode))
		})
		if err != nil {
			return err
		}
	}
	return programs(filepath.Join(home, "bin"), binDir, own)
}

func programs(into, from string, own Chown) error {
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	sort.Slice(entries, func(i, j int) bool { return entries[i].Name() < entries[j].Name() })
	for _, e := range entries {
		if !e.Type().IsRegular() {
			continue
		}
		owner, mode := programMode(e.Name())
		if err := Program(filepath.Join(from, e.Name()), filepath.Join(into, e.Name()), owner, mode, own); err != nil {
			return err
		}
	}
	return nil
}

// Program puts a copy of a file in place by rename, with owner and mode set
// before it has its name.
func Program(from, to string, owner Owner, mode os.FileMode, own Chown) error {
	fresh := to + ".new"
	if err := CopyFile(from, fresh, 0o600); err != nil {
		return err
	}
	if err := own(fresh, owner, mode); err != nil {
		os.Remove(fresh)
		return err
	}
	return os.Rename(fresh, to)
}

// CopyFile copies a file's content to a path that it creates or replaces.
func CopyFile(from, to string, mode os.FileMode) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
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

// ByName returns a Chown that sets the real owners. It resolves every account
// first, so that a missing one is an error before anything is written.
func ByName() (Chown, error) {
	users, groups := map[string]uint32{}, map[string]uint32{}
	for _, name := range []string{ids.Alias, ids.Daemon, ids.Log, ids.Owner, ids.Passwd, ids.Queue, ids.Remote, ids.Send} {
		u, ok, err := ids.Lookup(name)
		if err != nil {
			return nil, fmt.Errorf("looking up user %s: %w", name, err)
		}
		if !ok {
			return nil, fmt.Errorf("no user %s: create the accounts first (docs/install.md)", name)
		}
		users[name] = u.UID
	}
	for _, name := range []string{ids.Qmail, ids.Nofiles} {
		gid, err := ids.GID(name)
		if err != nil {
			return nil, fmt.Errorf("no group %s: create the accounts first (docs/install.md)", name)
		}
		groups[name] = gid
	}
	return func(path string, owner Owner, mode os.FileMode) error {
		if err := syscall.Lchown(path, int(users[owner.User]), int(groups[owner.Group])); err != nil {
			return &os.PathError{Op: "chown", Path: path, Err: err}
		}
		return os.Chmod(path, mode)
	}, nil
}
