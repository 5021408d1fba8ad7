package fdio

import (
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Timed is a connection on descriptors that may be shared: it waits with
// poll(2) instead of making them non-blocking. Each read and write waits at
// most Timeout; then its error is ETIMEDOUT.
type Timed struct {
	In, Out FD
	Timeout time.Duration
}

// SetTimeout changes how long reads and writes wait, and returns how long they
// did.
func (t *Timed) SetTimeout(d time.Duration) (before time.Duration) {
	before, t.Timeout = t.Timeout, d
	return before
}

// Read waits for bytes and reads them.
func (t *Timed) Read(p []byte) (int, error) {
	if err := t.wait(t.In, unix.POLLIN); err != nil {
		return 0, err
	}
	return t.In.Read(p)
}

// Write writes all of p; a peer that takes none of it for too long is an
// error.
func (t *Timed) Write(p []byte) (int, error) {
	done := 0
	for done < len(p) {
		if err := t.wait(t.Out, unix.POLLOUT); err != nil {
			return done, err
		}
		n, err := t.writeSome(p[done:])
		if err == syscall.EINTR || err == syscall.EAGAIN {
			continue
		}
		if err != nil {
			return done, err
		}
		done += n
	}
	return done, nil
}

// writeSome writes what can be written without waiting, once poll(2) has said
// that something can: a write(2) in blocking mode waits until all of p is gone.
func (t *Timed) writeSome(p []byte) (int, error) {
	n, err := unix.SendmsgN(int(t.Out), p, nil, nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
	if err != unix.ENOTSOCK {
		return n, err
	}
	const pipeBuf = 4096 // what a pipe takes that takes anything (pipe(7))
	return syscall.Write(int(t.Out), p[:min(len(p), pipeBuf)])
}

func (t *Timed) wait(f FD, events int16) error {
	deadline := time.Now().Add(t.Timeout)
	for {
		left := time.Until(deadline)
		if left < 0 {
			return syscall.ETIMEDOUT
		}
		fds := []unix.PollFd{{Fd: int32(f), Events: events}}
		n, err := unix.Poll(fds, int(left.Milliseconds())+1)
		if n > 0 {
			return nil
		}
		if err != nil && err != unix.EINTR {
			return err
		}
	}
}
