package users

import (
	"os"
	"strconv"
	"strings"

	"github.com/reqmail/reqmail/compat/address"
	"github.com/reqmail/reqmail/compat/errno"
	"github.com/reqmail/reqmail/compat/fdio"
	"github.com/reqmail/reqmail/compat/home"
	"github.com/reqmail/reqmail/compat/ids"
)

// Exit codes of qmail-getpw.
const (
	GetpwUsage     = 100
	GetpwNFS       = 115 // a home directory cannot be looked at now
	GetpwNoAlias   = 116
	GetpwTemporary = 118 // the password database does not answer
)

// maxUserName is the length in bytes of the longest user name that qmail-getpw
// looks for.
const maxUserName = 31

// breakChar ends the user's part of an address.
const breakChar = '-'

// Getpw finds the account for a local part in the password database. The
// answer is what qmail-getpw prints: user, uid, gid, home, dash and ext, each
// followed by a NUL. A non-zero code means that there is none. In a private home
// all is the one user's that there is.
func Getpw(local string, private bool) (answer string, code int) {
	for end := len(local); end >= 0; end-- {
		if end > maxUserName || (end < len(local) && local[end] != breakChar) {
			continue
		}
		user, ok, code := owner(address.Lower(local[:end]), private)
		if code != 0 {
			return "", code
		}
		if ok && end == len(local) {
			return record(user, "", ""), 0
		}
		if ok {
			return record(user, "-", local[end+1:]), 0
		}
	}
	return alias(local, private)
}

// owner returns a user who may get mail: not root, and with a home directory
// of his own.
func owner(name string, private bool) (user ids.User, ok bool, code int) {
	user, ok, err := ids.Lookup(name)
	if err != nil {
		return user, false, GetpwTemporary
	}
	if !ok || user.UID == 0 || private && user.UID != uint32(os.Geteuid()) {
		return user, false, 0
	}
	st, err := fdio.Stat(user.Home)
	if err != nil {
		if errno.Temporary(err) {
			return user, false, GetpwNFS
		}
		return user, false, 0
	}
	return user, st.Uid == user.UID, 0
}

// alias gives what is nobody's to the alias user. In a private home that is
// the one user there is.
func alias(local string, private bool) (string, int) {
	if private {
		return record(ids.User{
			Name: ids.Alias,
			UID:  uint32(os.Geteuid()),
			GID:  uint32(os.Getegid()),
			Home: home.Dir() + "/alias",
		}, "-", local), 0
	}
	user, ok, err := ids.Lookup(ids.Alias)
	if err != nil {
		return "", GetpwTemporary
	}
	if !ok {
		return "", GetpwNoAlias
	}
	return record(user, "-", local), 0
}

func record(u ids.User, dash, ext string) string {
	fields := []string{u.Name, strconv.FormatUint(uint64(u.UID), 10), strconv.FormatUint(uint64(u.GID), 10), u.Home, dash, ext}
	return strings.Join(fields, "\x00") + "\x00"
}
