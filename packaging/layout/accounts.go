package layout

import (
	"fmt"
	"os"
	"syscall"

	"github.com/reqmail/reqmail/compat/ids"
)

// Accounts are the numbers of the accounts that own a home.
type Accounts struct{ users, groups map[string]uint32 }

// FindAccounts looks every account up, so that a missing one is an error
// before anything is written.
func FindAccounts() (Accounts, error) {
	a := Accounts{map[string]uint32{}, map[string]uint32{}}
	for _, name := range []string{ids.Alias, ids.Daemon, ids.Log, ids.Owner, ids.Passwd, ids.Queue, ids.Remote, ids.Send} {
		u, ok, err := ids.Lookup(name)
		if err != nil {
			return a, fmt.Errorf("looking up user %s: %w", name, err)
		}
		if !ok {
			return a, fmt.Errorf("no user %s: create the accounts first (docs/install.md)", name)
		}
		a.users[name] = u.UID
	}
	for _, name := range []string{ids.Qmail, ids.Nofiles} {
		gid, err := ids.GID(name)
		if err != nil {
			return a, fmt.Errorf("no group %s: create the accounts first (docs/install.md)", name)
		}
		a.groups[name] = gid
	}
	return a, nil
}

// Chown sets owner and mode; it is a Chown function.
func (a Accounts) Chown(path string, owner Owner, mode os.FileMode) error {
	if err := syscall.Lchown(path, int(a.users[owner.User]), int(a.groups[owner.Group])); err != nil {
		return &os.PathError{Op: "chown", Path: path, Err: err}
	}
	return os.Chmod(path, mode)
}
