package remote

import (
	"bufio"
	"strings"
)

// maxReply is how many bytes of a reply are kept. The rest is read, and lost.
const maxReply = 5000

// Reply is what a host answered.
type Reply struct {
	Code uint64 // of its first line; something absurd where there is no number
	Text string // all its lines as they came, but without CR
}

// refusal returns D for a code of 500 or more, Z for one of 400 or more, and 0
// for consent.
func (r Reply) refusal() byte {
	switch {
	case r.Code >= 500:
		return 'D'
	case r.Code >= 400:
		return 'Z'
	}
	return 0
}

// tooMany reports whether a host may mean that there are too many recipients
// in the transaction (RFC 5321 4.5.3.1.10).
func (r Reply) tooMany() bool { return r.Code == 452 || r.Code == 552 }

// readReply reads a reply of one or more lines (RFC 5321 4.2.1). It is as
// forgiving as qmail: the fourth byte alone of each line, whatever the three
// before it are, says whether another line follows.
func readReply(in *bufio.Reader) (Reply, error) {
	p := replyReader{in: in}
	var r Reply
	for range 3 {
		r.Code = r.Code*10 + uint64(int64(p.next())-'0')
	}
	c := p.next()
	for c == '-' && p.err == nil {
		p.endOfLine(c)
		p.next()
		p.next()
		p.next()
		c = p.next()
	}
	p.endOfLine(c)
	r.Text = strings.ReplaceAll(string(p.text), "\x00", "?")
	return r, p.err
}

// replyReader reads bytes of a reply and keeps them. After an error they are
// all 0.
type replyReader struct {
	in   *bufio.Reader
	text []byte
	err  error
}

func (p *replyReader) next() byte {
	if p.err != nil {
		return 0
	}
	c, err := p.in.ReadByte()
	if err != nil {
		p.err = err
		return 0
	}
	if c != '\r' && len(p.text) < maxReply {
		p.text = append(p.text, c)
	}
	return c
}

// endOfLine reads on to the end of a line of which c was read last.
func (p *replyReader) endOfLine(c byte) {
	for c != '\n' && p.err == nil {
		c = p.next()
	}
}
