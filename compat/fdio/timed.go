package fdio

import (
	"syscall"
	"time"
	"unsafe"

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
		n, err := t.Out.send(p[done:])
		if err == syscall.EAGAIN || err == syscall.ENOTSOCK {
			if waitErr := t.wait(t.Out, unix.POLLOUT); waitErr != nil {
				return done, waitErr
			}
		}
		if err == syscall.ENOTSOCK {
			n, err = t.Out.writeSome(p[done:])
		}
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

// send writes what can be written to a socket without waiting.
func (f FD) send(p []byte) (int, error) {
	n, err := Call(unix.SYS_SENDTO, uintptr(f), uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, 0, 0)
	return int(n), err
}

// writeSome writes to what is no socket, once poll(2) has said that it takes
// anything: a write(2) in blocking mode waits until all of p is gone.
func (f FD) writeSome(p []byte) (int, error) {
	const pipeBuf = 4096 // what a pipe takes that takes anything (pipe(7))
	return syscall.Write(int(f), p[:min(len(p), pipeBuf)])
}

func (t *Timed) wait(f FD, events int16) error {
	return f.await(events, time.Now().Add(t.Timeout))
}

// Await waits in the thread until something can be read, but not beyond a time,
// with ETIMEDOUT; the zero time is for ever.
func (f FD) Await(until time.Time) error { return f.await(unix.POLLIN, until) }

func (f FD) await(events int16, deadline time.Time) error {
	for {
		timeout := -1
		if !deadline.IsZero() {
			left := time.Until(deadline)
			if left < 0 {
				return syscall.ETIMEDOUT
			}
			timeout = int(left.Milliseconds()) + 1
		}
		fds := []unix.PollFd{{Fd: int32(f), Events: events}}
		n, err := unix.Poll(fds, timeout)
		if n > 0 {
			return nil
		}
		if err != nil && err != unix.EINTR {
			return err
		}
	}
}
