package submit

import (
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/reqmail/reqmail/compat/environ"
	"github.com/reqmail/reqmail/compat/fdio"
	"github.com/reqmail/reqmail/compat/home"
	"github.com/reqmail/reqmail/compat/resident"
)

// A qmail-queue that stays may be shared by all clients that one user runs: it
// is found under a name that follows from its file, the queue and the user, and
// the kernel tells each side who the other one is. A client that starts
// bin/qmail-queue itself says by Wanted that it would rather share one; where
// messages follow each other, one is then left behind for a moment (package
// enqueue).

// Wanted is the variable by which a client asks for one.
const Wanted = "REQMAIL_SHARE"

// SharedName is the name that a qmail-queue is found under: that of an
// executable, for a queue, the user uid, and what the user sees of the file
// systems.
func SharedName(executable, queueDir resident.Identity, uid int) (string, error) {
	var mounts [64]byte // mnt:[NUMBER] of namespaces(7)
	n, err := unix.Readlink("/proc/self/ns/mnt", mounts[:])
	if err != nil {
		return "", err
	}
	return "reqmail/" + Program + "/" + strings.Join([]string{
		executable.String(), queueDir.String(), string(mounts[:n]), strconv.Itoa(uid),
	}, "/"), nil
}

// sharing reports whether a client may let another process queue for it: what
// that writes, and under whose name, is what its own child would.
func sharing(program string, env []string) bool {
	return program == plain && (env == nil || sameHome(env)) &&
		os.Getuid() == os.Geteuid() && resident.Unlimited(unix.RLIMIT_FSIZE)
}

// connect finds a qmail-queue that is shared; nil: none. It has not greeted yet.
// alone is for who needs but one.
func connect(alone bool) *resident.Child {
	st, err := fdio.Stat(home.Dir() + "/" + plain)
	if err != nil {
		return nil
	}
	of := resident.IdentityOf(&st)
	queueDir, err := resident.Identify(home.Dir() + "/queue")
	if err != nil {
		return nil
	}
	name, err := SharedName(of, queueDir, os.Getuid())
	if err != nil {
		return nil
	}
	owner := os.Getuid()
	if st.Mode&syscall.S_ISUID != 0 {
		owner = int(st.Uid)
	}
	conn, err := resident.Dial(name, owner, alone)
	if err != nil {
		return nil
	}
	return &resident.Child{Conn: conn, Of: of}
}

// sameHome reports whether an environment leads to the same qmail home as the
// process's own.
func sameHome(env environ.List) bool {
	there, _ := env.Lookup(home.Variable)
	return there == os.Getenv(home.Variable)
}

// wanting is an environment in which Wanted is set.
func wanting(env environ.List) environ.List {
	if env == nil {
		env = os.Environ()
	}
	return env.With(Wanted + "=1")
}
