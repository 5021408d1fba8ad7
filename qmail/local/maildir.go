package local

import (
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/reqmail/reqmail/compat/errno"
	"github.com/reqmail/reqmail/compat/fdio"
)

// Limits of a Maildir delivery.
const (
	maildirPatience = 24 * time.Hour  // in all
	nameTries       = 3               // for a name that nobody uses
	namePause       = 2 * time.Second // between two of them
	hostNameSize    = 64              // bytes of the host's name in a file name
)

// What can go wrong with a Maildir.
var (
	errMaildir        = temporary("Temporary error on maildir delivery. (#4.3.0)")
	errMaildirMissing = temporary("Unable to chdir to maildir. (#4.2.1)")
	errMaildirTimeout = temporary("Timeout on maildir delivery. (#4.3.0)")
	errMaildirRead    = temporary("Unable to read message. (#4.3.0)")
)

// maildir delivers the message into a Maildir (maildir(5)).
//
// The message and its name in new are durable when it returns nil. A crash
// before the link leaves at most a file in tmp, which mail readers remove
// after 36 hours; a crash after it a delivery that is done again.
func (d *Delivery) maildir(dir string) error {
	if err := d.rewind(); err != nil {
		return err
	}
	if err := enterable(dir); err != nil {
		if errno.Temporary(err) {
			return errMaildir
		}
		return errMaildirMissing
	}
	if !strings.HasSuffix(dir, "/") {
		dir += "/" // cut off with a NUL
	}
	name, f, err := d.createTmp(dir)
	if err != nil {
		return errMaildir
	}
	tmp := dir + "tmp/" + name
	done := make(chan error, 1)
	go func() { done <- d.fillMaildir(f, tmp, dir+"new/"+name) }()
	select {
	case err = <-done:
	case <-time.After(maildirPatience):
		err = errMaildirTimeout
	}
	_ = syscall.Unlink(tmp)
	if err != nil {
		return err
	}
	if syncDir(dir+"new") != nil {
		return errMaildir
	}
	return nil
}

// enterable tells why one could not change into a directory.
func enterable(dir string) error {
	const search = 1 // X_OK of access(2)
	f, err := fdio.Open(dir, oPath|syscall.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	f.Close()
	return syscall.Access(dir, search)
}

// oPath is O_PATH of open(2), which package syscall lacks.
const oPath = 0x200000

// createTmp creates a file with a unique name TIME.PID.HOST in tmp.
func (d *Delivery) createTmp(dir string) (string, fdio.FD, error) {
	for try := 1; ; try++ {
		name := strconv.FormatInt(time.Now().Unix(), 10) + "." + strconv.Itoa(os.Getpid()) + "." + hostName()
		err := error(syscall.EEXIST)
		if !d.maildirs[dir+name] {
			var f fdio.FD
			f, err = fdio.Open(dir+"tmp/"+name, syscall.O_WRONLY|syscall.O_CREAT|syscall.O_EXCL, 0o644)
			if err == nil {
				if d.maildirs == nil {
					d.maildirs = map[string]bool{}
				}
				d.maildirs[dir+name] = true
				return name, f, nil
			}
		}
		if err != syscall.EEXIST || try == nameTries {
			return "", -1, err
		}
		time.Sleep(namePause)
	}
}

// hostName returns the host's name as gethostname(2) has it.
func hostName() string {
	var u syscall.Utsname
	if syscall.Uname(&u) != nil {
		return ""
	}
	var name []byte
	for _, c := range u.Nodename {
		if c == 0 || len(name) == hostNameSize {
			break
		}
		name = append(name, byte(c))
	}
	return string(name)
}

// fillMaildir writes the message and moves it from tmp to new.
func (d *Delivery) fillMaildir(f fdio.FD, tmp, final string) error {
	defer f.Close()
	if _, err := f.WriteString(d.headers.returnPath + d.headers.deliveredTo); err != nil {
		return errMaildir
	}
	buf := make([]byte, 32<<10)
	for {
		n, err := d.Message.Read(buf)
		if _, writeErr := f.Write(buf[:n]); writeErr != nil {
			return errMaildir
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return errMaildirRead
		}
	}
	if f.Sync() != nil || syscall.Link(tmp, final) != nil {
		return errMaildir
	}
	return nil
}
