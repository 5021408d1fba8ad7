// Package qmqp is both sides of QMQP, the quick mail queueing protocol:
// qmail-qmqpd takes messages from hosts without a queue of their own,
// qmail-qmqpc hands them over in qmail-queue's place.
package qmqp

import (
	"bufio"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/reqmail/reqmail/compat/submit"
	"github.com/reqmail/reqmail/qmail/intake"
	"github.com/reqmail/reqmail/qmail/netstring"
)

// Exit codes of qmail-qmqpd.
const (
	ExitDone      = 0
	ExitProtocol  = 100
	ExitResources = 111
)

// MaxTime is how long a connection may last.
const MaxTime = time.Hour

const (
	maxAddress = 1000 // bytes from which on an address is too long
	maxHead    = 100  // bytes that the outer length may take

	answerAddress = "Dsorry, I can't accept addresses like that (#5.1.3)"
)

// counted is what is left of the outer netstring.
type counted struct {
	in   *bufio.Reader
	left uint64
}

// ReadByte reads a byte that must belong to the netstring.
func (c *counted) ReadByte() (byte, error) {
	if c.left == 0 {
		return 0, netstring.ErrFormat
	}
	c.left--
	return c.in.ReadByte()
}

// Serve takes one message over a connection and returns the exit code.
func Serve(peer intake.Peer, in io.Reader, out io.Writer) int {
	answer, err := take(peer, &counted{bufio.NewReader(in), maxHead})
	switch err {
	case nil:
		_, _ = io.WriteString(out, netstring.Encode(answer))
		return ExitDone
	case netstring.ErrFormat:
		return ExitProtocol
	case netstring.ErrLength, errResources:
		return ExitResources
	}
	return ExitDone // the client has gone
}

// errResources says that the queue program could not be started.
var errResources = io.ErrShortBuffer

// take reads the request: netstrings in a netstring.
func take(peer intake.Peer, r *counted) (answer string, err error) {
	if r.left, err = netstring.Length(r); err != nil {
		return "", err
	}
	n, err := netstring.Length(r)
	if err != nil {
		return "", err
	}
	queue, err := submit.Open()
	if err != nil {
		return "", errResources
	}
	acceptable, err := request(peer, r, n, queue)
	if err != nil {
		queue.Abandon()
		return "", err
	}
	answer = queue.Close()
	switch {
	case !acceptable:
		return answerAddress, nil
	case answer == "":
		return "Kok " + strconv.FormatInt(time.Now().Unix(), 10) + " qp " + strconv.Itoa(queue.QP()), nil
	}
	return answer, nil
}

// request passes a request of n bytes of message, a sender and recipients on.
func request(peer intake.Peer, r *counted, n uint64, queue *submit.Message) (acceptable bool, err error) {
	queue.WriteString(peer.Received("QMQP", nil, time.Now()))
	if n > r.left {
		// It will end too early; what is there is read all the same.
		_, err := io.CopyN(queue, r.in, int64(r.left))
		if err == nil {
			err = netstring.ErrFormat
		}
		return false, err
	}
	if _, err := io.CopyN(queue, r.in, int64(n)); err != nil {
		return false, err
	}
	r.left -= n
	if err := netstring.Comma(r); err != nil {
		return false, err
	}
	sender, acceptable, err := address(r)
	if err != nil {
		return false, err
	}
	if !acceptable {
		sender = ""
	}
	queue.From(sender)
	for r.left > 0 {
		recipient, ok, err := address(r)
		if err != nil {
			return false, err
		}
		acceptable = acceptable && ok
		queue.To(recipient)
	}
	if !acceptable {
		queue.Fail()
	}
	r.left = 1
	return acceptable, netstring.Comma(r)
}

// address reads an address; ok is false for one that is too long or has a
// NUL.
func address(r *counted) (addr string, ok bool, err error) {
	n, err := netstring.Length(r)
	if err != nil {
		return "", false, err
	}
	if addr, ok, err = netstring.Short(r, n, maxAddress); err != nil {
		return "", false, err
	}
	addr, _, _ = strings.Cut(addr, "\x00")
	return addr, ok, netstring.Comma(r)
}
