// Package submit hands messages to the queue program: qmail-queue, or what
// QMAILQUEUE names. It owns the client's side of qmail-queue(8): descriptors,
// envelope format, and the meaning of the exit status; and what passes between
// a client and a qmail-queue of ours that stays for more messages. It must not
// know where messages come from.
package submit

import (
	"io"

	"github.com/reqmail/reqmail/compat/resident"
	"github.com/reqmail/reqmail/compat/status"
)

const (
	maxCustom  = 255       // bytes that a queue program may say for itself
	bufferSize = 8 << 10   // bytes that wait for a pipe
	inBand     = 32 << 10  // bytes of a message that a worker gets without pipes
	widePipe   = 256 << 10 // bytes that a pipe to a worker takes
)

// noQueue is the text where pipes or a process cannot be had any more.
const noQueue = "Zqqt failure (#4.3.0)"

// Message is a message on its way into the queue: first its text (Write),
// then its sender, then its recipients, then Close.
type Message struct {
	pool    *Pool // nil where no queue program may stay
	env     []string
	program string
	shares  bool // it may have a program that is shared

	worker  *resident.Child // the queue program that has stayed, nil if …
	process process         // … one was started for this message

	piped    bool // there are pipes
	text     io.WriteCloser
	envelope io.WriteCloser

	buf    []byte // what waits: text, then envelope
	ended  bool   // the text has; it is the first …
	end    int    // … bytes of what waits
	failed bool
	result string // of a message that cannot be passed on any more
}

var _ io.Writer = (*Message)(nil)

// Open starts the queue program. The error means that pipes or a process
// could not be had; a program that cannot be executed shows in Close, as it
// does with a child that exits.
func Open() (*Message, error) { return (*Pool)(nil).Open(nil) }

// QP returns the process id of the queue program: the "qp" number of logs and
// replies, which is known when Close has returned. One that stays for more
// messages gives each the same.
func (m *Message) QP() int {
	if m.worker != nil {
		return m.worker.PID
	}
	return m.process.pid
}

// Fail makes the submission end without its envelope: the queue program
// drops the message.
func (m *Message) Fail() { m.failed = true }

// Write adds to the text of the message. It never returns an error: trouble
// shows in Close.
func (m *Message) Write(p []byte) (int, error) {
	room := bufferSize
	if !m.piped {
		room = inBand
	}
	if len(m.buf)+len(p) <= room {
		m.buf = append(m.buf, p...)
		return len(p), nil
	}
	m.flush()
	if m.ended || len(p) < bufferSize {
		m.buf = append(m.buf, p...)
	} else {
		m.pass(m.text, p)
	}
	return len(p), nil
}

// WriteString adds to the text of the message.
func (m *Message) WriteString(s string) { _, _ = m.Write([]byte(s)) }

// From ends the text of the message and names its envelope sender, which
// must not contain a NUL.
func (m *Message) From(sender string) {
	m.ended, m.end = true, len(m.buf)
	if m.piped {
		m.flush()
	}
	m.record('F', sender)
}

// To adds an envelope recipient, which must not contain a NUL.
func (m *Message) To(recipient string) { m.record('T', recipient) }

func (m *Message) record(letter byte, addr string) {
	record := append(append(make([]byte, 0, len(addr)+2), letter), addr...)
	_, _ = m.Write(append(record, 0))
}

// flush passes on what waits.
func (m *Message) flush() {
	if !m.piped && !m.failed && m.begin() != nil {
		m.failed, m.result = true, noQueue
	}
	waiting := m.buf
	m.buf = m.buf[:0]
	if !m.ended {
		m.pass(m.text, waiting)
		return
	}
	if m.text != nil {
		m.pass(m.text, waiting[:m.end])
		m.text.Close()
		m.text, waiting = nil, waiting[m.end:]
	}
	m.pass(m.envelope, waiting)
}

// pass writes to a pipe, unless the submission has failed.
func (m *Message) pass(pipe io.Writer, p []byte) {
	if m.failed || len(p) == 0 {
		return
	}
	if _, err := pipe.Write(p); err != nil {
		m.failed = true
	}
}

// Close ends the envelope, waits for the queue program and returns what
// became of the message: "" when it is queued, else a text that begins with D
// (permanent) or Z (temporary).
func (m *Message) Close() string {
	_, _ = m.Write([]byte{0})
	switch {
	case m.piped, !m.failed && !m.sendInBand():
		m.flush()
		m.closePipes()
	case m.failed: // nobody has seen the message
		m.pool.keep(m.program, m.env, m.worker)
		return status.Text(status.ReadError, "")
	}
	return m.answer()
}

// Abandon gives the submission up without an envelope and waits for the queue
// program, which drops the message.
func (m *Message) Abandon() {
	m.failed = true
	m.closePipes()
	switch {
	case m.worker == nil:
		m.process.abandon()
	case m.piped:
		m.answer()
	default:
		m.pool.keep(m.program, m.env, m.worker)
	}
}

func (m *Message) closePipes() {
	if m.text != nil {
		m.text.Close()
	}
	if m.envelope != nil {
		m.envelope.Close()
	}
	m.text, m.envelope = nil, nil
}

// answer is what became of a message that is passed on.
func (m *Message) answer() string {
	if m.result != "" {
		return m.result
	}
	var text string
	var queued bool
	if m.worker != nil {
		text, queued = m.workerAnswer()
	} else {
		var staying *resident.Child
		if text, queued, staying = m.process.answer(); staying != nil {
			m.pool.adopt(m.program, m.env, staying)
		}
	}
	if queued && m.failed {
		return status.Text(status.ReadError, "")
	}
	return text
}
