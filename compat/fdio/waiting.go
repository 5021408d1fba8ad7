package fdio

import (
	"io"
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Poller waits, without a thread, until a descriptor can be read from, in
// blocking mode as it may be. It is an epoll(7) instance of its own, inside the
// runtime's. There the descriptor itself would have to be non-blocking, for
// everybody who shares it, and one of a socket would wake the process also when
// the other side has taken something in.
type Poller struct {
	file *os.File
	raw  syscall.RawConn
}

// NewPoller returns a Poller of a descriptor. It is an error if that is of a kind
// for which nobody need wait.
func NewPoller(f FD) (*Poller, error) {
	instance, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, err
	}
	err = unix.EpollCtl(instance, unix.EPOLL_CTL_ADD, int(f), &unix.EpollEvent{Events: unix.EPOLLIN})
	if err != nil {
		FD(instance).Close()
		return nil, err
	}
	p := &Poller{file: Pollable(FD(instance), "poller")}
	p.raw, err = p.file.SyscallConn()
	return p, err
}

// NewOwnPoller returns a Poller of a non-blocking descriptor that nobody shares. It
// needs no instance of its own, but wakes the process also when the other side has
// taken something in: it is for those who come often and go soon. Close closes the
// file.
func NewOwnPoller(file *os.File) (*Poller, error) {
	raw, err := file.SyscallConn()
	return &Poller{file, raw}, err
}

// Until calls done until it returns true: at once, and then when something can be
// read that came after the call. The error is that of a Poller that was closed, or
// whose deadline is over.
func (p *Poller) Until(done func() bool) error {
	return p.raw.Read(func(uintptr) bool { return done() })
}

// Try makes a call, again whenever something can be read, until its error is not
// EAGAIN, and returns that, or the error of Until.
func (p *Poller) Try(call func() error) error {
	var failure error
	err := p.Until(func() bool {
		failure = call()
		return failure != syscall.EAGAIN
	})
	if err == nil {
		err = failure
	}
	return err
}

// SetDeadline limits how long Until waits.
func (p *Poller) SetDeadline(t time.Time) error { return p.file.SetReadDeadline(t) }

// Close ends all waiting. The descriptor stays open.
func (p *Poller) Close() error { return p.file.Close() }

// Waiting returns a reader of a descriptor that waits without a thread. Nobody
// else may read from it. Of what a Poller is not for, it is the descriptor itself.
func Waiting(f FD) io.Reader {
	p, err := NewPoller(f)
	if err != nil {
		return f
	}
	return &waiting{f, p}
}

type waiting struct {
	FD
	poller *Poller
}

func (w *waiting) Read(p []byte) (n int, err error) {
	waited := false
	var failure error
	err = w.poller.Until(func() bool {
		if !waited && !w.ready() {
			waited = true
			return false
		}
		n, failure = Prompt(w.FD).Read(p)
		return true
	})
	if err == nil {
		err = failure
	}
	return n, err
}

// ready reports whether a read would not wait.
func (w *waiting) ready() bool {
	var now unix.Timespec
	of := unix.PollFd{Fd: int32(w.FD), Events: unix.POLLIN}
	n, err := Call(unix.SYS_PPOLL, uintptr(unsafe.Pointer(&of)), 1, uintptr(unsafe.Pointer(&now)))
	return n > 0 || err != nil
}
