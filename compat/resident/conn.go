package resident

import (
	"io"
	"os"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/reqmail/reqmail/compat/fdio"
)

// MaxDatagram is the most bytes that a datagram may have, and MaxFiles the
// most descriptors that may travel with it.
const (
	MaxDatagram = 64 << 10
	MaxFiles    = 16
)

// Conn is one side of the socket between a parent and a child. Any goroutine
// may send while another receives, unless it is alone.
type Conn struct {
	socket *os.File // nil where …
	alone  fdio.FD  // … one goroutine uses it, and waits in its thread
	call   syscall.RawConn
	turn   sync.Mutex   // to send
	poller *fdio.Poller // nil where it waits in its thread …
	until  time.Time    // … not beyond then; the zero time for ever
}

func newConn(fd fdio.FD) (c *Conn, err error) {
	_ = syscall.SetNonblock(int(fd), false) // or package os has it in the poller
	c = &Conn{socket: os.NewFile(uintptr(fd), "resident")}
	if c.call, err = c.socket.SyscallConn(); err == nil {
		c.poller, err = fdio.NewPoller(fd)
	}
	return c, err
}

// newOwnConn is newConn of a non-blocking socket that no other process has.
func newOwnConn(fd fdio.FD) (c *Conn, err error) {
	c = &Conn{socket: os.NewFile(uintptr(fd), "resident")}
	if c.call, err = c.socket.SyscallConn(); err == nil {
		c.poller, err = fdio.NewOwnPoller(c.socket)
	}
	return c, err
}

// Send sends a datagram, with copies of descriptors. It waits while the other
// side has not taken in what was sent before.
func (c *Conn) Send(data []byte, files ...fdio.FD) error {
	if len(data) > MaxDatagram || len(files) > MaxFiles {
		return syscall.EMSGSIZE
	}
	c.turn.Lock() // one waits in a thread, the others without
	defer c.turn.Unlock()
	return c.perform(func(fd int) error {
		for {
			err := send(fd, data, files)
			if err != syscall.EAGAIN {
				return err
			}
			room := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}
			if _, err := unix.Poll(room, -1); err != nil && err != unix.EINTR {
				return err
			}
		}
	})
}

// perform makes system calls on the socket, which stays what it is meanwhile.
func (c *Conn) perform(call func(fd int) error) error {
	if c.socket == nil {
		return call(int(c.alone))
	}
	var failure error
	if err := c.call.Control(func(fd uintptr) { failure = call(int(fd)) }); err != nil {
		return err
	}
	return failure
}

// send sends a datagram.
func send(fd int, data []byte, files []fdio.FD) error {
	var rights []byte
	if len(files) > 0 {
		numbers := make([]int, len(files))
		for i, f := range files {
			numbers[i] = int(f)
		}
		rights = syscall.UnixRights(numbers...)
	}
	m := header(data, rights)
	_, err := fdio.Call(syscall.SYS_SENDMSG, uintptr(fd), uintptr(unsafe.Pointer(&m)), syscall.MSG_NOSIGNAL|syscall.MSG_DONTWAIT)
	return err
}

// header describes a datagram and what comes with it, or room for them.
func header(data, rights []byte) (m syscall.Msghdr) {
	if len(data) > 0 {
		part := syscall.Iovec{Base: &data[0]}
		part.SetLen(len(data))
		m.Iov, m.Iovlen = &part, 1
	}
	if len(rights) > 0 {
		m.Control = &rights[0]
		m.SetControllen(len(rights))
	}
	return m
}

