package fdio

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The quick calls are for files by the hundred thousand, small and most likely
// in memory. They do not tell the Go scheduler that the thread may be away for
// long, which would cost a tenth of them; a thread that does wait for the disk
// keeps the processor of the Go runtime meanwhile. So who calls them from several
// goroutines needs more of those (runtime.GOMAXPROCS).

// Name is the name of a file, ended by NUL.
type Name []byte

// OpenQuick opens a file in the directory f, close-on-exec.
func (f FD) OpenQuick(name Name, flags int) (FD, error) {
	for {
		fd, _, e := syscall.RawSyscall6(syscall.SYS_OPENAT, uintptr(f), uintptr(unsafe.Pointer(unsafe.SliceData(name))),
			uintptr(flags|syscall.O_CLOEXEC), 0, 0, 0)
		if e == 0 {
			return FD(fd), nil
		}
		if e != syscall.EINTR {
			return -1, e
		}
	}
}

// StatQuick describes a file in the directory f.
func (f FD) StatQuick(name Name, st *syscall.Stat_t) error {
	_, _, e := syscall.RawSyscall6(unix.SYS_NEWFSTATAT, uintptr(f), uintptr(unsafe.Pointer(unsafe.SliceData(name))),
		uintptr(unsafe.Pointer(st)), 0, 0, 0)
	return errorOf(e)
}

// StatNamed is StatQuick for programs that do other things meanwhile.
func (f FD) StatNamed(name Name, st *syscall.Stat_t) error {
	_, _, e := syscall.Syscall6(unix.SYS_NEWFSTATAT, uintptr(f), uintptr(unsafe.Pointer(unsafe.SliceData(name))),
		uintptr(unsafe.Pointer(st)), 0, 0, 0)
	return errorOf(e)
}

// DescribeQuick describes the open file.
func (f FD) DescribeQuick(st *syscall.Stat_t) error {
	_, _, e := syscall.RawSyscall(syscall.SYS_FSTAT, uintptr(f), uintptr(unsafe.Pointer(st)), 0)
	return errorOf(e)
}

// ReadQuick reads once, up to len(p) bytes; 0 at the end.
func (f FD) ReadQuick(p []byte) (int, error) {
	for {
		n, _, e := syscall.RawSyscall(syscall.SYS_READ, uintptr(f), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
		if e == 0 {
			return int(n), nil
		}
		if e != syscall.EINTR {
			return 0, e
		}
	}
}

func errorOf(e syscall.Errno) error {
	if e != 0 {
		return e
	}
	return nil
}
