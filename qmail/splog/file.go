package splog

import (
	"bytes"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/reqmail/reqmail/compat/ascii"
	"github.com/reqmail/reqmail/compat/datetime"
	"github.com/reqmail/reqmail/compat/errno"
	"github.com/reqmail/reqmail/compat/fdio"
	"golang.org/x/sys/unix"
)

const (
	// maxHeld is how many bytes of lines are kept while the file cannot be
	// written.
	maxHeld = 256 << 10
	// retryAfter is the pause between two attempts to get over trouble.
	retryAfter = time.Second
)

// File appends entries to a file in maillog's form,
// "Nov 22 17:01:28 HOST TAG: TEXT", each with one write(2).
//
// While the file cannot be opened or written (no such directory, disk full),
// lines are kept in memory and tried again every second, the file being opened
// anew each time. Beyond 256 KiB further lines are dropped; when the kept ones
// have been written, a warning in the file tells how many are missing.
type File struct {
	path     string
	prefix   string // " HOST TAG: "
	zone     *time.Location
	complain func(text string) // told once when trouble begins

	fd      fdio.FD // -1: not open
	held    []byte  // lines not written yet, each with its newline
	partial int     // how much of the first of them is in the file already
	lost    int     // lines dropped since held was full
	failing bool    // held waits for the next Reopen
	stale   bool    // the file is to be opened anew, which has failed so far
	told    bool
}

var _ Log = (*File)(nil)

// NewFile opens the file c.File. Trouble is no error here either: lines are
// kept until it is over.
func NewFile(c Config, complain func(text string)) *File {
	f := &File{path: c.File, prefix: " " + hostname() + " " + ascii.Printable(c.Tag) + ": ",
		zone: datetime.Local(), complain: complain, fd: -1}
	f.Reopen()
	return f
}

// hostname returns the host's name up to the first dot, as syslog daemons
// write it.
func hostname() string {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return "localhost"
	}
	name, _, _ := strings.Cut(unix.ByteSliceToString(u.Nodename[:]), ".")
	if name == "" {
		return "localhost"
	}
	return ascii.Printable(name)
}

// Put appends an entry to the file, or keeps it.
func (f *File) Put(e Entry) {
	stamp := datetime.Syslog(e.At.In(f.zone))
	length := len(stamp) + len(f.prefix) + len(e.Text) + 1
	if f.lost > 0 || len(f.held)+length > maxHeld {
		f.lost++
		return
	}
	f.held = append(append(f.held, stamp...), f.prefix...)
	f.held = append(append(f.held, e.Text...), '\n')
	if !f.failing {
		f.flush()
	}
}

// Reopen opens the file anew: the one that was open may have been renamed
// (logrotate). It is closed only once the new one is open, so that every line
// is in one of them, and none in both.
func (f *File) Reopen() {
	const flags = syscall.O_WRONLY | syscall.O_APPEND | syscall.O_CREAT | syscall.O_NONBLOCK | syscall.O_NOCTTY
	next, err := fdio.Open(f.path, flags, 0o640)
	if err != nil {
		f.stale = true
		f.failing = f.failing || f.fd < 0
		f.trouble("open", err)
		return
	}
	f.stale = false
	if f.fd >= 0 {
		if !sameFile(f.fd, next) {
			f.partial = 0
		}
		f.fd.Close()
	}
	f.fd = next
	f.flush()
}

func sameFile(a, b fdio.FD) bool {
	x, err1 := a.Stat()
	y, err2 := b.Stat()
	return err1 == nil && err2 == nil && x.Dev == y.Dev && x.Ino == y.Ino
}

// Troubled reports whether the file must be opened anew to get over trouble.
func (f *File) Troubled() bool { return f.failing || f.stale }

// flush writes the lines that are kept, and then what there is to say about
// lines that are not.
func (f *File) flush() {
	for {
		if f.failing = !f.writeHeld(); f.failing {
			return
		}
		f.held = f.held[:0]
		if f.lost == 0 {
			f.told = f.stale
			return
		}
		e := gap(time.Now(), f.lost, "the log could not be written")
		f.lost = 0
		f.held = append(append(f.held, datetime.Syslog(e.At.In(f.zone))...), f.prefix...)
		f.held = append(append(f.held, e.Text...), '\n')
	}
}

// writeHeld writes the lines that are kept and reports whether all are
// written. The file is this program's own, so that a line of which a full disk
// took a part can be completed later.
func (f *File) writeHeld() bool {
	rest := f.held
	for len(rest) > 0 {
		line := rest[:bytes.IndexByte(rest, '\n')+1]
		n, err := syscall.Write(int(f.fd), line[f.partial:])
		if err == syscall.EINTR {
			continue
		}
		if err != nil || n == 0 {
			f.held = append(f.held[:0], rest...)
			f.trouble("write", err)
			return false
		}
		if f.partial += n; f.partial == len(line) {
			rest, f.partial = rest[len(line):], 0
		}
	}
	return true
}

func (f *File) trouble(doing string, err error) {
	if !f.told {
		f.told = true
		f.complain("warning: unable to " + doing + " " + f.path + ": " + errno.Text(err) + "; will try again")
	}
}

// Close makes a last attempt to write what is kept.
func (f *File) Close() {
	if f.failing {
		f.Reopen()
	}
	if missing := bytes.Count(f.held, []byte{'\n'}) + f.lost; f.failing && missing > 0 {
		f.complain("warning: " + strconv.Itoa(missing) + " lines lost, the log could not be written")
	}
	if f.fd >= 0 {
		f.fd.Close()
	}
}

// Follow appends what in delivers to the file, until its end or an error, and
// opens the file anew at each signal from hup.
func Follow(in io.Reader, f *File, hup <-chan os.Signal) {
	folder := NewFolder(f, time.Now)
	chunks := make(chan []byte)
	go read(in, chunks)
	var retry <-chan time.Time // nil: nothing to retry
	for {
		if retry == nil && f.Troubled() {
			retry = time.After(retryAfter)
		}
		select {
		case chunk, ok := <-chunks:
			if !ok {
				f.Close()
				return
			}
			_, _ = folder.Write(chunk)
		case <-hup:
			f.Reopen()
		case <-retry:
			retry = nil
			if f.Troubled() {
				f.Reopen()
			}
		}
	}
}

// read delivers what in delivers. A chunk is valid until the next but one:
// there are two buffers, and the one that is filled is not the one in use.
func read(in io.Reader, chunks chan<- []byte) {
	defer close(chunks)
	var bufs [2][8192]byte
	for turn := 0; ; turn = 1 - turn {
		n, err := in.Read(bufs[turn][:])
		if n > 0 {
			chunks <- bufs[turn][:n]
		}
		if err != nil {
			return
		}
	}
}
