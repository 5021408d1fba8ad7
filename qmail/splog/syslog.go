package splog

import (
	"strconv"
	"syscall"
	"time"

	"github.com/reqmail/reqmail/compat/datetime"
	"golang.org/x/sys/unix"
)

// Socket is where syslog daemons listen.
const Socket = "/dev/log"

// patience is how long a syslog daemon that reads nothing is waited for. A
// daemon that is merely busy must not cost lines, one that hangs must not
// stop the mail system, whose log fills up behind us.
const patience = 5 * time.Second

// Syslog sends entries to a syslog daemon in syslog(3)'s format,
// "<PRIORITY>Nov 22 17:01:28 TAG: TEXT": one datagram each, or, if the daemon
// listens on a stream socket, one record ended by NUL.
//
// A daemon that cannot be reached costs the entry and no time, and is looked
// for again with the next one. One that takes nothing for five seconds costs
// every entry until it takes one again; then a warning tells how many.
type Syslog struct {
	path     string
	tag      string
	facility int
	zone     *time.Location
	patience time.Duration

	socket int // -1: not connected
	stream bool
	hung   bool // patience was in vain
	lost   int  // entries since then
	record []byte
}

var _ Log = (*Syslog)(nil)

// NewSyslog returns a log that sends to the socket at path, which it looks
// for with the first entry.
func NewSyslog(path string, c Config) *Syslog {
	return &Syslog{path: path, tag: c.Tag, facility: c.Facility,
		zone: datetime.Local(), patience: patience, socket: -1}
}

// Put sends an entry.
func (s *Syslog) Put(e Entry) {
	if s.hung {
		if !s.send(gap(e.At, s.lost, "syslog did not take them")) {
			s.lost++
			return
		}
		s.hung, s.lost = false, 0
	}
	if !s.send(e) && s.hung {
		s.lost++
	}
}

// send reports whether the entry was handed over. A lost connection (the
// daemon was restarted) is made anew once.
func (s *Syslog) send(e Entry) bool {
	s.record = append(s.record[:0], '<')
	s.record = strconv.AppendInt(s.record, int64(s.facility|e.Severity), 10)
	s.record = append(s.record, '>')
	s.record = append(s.record, datetime.Syslog(e.At.In(s.zone))...)
	s.record = append(append(s.record, ' '), s.tag...)
	s.record = append(append(s.record, ": "...), e.Text...)
	for range 2 {
		if s.socket < 0 && !s.connect() {
			return false
		}
		err := s.transmit()
		if err == nil {
			return true
		}
		if err == syscall.EAGAIN {
			return false
		}
		s.disconnect()
	}
	return false
}

// connect tries a datagram socket, and a stream socket if the daemon's is one.
func (s *Syslog) connect() bool {
	for _, kind := range []int{syscall.SOCK_DGRAM, syscall.SOCK_STREAM} {
		fd, err := syscall.Socket(syscall.AF_UNIX, kind|syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK, 0)
		if err != nil {
			return false
		}
		err = syscall.Connect(fd, &syscall.SockaddrUnix{Name: s.path})
		if err == nil {
			s.socket, s.stream = fd, kind == syscall.SOCK_STREAM
			return true
		}
		_ = syscall.Close(fd)
		if err != syscall.EPROTOTYPE {
			return false
		}
	}
	return false
}

func (s *Syslog) disconnect() {
	_ = syscall.Close(s.socket)
	s.socket = -1
}

// transmit sends the record. EAGAIN means that the daemon did not take it.
func (s *Syslog) transmit() error {
	rest := s.record
	if s.stream {
		rest = append(rest, 0)
	}
	whole := len(rest)
	deadline := time.Now().Add(s.patience)
	for {
		n, err := syscall.SendmsgN(s.socket, rest, nil, nil, syscall.MSG_NOSIGNAL|syscall.MSG_DONTWAIT)
		switch {
		case err == syscall.EINTR:
		case err == syscall.EAGAIN:
			if !s.wait(deadline) {
				if len(rest) < whole {
					s.disconnect() // the daemon must not join two records
				}
				return err
			}
		case err != nil:
			return err
		case n >= len(rest):
			return nil
		default:
			rest = rest[n:]
		}
	}
}

// wait waits until the daemon may take more, and reports false when patience
// is at its end.
func (s *Syslog) wait(deadline time.Time) bool {
	left := time.Until(deadline)
	if s.hung || left <= 0 {
		s.hung = true
		return false
	}
	fds := []unix.PollFd{{Fd: int32(s.socket), Events: unix.POLLOUT}}
	_, _ = unix.Poll(fds, int(left/time.Millisecond)+1)
	return true
}

// Say sends one line to the syslog daemon, for programs that have nobody to
// read their descriptor 2. Facility and severity are mail's "info".
func Say(tag, line string) {
	config := Parse([]string{"splogger", tag})
	NewSyslog(Socket, config).Put(Entry{At: time.Now(), Severity: severityInfo, Text: []byte(line)})
}
