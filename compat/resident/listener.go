package resident

import (
	"errors"
	"os"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/reqmail/reqmail/compat/fdio"
)

// Listener is where a process that stays is found by others than its parent: a
// unix socket with an abstract name (unix(7)), which is gone with the process.
// Anybody may take such a name, and anybody may come: each side must look at
// whom the kernel says the other one is.
type Listener struct {
	socket fdio.FD
	poller *fdio.Poller
}

// ErrStranger says that the other side is not who it should be, or has gone.
var ErrStranger = errors.New("not the one that was expected")

// backlog is how many may wait to be let in.
const backlog = 128

// patience is how long a listener may take to say its name.
const patience = time.Second

// Listen has whoever holds the socket found under a name.
func Listen(name string) (*Listener, error) {
	fd, err := abstract()
	if err != nil {
		return nil, err
	}
	if err := syscall.Bind(int(fd), &syscall.SockaddrUnix{Name: "@" + name}); err != nil {
		fd.Close()
		return nil, err
	}
	return listen(fd)
}

// Adopt makes the socket of another process's Listener this one's. It must have
// that name.
func Adopt(socket fdio.FD, name string) (*Listener, error) {
	bound, err := syscall.Getsockname(int(socket))
	if err != nil {
		return nil, err
	}
	if address, ok := bound.(*syscall.SockaddrUnix); !ok || address.Name != "@"+name {
		return nil, ErrStranger
	}
	syscall.CloseOnExec(int(socket))
	return listen(socket)
}

// listen begins to listen: who comes from now on is told that this process does.
func listen(socket fdio.FD) (*Listener, error) {
	err := syscall.Listen(int(socket), backlog)
	if err == nil {
		var poller *fdio.Poller
		if poller, err = fdio.NewPoller(socket); err == nil {
			return &Listener{socket, poller}, nil
		}
	}
	socket.Close()
	return nil, err
}

// Socket is for a process that is to Adopt it.
func (l *Listener) Socket() fdio.FD { return l.socket }

// abstract makes a socket. It is non-blocking, because to connect to one who lets
// nobody in would otherwise take for ever.
func abstract() (fdio.FD, error) {
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_SEQPACKET|syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK, 0)
	return fdio.FD(fd), err
}

// Accept lets the next one in, who waits for Welcome. The error ErrStranger says
// that it was not one of the user uid, and was sent away.
func (l *Listener) Accept(uid int) (*Conn, error) {
	fd, err := l.next()
	if err != nil {
		return nil, err
	}
	if err := peer(fd, uid); err != nil {
		fd.Close()
		return nil, ErrStranger
	}
	c, err := newOwnConn(fd)
	if err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// next waits for one who comes.
func (l *Listener) next() (fdio.FD, error) {
	var fd int
	err := l.poller.Try(func() (err error) {
		for {
			fd, _, err = syscall.Accept4(int(l.socket), syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK)
			if err != syscall.EINTR && err != syscall.ECONNABORTED {
				return err
			}
		}
	})
	return fdio.FD(fd), err
}

// Welcome tells who was let in that it may send: by the name that the program
// is called, and its process.
func (c *Conn) Welcome(called string) error {
	return c.Send(strconv.AppendInt(greeting(called), int64(os.Getpid()), 10))
}

// Close ends it: nobody is let in any more, and who waits is sent away.
func (l *Listener) Close() {
	l.poller.Close()
	l.socket.Close()
}

// Dial connects to the process of the user uid that is found under a name. An
// error says that there is none. What is sent before Greeted may be lost. A Conn
// that is alone is for one goroutine, which waits in its thread: to wait without
// costs more.
func Dial(name string, uid int, alone bool) (*Conn, error) {
	fd, err := abstract()
	if err != nil {
		return nil, err
	}
	err = syscall.Connect(int(fd), &syscall.SockaddrUnix{Name: "@" + name})
	if err == nil {
		err = peer(fd, uid)
	}
	if err != nil {
		fd.Close()
		return nil, err
	}
	if alone {
		return &Conn{alone: fd}, nil
	}
	c, err := newConn(fd)
	if err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// peer checks that the process on the other side is one of the user uid: the
// effective one that it had when it listened or came.
func peer(fd fdio.FD, uid int) error {
	ucred, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return err
	}
	if ucred.Uid != uint32(uid) {
		return ErrStranger
	}
	return nil
}

// Greeted waits until the other side lets us in, and returns its process. An error
// says that it does not do so soon, or is not a program of the name called.
func (c *Conn) Greeted(called string) (pid int, err error) {
	if err := c.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return 0, err
	}
	data, files, err := c.Receive(make([]byte, maxNews))
	text, err := greeted(called, data, files, err)
	if err != nil {
		return 0, err
	}
	if pid, err = strconv.Atoi(string(text)); err != nil {
		return 0, err
	}
	return pid, c.SetReadDeadline(time.Time{})
}

// Refuse has the other side's next Send fail. What it has sent before can still
// be received, and then io.EOF.
func (c *Conn) Refuse() {
	_ = c.perform(func(fd int) error { return syscall.Shutdown(fd, syscall.SHUT_RD) })
}

// ReceiveWhole is Receive into as many bytes as the datagram needs: who waits
// for long holds no memory.
func (c *Conn) ReceiveWhole() (data []byte, files []fdio.FD, err error) {
	err = c.try(func() error {
		return c.perform(func(fd int) error {
			n, _, err := syscall.Recvfrom(fd, nil, syscall.MSG_PEEK|syscall.MSG_TRUNC|syscall.MSG_DONTWAIT)
			if err != nil {
				return err
			}
			if n > MaxDatagram {
				return syscall.EMSGSIZE
			}
			data, files, err = receive(fd, make([]byte, n))
			return err
		})
	})
	return data, files, err
}
