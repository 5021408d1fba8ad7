package socket

import (
	"os"
	"syscall"

	"github.com/reqmail/reqmail/compat/fdio"
)

// HandOver returns a second descriptor for a connection, which the program
// that takes this one's place inherits.
func HandOver(conn *os.File) (fdio.FD, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return -1, err
	}
	fd := -1
	if controlErr := raw.Control(func(of uintptr) { fd, err = syscall.Dup(int(of)) }); controlErr != nil {
		return -1, controlErr
	}
	return fdio.FD(fd), err
}

// TakeOver makes a connection of an inherited descriptor. One that is no
// connected socket is refused.
func TakeOver(fd fdio.FD) (*os.File, error) {
	if _, err := syscall.Getpeername(int(fd)); err != nil {
		return nil, err
	}
	syscall.CloseOnExec(int(fd))
	return fdio.Pollable(fd, "connection"), nil
}
