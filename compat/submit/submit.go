// Package submit hands messages to the queue program: qmail-queue, or what
// QMAILQUEUE names. It owns the client's side of qmail-queue(8): descriptors,
// envelope format, and the meaning of the exit status. It must not know where
// messages come from.
package submit

import (
	"bufio"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/reqmail/reqmail/compat/child"
	"github.com/reqmail/reqmail/compat/fdio"
	"github.com/reqmail/reqmail/compat/home"
	"github.com/reqmail/reqmail/compat/status"
)

// maxCustom is how much a queue program may say for itself, in bytes.
const maxCustom = 255

// Message is a message on its way into the queue: first its text (Write),
// then its sender, then its recipients, then Close.
type Message struct {
	pid      int // 0 where the program could not be executed
	broken   int // exit code where it was not
	text     fdio.FD
	envelope fdio.FD
	custom   fdio.FD
	out      *bufio.Writer
	failed   bool
}

var _ io.Writer = (*Message)(nil)

// Open starts the queue program. The error means that pipes or a process
// could not be had; a program that cannot be executed shows in Close, as it
// does with a child that exits.
func Open() (*Message, error) { return OpenWith(nil) }

// OpenWith is Open with the environment of the queue program, in which
// QMAILQUEUE counts too; nil means the process's own.
func OpenWith(env []string) (*Message, error) {
	var pipes [3][2]fdio.FD
	for i := range pipes {
		r, w, err := fdio.Pipe()
		if err != nil {
			for _, p := range pipes[:i] {
				p[0].Close()
				p[1].Close()
			}
			return nil, err
		}
		pipes[i] = [2]fdio.FD{r, w}
	}
	text, envelope, custom := pipes[0], pipes[1], pipes[2]
	program := programIn(env)
	// Descriptor 6 is notqmail's pipe for a custom text, 4 the one that
	// filters of the patch world write to.
	cmd := child.Command{
		Path:  program,
		Args:  []string{program},
		Env:   env,
		Dir:   home.Dir(),
		Files: []fdio.FD{text[0], envelope[0], 2, inherited(3), custom[1], inherited(5), custom[1]},
	}
	m := &Message{text: text[1], envelope: envelope[1], custom: custom[0]}
	var err error
	m.pid, err = startWithoutPipe(&cmd)
	text[0].Close()
	envelope[0].Close()
	custom[1].Close()
	if err == syscall.EAGAIN || err == syscall.ENOMEM {
		m.text.Close()
		m.envelope.Close()
		m.custom.Close()
		return nil, err
	}
	if err != nil {
		m.broken = status.ExecFailed
		if syscall.Access(home.Dir(), 1) != nil {
			m.broken = status.HomeDirectory
		}
	}
	m.out = bufio.NewWriterSize(m.text, 8192)
	return m, nil
}

// startWithoutPipe starts the queue program with SIGPIPE ignored, as C's clients
// do: a filter in its place sees an error, and does not die, where the
// qmail-queue that it feeds has ended. A caller that does not ignore SIGPIPE
// throughout is never ended by it from here on; its other children get the
// default again.
func startWithoutPipe(cmd *child.Command) (int, error) {
	if signal.Ignored(syscall.SIGPIPE) {
		return cmd.Start()
	}
	signal.Ignore(syscall.SIGPIPE)
	defer signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	return cmd.Start()
}

// programIn is what QMAILQUEUE names, or qmail-queue.
func programIn(env []string) string {
	if env == nil {
		if program, ok := os.LookupEnv("QMAILQUEUE"); ok {
			return program
		}
	}
	for _, e := range env {
		if program, ok := strings.CutPrefix(e, "QMAILQUEUE="); ok {
			return program
		}
	}
	return "bin/qmail-queue"
}

// inherited returns fd if the caller was given it across its own exec, so
// that the child gets it too, as a child of a C program would.
func inherited(fd fdio.FD) fdio.FD {
	flags, _, errno := syscall.Syscall(syscall.SYS_FCNTL, uintptr(fd), syscall.F_GETFD, 0)
	if errno != 0 || flags&syscall.FD_CLOEXEC != 0 {
		return child.Closed
	}
	return fd
}

// QP returns the process id of the queue program: the "qp" number of logs and
// replies.
func (m *Message) QP() int { return m.pid }

// Fail makes the submission end without its envelope: the queue program
// drops the message.
func (m *Message) Fail() { m.failed = true }

// Write adds to the text of the message. It never returns an error: trouble
// shows in Close.
func (m *Message) Write(p []byte) (int, error) {
	if !m.failed {
		if _, err := m.out.Write(p); err != nil {
			m.failed = true
		}
	}
	return len(p), nil
}

// WriteString adds to the text of the message.
func (m *Message) WriteString(s string) { _, _ = m.Write([]byte(s)) }

// From ends the text of the message and names its envelope sender, which
// must not contain a NUL.
func (m *Message) From(sender string) {
	if err := m.out.Flush(); err != nil {
		m.failed = true
	}
	m.text.Close()
	m.out.Reset(m.envelope)
	m.record('F', sender)
}

// To adds an envelope recipient, which must not contain a NUL.
func (m *Message) To(recipient string) { m.record('T', recipient) }

func (m *Message) record(letter byte, addr string) {
	_, _ = m.Write([]byte{letter})
	m.WriteString(addr)
	_, _ = m.Write([]byte{0})
}

// Close ends the envelope, waits for the queue program and returns what
// became of the message: "" when it is queued, else a text that begins with D
// (permanent) or Z (temporary).
func (m *Message) Close() string {
	_, _ = m.Write([]byte{0})
	if !m.failed {
		if err := m.out.Flush(); err != nil {
			m.failed = true
		}
	}
	m.envelope.Close()
	custom := m.readCustom()
	if m.pid == 0 {
		return status.Text(m.broken, "")
	}
	end, err := child.Wait(m.pid)
	switch {
	case err != nil:
		return status.WaitFailed
	case end.Signaled():
		return status.Crashed
	case end.ExitStatus() == status.Queued && m.failed:
		return status.Text(status.ReadError, "")
	}
	return status.Text(end.ExitStatus(), custom)
}

// Abandon gives the submission up without an envelope and waits for the queue
// program, which drops the message.
func (m *Message) Abandon() {
	m.failed = true
	m.text.Close()
	m.envelope.Close()
	m.custom.Close()
	if m.pid != 0 {
		_, _ = child.Wait(m.pid)
	}
}

// readCustom drains the error pipe.
func (m *Message) readCustom() string {
	defer m.custom.Close()
	all, err := io.ReadAll(io.LimitReader(m.custom, maxCustom))
	if err != nil && len(all) == 0 {
		return ""
	}
	text, _, _ := strings.Cut(string(all), "\x00")
	return text
}
