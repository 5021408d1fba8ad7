// Package dialogue is the line-by-line conversation that SMTP and POP3
// servers have in common: commands come in lines, replies go out in lines, and
// replies wait until the client is waited for. It must not know any command.
package dialogue

import (
	"bufio"
	"io"
	"strings"
)

// maxLine is how many bytes are kept of a command. A process may serve a
// thousand clients.
const maxLine = 1 << 17

// Dialogue is a conversation over a connection.
type Dialogue struct {
	In  *bufio.Reader
	out *bufio.Writer
}

// New begins a conversation. Reads and writes of conn should time out by
// themselves.
func New(conn io.ReadWriter) *Dialogue {
	out := bufio.NewWriterSize(conn, 1024)
	return &Dialogue{In: bufio.NewReaderSize(flushing{conn, out}, 8192), out: out}
}

// flushing sends the replies that are waiting before it waits for more from
// the client: that is all there is to pipelining (RFC 2920).
type flushing struct {
	conn io.Reader
	out  *bufio.Writer
}

func (f flushing) Read(p []byte) (int, error) {
	if err := f.out.Flush(); err != nil {
		return 0, err
	}
	return f.conn.Read(p)
}

// wideBuffer is how many bytes are read at a time where a client sends many.
const wideBuffer = 64 << 10

// Widen reads more at a time from here on.
func (d *Dialogue) Widen() *bufio.Reader {
	d.In = bufio.NewReaderSize(d.In, wideBuffer)
	return d.In
}

// Line reads a line. It ends at LF; one CR before it does not count, nor does
// what stands behind a NUL or beyond maxLine.
func (d *Dialogue) Line() (string, error) {
	var line []byte
	for {
		piece, err := d.In.ReadSlice('\n')
		if len(line) < maxLine {
			line = append(line, piece...)
		}
		if err == bufio.ErrBufferFull {
			continue
		}
		if err != nil {
			return "", err
		}
		break
	}
	text := strings.TrimSuffix(strings.TrimSuffix(string(line), "\n"), "\r")
	text, _, _ = strings.Cut(text, "\x00")
	return text, nil
}

// Command reads a line and splits it at the first space: the command, and its
// argument without leading spaces.
func (d *Dialogue) Command() (name, arg string, err error) {
	text, err := d.Line()
	if err != nil {
		return "", "", err
	}
	name, arg, _ = strings.Cut(text, " ")
	return name, strings.TrimLeft(arg, " "), nil
}

// Reply queues a line for the client.
func (d *Dialogue) Reply(text string) { _, _ = d.out.WriteString(text + "\r\n") }

// Write queues bytes for the client; an error is that of the connection.
func (d *Dialogue) Write(p []byte) (int, error) { return d.out.Write(p) }

// Flush sends what is queued.
func (d *Dialogue) Flush() error { return d.out.Flush() }
