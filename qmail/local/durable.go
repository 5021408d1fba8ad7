package local

import (
	"os"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/reqmail/reqmail/compat/fdio"
)

// slowSync is how long a sync takes on a disk that is called slow here.
const slowSync = 3 * time.Millisecond

// sync makes a file durable. On a slow disk the runtime is told that the thread waits:
// on a quick one that costs more than it gains (fdio.Call).
func (p *Process) sync(f fdio.FD) error {
	began := time.Now()
	sync := fdio.FD.Sync
	if p.slow {
		sync = slowly
	}
	err := sync(f)
	p.slow = time.Since(began) > slowSync
	return err
}

func slowly(f fdio.FD) error {
	for {
		if err := syscall.Fsync(int(f)); err != syscall.EINTR {
			return err
		}
	}
}

// syncFile makes a file, or a directory's entries, durable.
func (p *Process) syncFile(at fdio.FD, name string, flags int) error {
	f, err := fdio.OpenAt(at, name, flags|unix.O_RDONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	return p.sync(f)
}

// syncEntry makes the entry of a file in the directory dir durable. Two
// errors are none: a directory that its owner may search but not read, where
// the sync of the file itself has to do (it carries the entry with it on
// ext4, XFS and btrfs), and a file system that cannot sync directories
// (EINVAL) and so has nothing better to offer.
func (p *Process) syncEntry(at fdio.FD, dir, file string) error {
	return p.settle(p.syncFile(at, dir, unix.O_DIRECTORY), at, file)
}

// settle returns what the outcome of a directory's sync comes to for a file in it,
// by the rules of syncEntry.
func (p *Process) settle(err error, at fdio.FD, file string) error {
	if err == syscall.EACCES {
		err = p.syncFile(at, file, unix.O_NONBLOCK)
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
