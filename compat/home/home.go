// Package home knows where the qmail home directory is and whether it is a
// private one. It must not know what lies in it.
package home

import (
	"os"

	"golang.org/x/sys/unix"

	"github.com/reqmail/reqmail/compat/fdio"
)

// Standard is where qmail lives unless a build or a test says otherwise.
const Standard = "/var/qmail"

// Variable names the environment variable that moves the home for tests and
// for running without root. Privileged execution ignores it (Secure).
const Variable = "REQMAIL_HOME"

// linked is the home set at link time (make QMAIL=…).
var linked = Standard

// Dir returns the qmail home directory, an absolute path without a final
// slash.
func Dir() string {
	if dir := os.Getenv(Variable); dir != "" && dir[0] == '/' && !Secure() {
		return dir
	}
	return linked
}

// Secure reports whether the kernel started the program with privileges its
// caller does not have (AT_SECURE: set-uid, set-gid, file capabilities). Its
// environment is then a stranger's.
func Secure() bool {
	if os.Getuid() != os.Geteuid() || os.Getgid() != os.Getegid() {
		return true
	}
	const atSecure = 23 // getauxval(3)
	vector, err := unix.Auxv()
	if err != nil {
		return false
	}
	for _, pair := range vector {
		if pair[0] == atSecure {
			return pair[1] != 0
		}
	}
	return false
}

// Private reports whether the home is an ordinary user's own: he owns it, is
// not root, and has no borrowed privileges. Every role is then played under
// his uid and gid, and the qmail accounts need not exist.
func Private() bool {
	uid := os.Geteuid()
	if uid == 0 || Secure() {
		return false
	}
	st, err := fdio.Stat(Dir())
	return err == nil && int(st.Uid) == uid
}