// Ask sends a datagram and receives the next one; sent tells of which of them
// an error is. It is for who knows that nothing waits to be received: so it need
// not look before the other side has had time to answer.
func (c *Conn) Ask(buf, question []byte, with ...fdio.FD) (data []byte, files []fdio.FD, sent bool, err error) {
	if len(question) > MaxDatagram || len(with) > MaxFiles {
		return nil, nil, false, syscall.EMSGSIZE
	}
	var failure error
	err = c.poller.Until(func() bool {
		failure = c.perform(func(fd int) (err error) {
			if sent {
				data, files, err = receive(fd, buf)
				return err
			}
			// The poller's memory of what came before is gone when this is
			// called: an answer to what is sent here is not missed.
			return send(fd, question, with)
		})
		if sent {
			return failure != syscall.EAGAIN
		}
		sent = failure == nil
		return !sent
	})
	if failure == syscall.EAGAIN && !sent {
		if err = c.Send(question, with...); err != nil {
			return nil, nil, false, err
		}
		data, files, err = c.Receive(buf)
		return data, files, true, err
	}
	if err == nil {
		err = failure
	}
	return data, files, sent, err
}

// Receive takes in a datagram into buf, and the descriptors that came with it,
// close-on-exec, which are the caller's to close. io.EOF is the other side's
// end. A datagram that does not fit, or whose descriptors do not, is the error
// EMSGSIZE; of one without its descriptors data is there all the same.
func (c *Conn) Receive(buf []byte) (data []byte, files []fdio.FD, err error) {
	err = c.try(func() error {
		return c.perform(func(fd int) (err error) {
			data, files, err = receive(fd, buf)
			return err
		})
	})
	return data, files, err
}

// try makes a call, again whenever something has come, until its error is not
// EAGAIN.
func (c *Conn) try(call func() error) error {
	if c.poller != nil {
		return c.poller.Try(call)
	}
	for {
		if err := c.alone.Await(c.until); err != nil {
			return err
		}
		if err := call(); err != syscall.EAGAIN {
			return err
		}
	}
}

// receive takes in a datagram that is there.
func receive(fd int, buf []byte) (data []byte, files []fdio.FD, err error) {
	var room [96]byte // CmsgSpace of MaxFiles descriptors, and more
	m := header(buf, room[:])
	n, err := fdio.Call(syscall.SYS_RECVMSG, uintptr(fd), uintptr(unsafe.Pointer(&m)), syscall.MSG_CMSG_CLOEXEC|syscall.MSG_DONTWAIT)
	if err != nil {
		return nil, nil, err
	}
	files = received(room[:m.Controllen])
	switch {
	case m.Flags&syscall.MSG_TRUNC != 0:
		Close(files)
		return nil, nil, syscall.EMSGSIZE
	case m.Flags&syscall.MSG_CTRUNC != 0:
		Close(files)
		return buf[:n], nil, syscall.EMSGSIZE
	case n == 0:
		Close(files)
		return nil, nil, io.EOF
	}
	return buf[:n], files, nil
}

// Close closes descriptors that were received.
func Close(files []fdio.FD) {
	for _, f := range files {
		f.Close()
	}
}

func received(rights []byte) (files []fdio.FD) {
	if len(rights) == 0 {
		return nil
	}
	messages, err := syscall.ParseSocketControlMessage(rights)
	if err != nil {
		return nil
	}
	for _, m := range messages {
		numbers, err := syscall.ParseUnixRights(&m)
		if err != nil {
			continue
		}
		for _, n := range numbers {
			files = append(files, fdio.FD(n))
		}
	}
	return files
}

// SetReadDeadline limits how long Receive waits.
func (c *Conn) SetReadDeadline(t time.Time) error {
	if c.poller == nil {
		c.until = t
		return nil
	}
	return c.poller.SetDeadline(t)
}

// closed is no descriptor.
const closed fdio.FD = -1

// Close ends the conversation; the other side receives io.EOF.
func (c *Conn) Close() error {
	if c.socket == nil {
		alone := c.alone
		c.alone = closed // its number may be another file's from now on
		return alone.Close()
	}
	if c.poller != nil {
		// Who waits to send waits in vain from now on.
		_ = c.perform(func(fd int) error { return syscall.Shutdown(fd, syscall.SHUT_RDWR) })
		c.poller.Close()
	}
	return c.socket.Close()
}
