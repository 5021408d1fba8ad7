package fdio

import (
	"io"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/reqmail/reqmail/compat/limits"
)

// Here stands for the working directory where a directory is asked for.
const Here FD = unix.AT_FDCWD

// Call makes a system call that waits for nothing but the disk, again where a
// signal interrupts. A program that runs on one thread keeps it meanwhile: for
// the runtime to hand it to nobody, and to get it back, costs more than the call,
// and wakes the thread by which it looks for calls that last.
//
//go:uintptrescapes
func Call(number uintptr, args ...uintptr) (uintptr, error) {
	var a [6]uintptr
	copy(a[:], args)
	for {
		result, err := call(number, &a)
		switch err {
		case 0:
			return result, nil
		case syscall.EINTR:
			continue
		}
		return result, err
	}
}

func call(number uintptr, a *[6]uintptr) (result uintptr, err syscall.Errno) {
	if limits.OneThread() {
		result, _, err = syscall.RawSyscall6(number, a[0], a[1], a[2], a[3], a[4], a[5])
	} else {
		result, _, err = syscall.Syscall6(number, a[0], a[1], a[2], a[3], a[4], a[5])
	}
	return result, err
}

// Open opens a file, close-on-exec.
func Open(path string, flags int, mode uint32) (FD, error) { return OpenAt(Here, path, flags, mode) }

// OpenAt opens a file below a directory, close-on-exec.
func OpenAt(dir FD, name string, flags int, mode uint32) (FD, error) {
	path, err := syscall.BytePtrFromString(name)
	if err != nil {
		return -1, err
	}
	fd, err := Call(syscall.SYS_OPENAT, uintptr(dir), uintptr(unsafe.Pointer(path)),
		uintptr(flags|syscall.O_CLOEXEC), uintptr(mode))
	if err != nil {
		return -1, err
	}
	return FD(fd), nil
}

// Stat describes the file that a name leads to.
func Stat(path string) (syscall.Stat_t, error) { return StatAt(Here, path) }

// StatAt describes the file that a name below a directory leads to.
func StatAt(dir FD, name string) (st syscall.Stat_t, err error) {
	path, err := syscall.BytePtrFromString(name)
	if err == nil {
		_, err = Call(unix.SYS_NEWFSTATAT, uintptr(dir), uintptr(unsafe.Pointer(path)), uintptr(unsafe.Pointer(&st)), 0)
	}
	return st, err
}

// LinkAt gives a file below a directory another name there.
func LinkAt(dir FD, from, to string) error {
	old, err := syscall.BytePtrFromString(from)
	if err != nil {
		return err
	}
	name, err := syscall.BytePtrFromString(to)
	if err == nil {
		_, err = Call(syscall.SYS_LINKAT, uintptr(dir), uintptr(unsafe.Pointer(old)), uintptr(dir), uintptr(unsafe.Pointer(name)), 0)
	}
	return err
}

// UnlinkAt removes a name below a directory.
func UnlinkAt(dir FD, name string) error {
	path, err := syscall.BytePtrFromString(name)
	if err == nil {
		_, err = Call(syscall.SYS_UNLINKAT, uintptr(dir), uintptr(unsafe.Pointer(path)), 0)
	}
	return err
}

// Chdir changes the working directory.
func Chdir(path string) error {
	dir, err := syscall.BytePtrFromString(path)
	if err == nil {
		_, err = Call(syscall.SYS_CHDIR, uintptr(unsafe.Pointer(dir)))
	}
	return err
}

// Stat describes the file.
func (f FD) Stat() (st syscall.Stat_t, err error) {
	_, err = Call(syscall.SYS_FSTAT, uintptr(f), uintptr(unsafe.Pointer(&st)))
	return st, err
}

// ReadAt reads all of p at a place in a file, less where that ends, with io.EOF.
func (f FD) ReadAt(p []byte, at int64) (int, error) {
	done := 0
	for done < len(p) {
		n, err := Call(syscall.SYS_PREAD64, uintptr(f), uintptr(unsafe.Pointer(&p[done])), uintptr(len(p)-done), uintptr(at)+uintptr(done))
		if err != nil {
			return done, err
		}
		if n == 0 {
			return done, io.EOF
		}
		done += int(n)
	}
	return done, nil
}

// Prompt is a descriptor whose reads and writes wait for nothing but the disk,
// or for somebody without whom nothing goes on: see Call.
type Prompt FD

var _ io.ReadWriter = Prompt(0)

// Read reads up to len(p) bytes; io.EOF at the end.
func (f Prompt) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	n, err := Call(syscall.SYS_READ, uintptr(f), uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)))
	switch {
	case err != nil:
		return 0, err
	case n == 0:
		return 0, io.EOF
	}
	return int(n), nil
}

// Write writes all of p.
func (f Prompt) Write(p []byte) (int, error) {
	done := 0
	for done < len(p) {
		n, err := Call(syscall.SYS_WRITE, uintptr(f), uintptr(unsafe.Pointer(&p[done])), uintptr(len(p)-done))
		if err != nil {
			return done, err
		}
		done += int(n)
	}
	return done, nil
}

// Sync makes the file's data and length durable (fsync(2)).
func (f FD) Sync() error {
	_, err := Call(syscall.SYS_FSYNC, uintptr(f))
	return err
}

// Close closes the descriptor, also where it says that a signal came.
func (f FD) Close() error {
	if _, err := call(syscall.SYS_CLOSE, &[6]uintptr{uintptr(f)}); err != 0 {
		return err
	}
	return nil
}
