// Package resident lets a child that is ours stay for more jobs, where it
// would otherwise end with its first and be started anew for the next.
//
// A parent runs whatever program it resolves for its first job as it always
// would. Where that is a program that can take an offer, it gets one: an
// inherited socket, named in an environment variable (Offer). It does its job
// and then, if its own executable is the file that the parent says it resolved,
// says so on the socket (Post) and waits for more. Where a wrapper stands
// between, or the variable came from elsewhere, it ends as C's would. So no
// first job is special, no wrapper is bypassed, and what is foreign is run
// exactly as ever; but for a program whose file may not be read (Unread), which
// may find variable and socket.
//
// A process that stays may also be found by others than its parent (Listener).
//
// The package owns the offer, the greeting and the passing of datagrams with
// descriptors; Runner and Serve are the two sides where a job is what a command
// does: arguments, an input, output, an exit code. It must not know what the
// jobs are.
package resident

import (
	"strconv"
	"strings"
	"syscall"

	"github.com/reqmail/reqmail/compat/fdio"
)

// Variable names the socket and the resolved executable in a child's
// environment: "FD:DEVICE:INODE", in decimal.
const Variable = "REQMAIL_STAY"

// protocol is the version of what parent and child say to each other; a child
// of another one is not kept.
const protocol = "3"

// Identity is an executable: a file, whatever its names are.
type Identity struct {
	device, inode uint64
}

// Identify returns the identity of the file at a path.
func Identify(path string) (Identity, error) {
	st, err := fdio.Stat(path)
	if err != nil {
		return Identity{}, err
	}
	return IdentityOf(&st), nil
}

// IdentityOf returns the identity of a file by its status.
func IdentityOf(st *syscall.Stat_t) Identity { return Identity{uint64(st.Dev), st.Ino} }

// String is device and inode, in decimal, with a colon between them.
func (i Identity) String() string {
	return strconv.FormatUint(i.device, 10) + ":" + strconv.FormatUint(i.inode, 10)
}

// invitation is the variable's value.
type invitation struct {
	socket     fdio.FD
	executable Identity
}

func (i invitation) String() string {
	return strconv.Itoa(int(i.socket)) + ":" + i.executable.String()
}

// firstSocket is the lowest descriptor a socket can have: those below are the
// program's own.
const firstSocket = 3

// fdBits is the size of a descriptor's number.
const fdBits = 31

func parseInvitation(value string) (i invitation, ok bool) {
	fields := strings.Split(value, ":")
	if len(fields) != 3 {
		return i, false
	}
	socket, err := strconv.ParseUint(fields[0], 10, fdBits)
	if err != nil || socket < firstSocket {
		return i, false
	}
	i.socket = fdio.FD(socket)
	if i.executable.device, err = strconv.ParseUint(fields[1], 10, 64); err != nil {
		return i, false
	}
	i.executable.inode, err = strconv.ParseUint(fields[2], 10, 64)
	return i, err == nil
}
