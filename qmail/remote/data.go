package remote

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"sync"
)

// Errors of encode other than the writer's.
var (
	errPartialLine = errors.New("last line has no newline")
	errMessage     = errors.New("message cannot be read")
)

// encode writes a message in the form of SMTP's data phase, without the final
// dot (RFC 5321 4.5.2): lines end with CR LF, and one that begins with a dot
// gets another.
//
// LF, CR LF and a bare CR all end a line, but a CR right behind a bare CR
// stays what it is, as in qmail. After each of them, also after that CR, a dot
// is doubled: no bytes of a message can end the data phase early and smuggle
// commands to the host, whatever it takes for a line end. A last line that has
// no end at all is errPartialLine.
func encode(out *bufio.Writer, message io.Reader) error {
	e := encoder{out: out, atStart: true, stuff: true}
	return e.copy(message)
}

// Received writes a message as a host gets to see it once it has taken away
// what a dot at the start of a line is doubled by; signatures are computed over
// that. A last line without an end is an error, as in a session.
func Received(out io.Writer, message io.Reader) error {
	buffered := bufio.NewWriter(out)
	e := encoder{out: buffered, atStart: true, stuff: true, received: true}
	if err := e.copy(message); err != nil {
		return err
	}
	return buffered.Flush()
}

func (e *encoder) copy(message io.Reader) error {
	block := blocks.Get().(*[blockSize]byte)
	defer blocks.Put(block)
	for {
		n, err := message.Read(block[:])
		if err := e.write(block[:n]); err != nil {
			return err
		}
		if err == io.EOF {
			return e.end()
		}
		if err != nil {
			return errMessage
		}
	}
}

// blockSize is how much of a message is read and written at a time.
const blockSize = 32 << 10

// blocks keeps what is needed only while a message is under way.
var blocks = sync.Pool{New: func() any { return new([blockSize]byte) }}

// write writes what stands between the ends of lines in one piece.
func (e *encoder) write(p []byte) error {
	lf, cr := -1, -1 // the next ones
	for at := 0; at < len(p); {
		lf, cr = next(p, at, lf, '\n'), next(p, at, cr, '\r')
		end := min(lf, cr)
		if end == at || e.sawCR {
			end = at + 1
			if err := e.put(p[at]); err != nil {
				return err
			}
		} else if err := e.plain(p[at:end]); err != nil {
			return err
		}
		at = end
	}
	return nil
}

// next returns where the next c is, from at on, or the end; found is what it
// returned before.
func next(p []byte, at, found int, c byte) int {
	if found >= at {
		return found
	}
	if i := bytes.IndexByte(p[at:], c); i >= 0 {
		return at + i
	}
	return len(p)
}

// encoder is the state between two bytes.
type encoder struct {
	out     *bufio.Writer
	atStart bool // of a line: nothing of it has been written
	stuff   bool // a dot that comes now must be doubled
	sawCR   bool // the last byte was a CR, whose line end is not yet written

	received bool // dots that a host takes away again are left out
}

func (e *encoder) put(c byte) error {
	afterCR := e.sawCR
	if afterCR {
		e.sawCR = false
		if err := e.newline(); err != nil || c == '\n' {
			return err
		}
	}
	switch {
	case c == '\n':
		return e.newline()
	case c == '\r' && !afterCR:
		e.sawCR = true
		return nil
	}
	return e.plain([]byte{c})
}

// plain writes bytes that end no line: no line feeds, and a CR only by itself.
func (e *encoder) plain(p []byte) error {
	if p[0] == '.' && e.stuff && !(e.received && e.atStart) {
		if err := e.out.WriteByte('.'); err != nil {
			return err
		}
	}
	e.atStart, e.stuff = false, p[0] == '\r'
	_, err := e.out.Write(p)
	return err
}

func (e *encoder) newline() error {
	e.atStart, e.stuff = true, true
	if e.out.Available() < len("\r\n") {
		// No line end is torn apart between two writes, as in qmail.
		if err := e.out.Flush(); err != nil {
			return err
		}
	}
	_, err := e.out.WriteString("\r\n")
	return err
}

func (e *encoder) end() error {
	if e.sawCR {
		return e.newline()
	}
	if !e.atStart {
		return errPartialLine
	}
	return nil
}
