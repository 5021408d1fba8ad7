package smtpd

import (
	"bufio"
	"bytes"
	"errors"
	"strings"

	"github.com/reqmail/reqmail/compat/submit"
)

// errBareLF says that the client sent a line end that is none. To accept it
// would let messages smuggle commands from one server to the next.
var errBareLF = errors.New("bare LF")

const (
	bodyBuffer = 32 << 10 // bytes of a message that are passed on at a time
	manyBytes  = 64 << 10 // bytes that make a message a large one
)

// sink is where a message goes: a submission.
type sink interface {
	Write(p []byte) (int, error)
	Fail()
}

var _ sink = (*submit.Message)(nil)

// body is the data phase of a message (RFC 5321 4.5.2).
type body struct {
	queue  sink
	limit  uint32 // bytes; 0 for none
	size   uint64 // bytes stored so far
	tooBig bool

	// widen, if it is there, makes more room for reading a large message.
	widen func() *bufio.Reader

	hops   int // fields that tell of a hop
	header hopCounter
	buf    []byte
}

// copy reads the data phase to its end, CR LF . CR LF and nothing else, and
// passes the message on with LF for CR LF and without the dots that are not
// its own. A bare CR is a byte like others.
func (b *body) copy(in *bufio.Reader) error {
	const (
		inLine   = iota
		atStart  // behind CR LF
		sawDot   // behind CR LF .
		sawDotCR // behind CR LF . CR
		sawCR
	)
	state := atStart
	for {
		var err error
		switch state {
		case atStart:
			err = b.lines(in)
		case inLine:
			err = b.run(in)
		}
		if err != nil {
			return err
		}
		if b.size > manyBytes && b.widen != nil {
			in, b.widen = b.widen(), nil
		}
		c, err := in.ReadByte()
		if err != nil {
			return err
		}
		b.header.see(c)
		switch state {
		case sawDotCR:
			if c == '\n' {
				b.hops = b.header.hops
				return b.flush()
			}
			b.put('.')
			b.put('\r')
			state = inLine
			if c == '\r' {
				state = sawCR
				continue
			}
		case sawCR:
			if c == '\n' {
				state = atStart
				break
			}
			b.put('\r') // it was a byte of the line
			if c == '\r' {
				continue
			}
			state = inLine
		default:
			switch {
			case c == '\n':
				return errBareLF
			case c == '\r' && state == sawDot:
				state = sawDotCR
				continue
			case c == '\r':
				state = sawCR
				continue
			case c == '.' && state == atStart:
				state = sawDot
				continue
			}
			state = inLine
		}
		b.put(c)
	}
}

// lines copies the lines that are there in full, up to the message's end at
// most.
func (b *body) lines(in *bufio.Reader) error {
	there, err := available(in)
	if err != nil {
		return err
	}
	used := 0
	for {
		line := there[used:]
		end := bytes.IndexByte(line, '\n')
		if end < 0 {
			break
		}
		if end == 0 || line[end-1] != '\r' {
			return errBareLF
		}
		text := line[:end-1]
		if len(text) > 0 && text[0] == '.' {
			if len(text) == 1 {
				break // the message's end
			}
			if text[1] != '\r' {
				text = text[1:]
			}
		}
		b.header.seeRun(line[:end])
		b.header.see('\n')
		b.store(text)
		b.put('\n')
		used += end + 1
	}
	_, err = in.Discard(used)
	return err
}

// available returns what can be had without waiting, but at least a byte. It
// is in's to change with the next read.
func available(in *bufio.Reader) ([]byte, error) {
	if _, err := in.Peek(1); err != nil {
		return nil, err
	}
	return in.Peek(in.Buffered())
}

// run copies bytes of a line that are as they are, up to the next CR at most.
func (b *body) run(in *bufio.Reader) error {
	there, err := available(in)
	if err != nil {
		return err
	}
	if end := bytes.IndexByte(there, '\r'); end >= 0 {
		there = there[:end]
	}
	if bytes.IndexByte(there, '\n') >= 0 {
		return errBareLF
	}
	b.header.seeRun(there)
	b.store(there)
	_, err = in.Discard(len(there))
	return err
}

// store stores bytes.
func (b *body) store(p []byte) {
	b.count(len(p))
	if b.buf = append(b.buf, p...); len(b.buf) >= bodyBuffer {
		_ = b.flush()
	}
}

// put stores a byte.
func (b *body) put(c byte) {
	b.count(1)
	if b.buf = append(b.buf, c); len(b.buf) >= bodyBuffer {
		_ = b.flush()
	}
}

// count counts bytes that are stored. One too many makes the queue program
// drop the message; the rest is read all the same.
func (b *body) count(n int) {
	b.size += uint64(n)
	if b.limit > 0 && b.size > uint64(b.limit) && !b.tooBig {
		b.tooBig = true
		b.queue.Fail()
	}
}

func (b *body) flush() error {
	_, err := b.queue.Write(b.buf)
	b.buf = b.buf[:0]
	return err
}

// hopCounter counts the header lines that begin with Received or Delivered,
// as they come over the wire. It looks no further than the empty line.
type hopCounter struct {
	hops int
	line [9]byte // the first bytes of the line
	n    int     // how many of them there are
	body bool
}

func (h *hopCounter) see(c byte) {
	if h.body {
		return
	}
	if h.n < len(h.line) {
		h.line[h.n] = c
		h.n++
		switch start := h.line[:h.n]; {
		case h.n == 8 && strings.EqualFold(string(start), "received"),
			h.n == 9 && strings.EqualFold(string(start), "delivered"):
			h.hops++
		case h.n == 2 && string(start) == "\r\n":
			h.body = true
		}
	}
	if c == '\n' {
		h.n = 0
	}
}

// seeRun sees bytes that end no line.
func (h *hopCounter) seeRun(run []byte) {
	if h.body {
		return
	}
	for _, c := range run[:min(len(run), len(h.line)-h.n)] {
		h.see(c)
	}
}
