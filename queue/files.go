package queue

import (
	"strings"
	"sync"
	"syscall"

	"github.com/reqmail/reqmail/compat/fdio"
)

// createExclusive creates a file that must not exist, for writing; the umask
// of the program decides about the mode (0644 at most).
func createExclusive(path string) (fdio.FD, error) {
	return fdio.Open(path, syscall.O_WRONLY|syscall.O_CREAT|syscall.O_EXCL, 0o644)
}

// openRead opens a file for reading without waiting for a FIFO's writer.
func openRead(path string) (fdio.FD, error) {
	return fdio.Open(path, syscall.O_RDONLY|syscall.O_NONBLOCK, 0)
}

// syncDirOf makes the entries of the directory that holds path durable.
func syncDirOf(path string) error {
	dir, err := openDirOf(path)
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}

func openDirOf(path string) (fdio.FD, error) {
	return openDir(dirOf(path))
}

func openDir(path string) (fdio.FD, error) {
	return fdio.Open(path, syscall.O_RDONLY|syscall.O_DIRECTORY, 0)
}

func dirOf(path string) string { return path[:strings.LastIndexByte(path, '/')] }

// onDevice reports whether all files are on a device.
func onDevice(device uint64, files ...fdio.FD) bool {
	for _, f := range files {
		if st, err := f.Stat(); err != nil || st.Dev != device {
			return false
		}
	}
	return true
}

// syncAll makes syncs: all at once, so that a disk that takes long for each
// takes that long once, or one after the other up to the first that fails. The
// error is that of the first in the list that failed.
func syncAll(atOnce bool, syncs ...func() error) error {
	errs := make([]error, len(syncs))
	var others sync.WaitGroup
	for i := len(syncs) - 1; atOnce && i > 0; i-- {
		others.Go(func() { errs[i] = syncs[i]() })
	}
	for i, sync := range syncs {
		if i == 0 || !atOnce {
			errs[i] = sync()
		}
		if !atOnce && errs[i] != nil {
			break
		}
	}
	others.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// unlinkIfThere removes a file; that it does not exist is no error.
func unlinkIfThere(path string) error {
	if err := syscall.Unlink(path); err != nil && err != syscall.ENOENT {
		return err
	}
	return nil
}

// removeStale removes a file that is most likely not there. To look first is
// cheaper than to have the kernel get ready for a change of the directory.
func removeStale(path string) error {
	if there, err := exists(path); !there && err == nil {
		return nil
	}
	return unlinkIfThere(path)
}

// exists tells whether a file exists; the error means that this cannot be
// said.
func exists(path string) (bool, error) {
	var st syscall.Stat_t
	switch err := syscall.Stat(path, &st); err {
	case nil:
		return true, nil
	case syscall.ENOENT:
		return false, nil
	default:
		return false, err
	}
}

// Pull wakes qmail-send: there is something in todo. Nobody listening is no
// error, for qmail-send looks by itself every 25 minutes; it never waits.
func Pull() {
	f, err := fdio.Open(Trigger, syscall.O_WRONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return
	}
	defer f.Close()
	_, _ = syscall.Write(int(f), []byte{0})
}

// OpenTrigger opens the trigger for qmail-send, which polls it for reading
// and reopens it once it has been pulled.
func OpenTrigger() (fdio.FD, error) { return openRead(Trigger) }

// LockSend takes the lock that only one qmail-send can hold, until the
// process ends. taken is false if another one has it.
func LockSend() (taken bool, err error) {
	f, err := fdio.Open(SendMutex, syscall.O_WRONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return false, err
	}
	return syscall.Flock(int(f), syscall.LOCK_EX|syscall.LOCK_NB) == nil, nil
}
