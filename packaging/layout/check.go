package layout

import (
	"os"
	"path/filepath"
	"syscall"
)

// Check compares a home in the folder dest with what Install would make, as
// qmail's instcheck does, and hands each difference to warn as a line.
// Contents are not compared. With queueOnly it looks at the queue alone.
func Check(home, dest string, from Sources, queueOnly bool, accounts Accounts, warn func(line string)) error {
	all, err := entries(home, from, queueOnly)
	if err != nil {
		return err
	}
	for _, e := range all {
		e.check(filepath.Join(dest, e.path), accounts, warn)
	}
	return nil
}

func (e entry) check(path string, accounts Accounts, warn func(line string)) {
	info, err := os.Stat(path)
	switch {
	case os.IsNotExist(err):
		warn(path + " does not exist")
		return
	case err != nil:
		warn("unable to stat " + err.Error())
		return
	}
	st := info.Sys().(*syscall.Stat_t)
	user, group := accounts.owns(st, e.owner)
	if !user {
		warn(path + " has wrong owner")
	}
	if !group {
		warn(path + " has wrong group")
	}
	const permissions = os.ModePerm | os.ModeSetuid | os.ModeSetgid | os.ModeSticky
	if info.Mode()&permissions != accounts.mode(e.mode) {
		warn(path + " has wrong permissions")
	}
	if st.Mode&syscall.S_IFMT != e.kind {
		warn(path + " has wrong type")
	}
}
