package steer

import (
	"bufio"
	"errors"
	"io"
	"os"
	"syscall"
	"time"

	"github.com/reqmail/reqmail/compat/jsonl"
)

// patience is how long a read or write waits for the other side. A client
// waits longer for an answer, which may take a look at every message.
const (
	patience       = 15 * time.Second
	answerPatience = 2 * time.Minute
)

// errTooLong says that a line of the conversation exceeds its limit.
var errTooLong = errors.New("line is too long")

// lines is a conversation of bounded lines of JSON.
type lines struct {
	file *os.File
	in   *bufio.Reader
	out  *bufio.Writer
	line []byte // the last one written
}

func newLines(file *os.File) *lines {
	l := &lines{file: file}
	l.in = bufio.NewReaderSize(timed{file, patience}, 32<<10)
	l.out = bufio.NewWriterSize(timed{file, patience}, 32<<10)
	return l
}

// timed sets a deadline at every read and write.
type timed struct {
	file *os.File
	wait time.Duration
}

func (t timed) Read(p []byte) (int, error) {
	if err := t.file.SetReadDeadline(time.Now().Add(t.wait)); err != nil {
		return 0, err
	}
	return t.file.Read(p)
}

func (t timed) Write(p []byte) (int, error) {
	if err := t.file.SetWriteDeadline(time.Now().Add(t.wait)); err != nil {
		return 0, err
	}
	return t.file.Write(p)
}

// read reads a line of at most limit bytes into v; io.EOF if there is none.
func (l *lines) read(limit int, v jsonl.Object) error {
	var line []byte
	for {
		part, err := l.in.ReadSlice('\n')
		line = append(line, part...)
		if len(line) > limit {
			return errTooLong
		}
		if err == nil {
			return jsonl.Decode(line, v)
		}
		if err != bufio.ErrBufferFull {
			if err == io.EOF && len(line) > 0 {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
	}
}

// write buffers a line; flush sends what is buffered.
func (l *lines) write(v jsonl.Object) error {
	l.line = append(jsonl.Append(l.line[:0], v), '\n')
	_, err := l.out.Write(l.line)
	return err
}

func (l *lines) flush() error { return l.out.Flush() }

// Listener accepts clients.
type Listener struct {
	file *os.File
	raw  syscall.RawConn
}

// Listen makes the socket; the working directory is the queue. One that a
// qmail-send which died has left is replaced: the caller holds the lock that
// only one qmail-send can hold.
func Listen() (*Listener, error) {
	if err := syscall.Unlink(Socket); err != nil && err != syscall.ENOENT {
		return nil, &os.PathError{Op: "unlink", Path: Socket, Err: err}
	}
	fd, err := unixSocket()
	if err != nil {
		return nil, err
	}
	err = syscall.Bind(fd, &syscall.SockaddrUnix{Name: Socket})
	if err == nil {
		err = syscall.Chmod(Socket, 0o600)
	}
	if err == nil {
		err = syscall.Listen(fd, 64)
	}
	if err != nil {
		_ = syscall.Close(fd)
		return nil, &os.PathError{Op: "listen", Path: Socket, Err: err}
	}
	l := &Listener{file: os.NewFile(uintptr(fd), Socket)}
	l.raw, err = l.file.SyscallConn()
	return l, err
}

func unixSocket() (int, error) {
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	return fd, nil
}

// Accept waits for a client.
func (l *Listener) Accept() (*Conn, error) {
	fd, err := -1, error(nil)
	readErr := l.raw.Read(func(listening uintptr) bool {
		for {
			fd, _, err = syscall.Accept4(int(listening), syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC)
			if err != syscall.EINTR && err != syscall.ECONNABORTED {
				return err != syscall.EAGAIN
			}
		}
	})
	if readErr != nil {
		return nil, readErr // closed
	}
	if err != nil {
		return nil, os.NewSyscallError("accept", err)
	}
	return &Conn{newLines(os.NewFile(uintptr(fd), Socket))}, nil
}

// Close stops listening and removes the socket; Accept returns with an error.
func (l *Listener) Close() error {
	_ = syscall.Unlink(Socket)
	return l.file.Close()
}

// Conn is the serving side of a conversation.
type Conn struct{ lines *lines }

// Receive waits for the next request; an error ends the conversation.
func (c *Conn) Receive() (*Request, error) {
	var r Request
	if err := c.lines.read(MaxRequest, &r); err != nil {
		return nil, err
	}
	return &r, nil
}

// Send sends a line of an answer; they go out when there are enough, and with
// the last one.
func (c *Conn) Send(a Answer) error {
	if err := c.lines.write(&a); err != nil {
		return err
	}
	if a.Done {
		return c.lines.flush()
	}
	return nil
}

// Close ends the conversation.
func (c *Conn) Close() error { return c.lines.file.Close() }
