package resident

import (
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/reqmail/reqmail/compat/fdio"
)

// Post is a child's end of an offer.
type Post struct{ *Conn }

// Invited takes the offer of the parent, if there is one that is meant for
// this very program; nil otherwise. Variable and socket are hidden from
// whatever the process runs.
func Invited() *Post { return invited("/proc/self/exe") }

func invited(executable string) *Post {
	value, ok := os.LookupEnv(Variable)
	if !ok {
		return nil
	}
	_ = os.Unsetenv(Variable)
	i, ok := parseInvitation(value)
	if !ok {
		return nil
	}
	if !isOurs(i.socket) {
		return nil // somebody else's descriptor
	}
	self, err := Identify(executable)
	if err != nil || self != i.executable {
		i.socket.Close()
		return nil
	}
	conn, err := newConn(i.socket)
	if err != nil {
		conn.Close()
		return nil
	}
	return &Post{conn}
}

// handed carries the socket to a program that takes this one's place.
const handed = "REQMAIL_STAYS"

// HandOver returns a variable by which a program of ours that takes this
// one's place takes over its end of the offer (TakeOver), and what that
// occupies until then.
func (p *Post) HandOver() (variable string, copied fdio.FD, err error) {
	fd := -1
	if controlErr := p.call.Control(func(of uintptr) { fd, err = syscall.Dup(int(of)) }); controlErr != nil {
		err = controlErr
	}
	return handed + "=" + strconv.Itoa(fd), fdio.FD(fd), err
}

// TakeOver takes what HandOver left, nil if there is nothing.
func TakeOver() *Post {
	value, ok := os.LookupEnv(handed)
	if !ok {
		return nil
	}
	_ = os.Unsetenv(handed)
	fd, err := strconv.ParseUint(value, 10, fdBits)
	if err != nil || fd < firstSocket || !isOurs(fdio.FD(fd)) {
		return nil
	}
	conn, err := newConn(fdio.FD(fd))
	if err != nil {
		conn.Close()
		return nil
	}
	return &Post{conn}
}

// isOurs reports whether a descriptor can be an offer's socket, and keeps it
// from programs that are run.
func isOurs(fd fdio.FD) bool {
	kind, err := syscall.GetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_TYPE)
	if err != nil || kind != syscall.SOCK_SEQPACKET {
		return false
	}
	syscall.CloseOnExec(int(fd))
	return true
}

// Stay tells the parent that the child called name stays, and, where its first
// job is done, what became of that. An error says that nobody wants it to.
func (p *Post) Stay(name string, first []byte) error {
	return p.Send(append(greeting(name), first...))
}

// Next waits for a datagram as Receive does, but holds its thread: a process
// that does nothing else is woken sooner so than through the runtime's poller.
func (p *Post) Next(buf []byte) (data []byte, files []fdio.FD, err error) {
	if err := p.call.Control(func(fd uintptr) {
		ready := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		for {
			if _, err := unix.Poll(ready, -1); err != unix.EINTR {
				return
			}
		}
	}); err != nil {
		return nil, nil, err
	}
	return p.Receive(buf)
}

// Detach puts /dev/null in the place of the descriptors 0, 1 and 2 that the
// first job came with, so that whoever reads from their other ends sees their
// end.
func Detach() error { return detach(0, 1, 2) }

func detach(from ...fdio.FD) error {
	null, err := fdio.Open("/dev/null", syscall.O_RDWR, 0)
	if err != nil {
		return err
	}
	for _, fd := range from {
		if null == fd {
			continue
		}
		if err := syscall.Dup3(int(null), int(fd), 0); err != nil {
			return err
		}
	}
	if null >= firstSocket {
		null.Close()
	}
	return nil
}
