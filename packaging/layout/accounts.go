package layout

import (
	"fmt"
	"os"
	"syscall"

	"github.com/reqmail/reqmail/compat/ids"
)

// Accounts are the numbers of the accounts that own a home.
type Accounts struct {
	users, groups map[string]uint32
	private       bool // there are none: all is the caller's
}

// Caller is for a home that belongs to the caller alone.
func Caller() Accounts { return Accounts{private: true} }

// FindAccounts looks every account up, so that a missing one is an error
// before anything is written.
func FindAccounts() (Accounts, error) {
	a := Accounts{users: map[string]uint32{}, groups: map[string]uint32{}}
	for _, name := range []string{ids.Alias, ids.Daemon, ids.Log, ids.Owner, ids.Passwd, ids.Queue, ids.Remote, ids.Send} {
		u, ok, err := ids.Lookup(name)
		if err != nil {
			return a, fmt.Errorf("looking up user %s: %w", name, err)
		}
		if !ok {
			return a, fmt.Errorf("no user %s: create the accounts first (docs/fresh-host.md)", name)
		}
		a.users[name] = u.UID
	}
	for _, name := range []string{ids.Qmail, ids.Nofiles} {
		gid, err := ids.GID(name)
		if err != nil {
			return a, fmt.Errorf("no group %s: create the accounts first (docs/fresh-host.md)", name)
		}
		a.groups[name] = gid
	}
	return a, nil
}

// Chown sets owner and mode; it is a Chown function.
func (a Accounts) Chown(path string, owner Owner, mode os.FileMode) error {
	if a.private {
		return os.Chmod(path, a.mode(mode))
	}
	if err := syscall.Lchown(path, int(a.users[owner.User]), int(a.groups[owner.Group])); err != nil {
		return &os.PathError{Op: "chown", Path: path, Err: err}
	}
	return os.Chmod(path, mode)
}

// mode is what becomes of a place's mode: nobody borrows the caller's rights,
// and he may read and replace what is his.
func (a Accounts) mode(mode os.FileMode) os.FileMode {
	if a.private {
		return mode&^os.ModeSetuid | 0o600
	}
	return mode
}

// owns reports whether a file has the right owner, and the right group: any,
// where the caller has all.
func (a Accounts) owns(st *syscall.Stat_t, owner Owner) (user, group bool) {
	if a.private {
		return int(st.Uid) == os.Geteuid(), true
	}
	return st.Uid == a.users[owner.User], st.Gid == a.groups[owner.Group]
}
