// Package fdio reads and writes raw file descriptors.
//
// os.File registers descriptors with the runtime poller, may switch them to
// non-blocking mode for everybody who shares them, and ends the process when
// descriptor 1 or 2 is a broken pipe. Programs whose descriptors are shared
// with C programs, and the lean ones on the per-message path, use this
// instead. It must not know what the bytes mean.
package fdio

import (
	"io"
	"os"
	"syscall"
)

// FD is an open file descriptor in blocking mode. It implements io.Reader,
// io.Writer and io.Closer; errors are plain syscall.Errno.
type FD int

var (
	_ io.ReadWriteCloser = FD(0)
	_ io.Seeker          = FD(0)
	_ io.ReaderAt        = FD(0)
)

// ReadFile returns the whole content of a file.
func ReadFile(path string) ([]byte, error) {
	f, err := Open(path, syscall.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(Prompt(f)) // non-blocking
}

// Read reads up to len(p) bytes, again where a signal interrupts; io.EOF at
// the end.
func (f FD) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for {
		n, err := syscall.Read(int(f), p)
		switch {
		case err == syscall.EINTR:
			continue
		case err != nil:
			return 0, err
		case n == 0:
			return 0, io.EOF
		}
		return n, nil
	}
}

// Write writes all of p. A broken pipe is the error EPIPE, not a signal.
func (f FD) Write(p []byte) (int, error) {
	done := 0
	for done < len(p) {
		n, err := syscall.Write(int(f), p[done:])
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			return done, err
		}
		done += n
	}
	return done, nil
}

// WriteString writes all of s.
func (f FD) WriteString(s string) (int, error) { return f.Write([]byte(s)) }

// Seek moves the file position.
func (f FD) Seek(offset int64, whence int) (int64, error) {
	return syscall.Seek(int(f), offset, whence)
}

// Pipe makes a pipe, both ends close-on-exec and blocking.
func Pipe() (r, w FD, err error) {
	var p [2]int
	if err := syscall.Pipe2(p[:], syscall.O_CLOEXEC); err != nil {
		return -1, -1, err
	}
	return FD(p[0]), FD(p[1]), nil
}

// Pollable turns a descriptor that nobody else shares into a file whose reads
// and writes wait in the runtime's poller instead of holding a thread.
func Pollable(f FD, name string) *os.File {
	_ = syscall.SetNonblock(int(f), true)
	return os.NewFile(uintptr(f), name)
}

// DupAbove copies f to a close-on-exec descriptor not below least.
func DupAbove(f FD, least int) (FD, error) {
	n, _, errno := syscall.Syscall(syscall.SYS_FCNTL, uintptr(f), syscall.F_DUPFD_CLOEXEC, uintptr(least))
	if errno != 0 {
		return f, errno
	}
	return FD(n), nil
}
