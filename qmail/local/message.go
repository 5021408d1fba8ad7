package local

import (
	"bufio"
	"io"
)

// bufferSize is the size in bytes of the buffers that messages pass through, and
// headSize how much of a message is kept once it was read: all of most.
const (
	bufferSize = 32 << 10
	headSize   = 16 << 10
)

// Process is what the deliveries of one process, one after the other, share. Its
// zero value is that of a new process.
type Process struct {
	pid   int
	given int // numbers of files in Maildirs
	head  []byte
	out   *bufio.Writer
	slow  bool // the disk that messages are delivered to
}

// writer returns a buffer before a file.
func (p *Process) writer(f io.Writer) *bufio.Writer {
	if p.out == nil {
		p.out = bufio.NewWriterSize(nil, bufferSize)
	}
	p.out.Reset(f)
	return p.out
}

// text reads the message from its beginning, wherever the file's position is,
// which programs share.
type text struct {
	d     *Delivery
	at    int64
	ended bool
	err   error // other than the end
}

// open returns the message's text. The error is that of who cannot go back to a
// message's beginning.
func (d *Delivery) open() (*text, error) {
	t := &text{d: d}
	if d.head != nil {
		return t, nil
	}
	if d.Process.head == nil {
		d.Process.head = make([]byte, headSize)
	}
	n, err := d.Message.ReadAt(d.Process.head, 0)
	if err != nil && err != io.EOF {
		t.err = err
		return t, d.rewind()
	}
	d.head, d.headIsAll = d.Process.head[:n], err == io.EOF
	return t, nil
}

// Read implements io.Reader.
func (t *text) Read(p []byte) (n int, err error) {
	switch head := t.d.head; {
	case t.err != nil:
		return 0, t.err
	case t.at < int64(len(head)):
		n = copy(p, head[t.at:])
	case t.ended || t.d.headIsAll:
		return 0, io.EOF
	default:
		n, err = t.d.Message.ReadAt(p, t.at)
		if t.ended = err == io.EOF; t.ended && n > 0 {
			err = nil
		}
	}
	t.at += int64(n)
	if err != nil && err != io.EOF {
		t.err = err
	}
	return n, err
}

// rewind goes back to the beginning of the message, which programs share.
func (d *Delivery) rewind() error {
	if _, err := d.Message.Seek(0, io.SeekStart); err != nil {
		return temporary("Unable to rewind message. (#4.3.0)")
	}
	return nil
}

var _ io.Reader = (*text)(nil)
