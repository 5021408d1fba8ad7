// Package ids finds users and groups: the qmail accounts by name, and the
// accounts that mail is delivered to.
//
// It reads /etc/passwd and /etc/group itself, as statically linked programs
// must, and asks getent(1) only where nsswitch.conf(5) names more sources
// than files. It must not know what an account is used for.
package ids

import (
	"bytes"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/reqmail/reqmail/compat/child"
	"github.com/reqmail/reqmail/compat/fdio"
	"github.com/reqmail/reqmail/compat/home"
)

// The accounts of a qmail installation.
const (
	Alias   = "alias"
	Daemon  = "qmaild"
	Log     = "qmaill"
	Owner   = "root"
	Passwd  = "qmailp"
	Queue   = "qmailq"
	Remote  = "qmailr"
	Send    = "qmails"
	Qmail   = "qmail"   // group
	Nofiles = "nofiles" // group
)

// User is an entry of the password database.
type User struct {
	Name string
	UID  uint32
	GID  uint32
	Home string
}

// Missing is the error for an account that does not exist. Its text is the
// line that qmail's programs print.
type Missing struct {
	Kind string // "user" or "group"
	Name string
}

func (m *Missing) Error() string {
	return "fatal: unable to find " + m.Kind + " " + m.Name
}

// Lookup finds a user by name. It returns false where there is none; the
// error means that the answer is not known.
func Lookup(name string) (User, bool, error) {
	line, ok, err := find("passwd", name)
	if !ok || err != nil {
		return User{}, false, err
	}
	f := strings.Split(line, ":")
	if len(f) < 6 {
		return User{}, false, nil
	}
	uid, err1 := strconv.ParseUint(f[2], 10, 32)
	gid, err2 := strconv.ParseUint(f[3], 10, 32)
	if err1 != nil || err2 != nil {
		return User{}, false, nil
	}
	return User{Name: name, UID: uint32(uid), GID: uint32(gid), Home: f[5]}, true, nil
}

// UID returns the uid of a qmail account; the caller's own in a private home.
// The error is a *Missing, or says why the database cannot be read.
func UID(name string) (uint32, error) {
	if home.Private() {
		return uint32(os.Geteuid()), nil
	}
	user, ok, err := Lookup(name)
	if err == nil && !ok {
		err = &Missing{"user", name}
	}
	return user.UID, err
}

// GID returns the gid of a qmail group; the caller's own in a private home.
func GID(name string) (uint32, error) {
	if home.Private() {
		return uint32(os.Getegid()), nil
	}
	line, ok, err := find("group", name)
	if err != nil {
		return 0, err
	}
	if f := strings.Split(line, ":"); ok && len(f) >= 3 {
		if gid, err := strconv.ParseUint(f[2], 10, 32); err == nil {
			return uint32(gid), nil
		}
	}
	return 0, &Missing{"group", name}
}

// Groups returns gid and the groups that name user as a member, as
// initgroups(3) sets them.
func Groups(user string, gid uint32) ([]uint32, error) {
	groups := []uint32{gid}
	data, err := fdio.ReadFile("/etc/group")
	if err != nil {
		return groups, err
	}
	for line := range strings.Lines(string(data)) {
		f := strings.Split(strings.TrimRight(line, "\n"), ":")
		if len(f) < 4 {
			continue
		}
		for member := range strings.SplitSeq(f[3], ",") {
			n, err := strconv.ParseUint(f[2], 10, 32)
			if member == user && err == nil && uint32(n) != gid {
				groups = append(groups, uint32(n))
			}
		}
	}
	return groups, nil
}

// Become drops root's privileges for those of a qmail account and a group, for
// good. In a private home, and for anybody but root, it does nothing.
func Become(user, group string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	uid, err := UID(user)
	if err != nil {
		return err
	}
	gid, err := GID(group)
	if err != nil {
		return err
	}
	if err := syscall.Setgroups([]int{int(gid)}); err != nil {
		return err
	}
	if err := syscall.Setgid(int(gid)); err != nil {
		return err
	}
	return syscall.Setuid(int(uid))
}

// find returns the line of a database ("passwd", "group") whose first field
// is name.
func find(database, name string) (string, bool, error) {
	if name == "" || strings.ContainsAny(name, ":\n\x00") {
		return "", false, nil
	}
	data, err := fdio.ReadFile("/etc/" + database)
	if err != nil && err != syscall.ENOENT {
		return "", false, err
	}
	key := []byte(name + ":")
	for line := range bytes.Lines(data) {
		if bytes.HasPrefix(line, key) {
			return string(bytes.TrimRight(line, "\n")), true, nil
		}
	}
	if !beyondFiles(database) {
		return "", false, nil
	}
	return getent(database, name)
}

// beyondFiles reports whether nsswitch.conf(5) sends lookups of the database
// to more than the local files: LDAP, SSSD, NIS.
func beyondFiles(database string) bool {
	data, err := fdio.ReadFile("/etc/nsswitch.conf")
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(data)) {
		line, _, _ = strings.Cut(line, "#")
		sources, ok := strings.CutPrefix(strings.TrimSpace(line), database+":")
		if !ok {
			continue
		}
		for _, source := range strings.Fields(sources) {
			switch {
			case source == "files", source == "compat", source == "systemd", source[0] == '[':
			default:
				return true
			}
		}
	}
	return false
}

// getent asks the C library's sources through getent(1), a dynamically linked
// program, which exits 0 for an answer and 2 for none.
func getent(database, name string) (string, bool, error) {
	r, w, err := fdio.Pipe()
	if err != nil {
		return "", false, err
	}
	defer r.Close()
	null, err := fdio.Open("/dev/null", syscall.O_RDWR, 0)
	if err != nil {
		w.Close()
		return "", false, err
	}
	cmd := child.Command{
		Path:  "/usr/bin/getent",
		Args:  []string{"getent", "--", database, name},
		Files: []fdio.FD{null, w, null},
	}
	pid, err := cmd.Start()
	w.Close()
	null.Close()
	if err == syscall.ENOENT {
		return "", false, nil
	}
	if err != nil {
		return "", false, err
	}
	out, readErr := io.ReadAll(io.LimitReader(r, 1<<20))
	status, err := child.Wait(pid)
	switch {
	case err != nil:
		return "", false, err
	case readErr != nil:
		return "", false, readErr
	case status.Exited() && status.ExitStatus() == 2:
		return "", false, nil
	case !status.Exited() || status.ExitStatus() != 0:
		return "", false, syscall.ETXTBSY // getpwnam(3)'s "try again"
	}
	line, _, _ := strings.Cut(string(out), "\n")
	return line, line != "", nil
}
