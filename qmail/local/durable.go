package local

import (
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/reqmail/reqmail/compat/fdio"
)

// syncFile makes a file, or a directory's entries, durable.
func syncFile(at fdio.FD, name string, flags int) error {
	f, err := fdio.OpenAt(at, name, flags|unix.O_RDONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

// syncEntry makes the entry of a file in the directory dir durable. Two
// errors are none: a directory that its owner may search but not read, where
// the sync of the file itself has to do (it carries the entry with it on
// ext4, XFS and btrfs), and a file system that cannot sync directories
// (EINVAL) and so has nothing better to offer.
func syncEntry(at fdio.FD, dir, file string) error {
	err := syncFile(at, dir, unix.O_DIRECTORY)
	if err == syscall.EACCES {
		err = syncFile(at, file, unix.O_NONBLOCK)
		if err == syscall.EACCES {
			return nil // an mbox for writing only; its own sync follows
		}
	}
	if err == syscall.EINVAL {
		return nil
	}
	return err
}

// directoryOf returns the directory that holds the file name, or, where that
// is a symbolic link, the file that it leads to.
func directoryOf(name string) string {
	const mostLinks = 40 // as the kernel follows
	for range mostLinks {
		target, err := os.Readlink(name)
		if err != nil {
			break
		}
		if target[0] != '/' {
			target = name[:strings.LastIndexByte(name, '/')+1] + target
		}
		name = target
	}
	dir := name[:strings.LastIndexByte(name, '/')+1]
	if dir == "" {
		return "."
	}
	return dir
}
