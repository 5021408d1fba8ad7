// Package qmtp is qmail-qmtpd, the server's side of QMTP, the quick mail
// transfer protocol. It must not know about TCP.
package qmtp

import (
	"bufio"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/reqmail/reqmail/compat/submit"
	"github.com/reqmail/reqmail/control"
	"github.com/reqmail/reqmail/qmail/intake"
	"github.com/reqmail/reqmail/qmail/netstring"
)

// Exit codes.
const (
	ExitDone      = 0   // the client has hung up
	ExitProtocol  = 100 // it does not speak QMTP
	ExitResources = 111
)

// MaxTime is how long a connection may last.
const MaxTime = time.Hour

// spare is how many messages of a connection get a queue program each, before
// one is asked to stay.
const spare = 1

// maxAddress is the length in bytes from which on an address is too long, the
// value of RELAYCLIENT included.
const maxAddress = 1000

// How many bytes are read and written ahead. They show where a client's
// mistake ends the session: answers that have not been sent by then are lost.
const (
	readAhead    = 512
	answersAhead = 256
)

// Answers to single recipients and to all of them.
const (
	answerSender    = "Dunacceptable sender (#5.1.7)"
	answerTooBig    = "Dsorry, that message size exceeds my databytes limit (#5.3.4)"
	answerDomain    = "Dsorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)"
	answerRecipient = "Dsorry, I can't handle that recipient (#5.1.3)"
)

// Server takes messages over one connection.
type Server struct {
	peer  intake.Peer
	limit uint32 // bytes of a message; 0 for none
	hosts *intake.RcptHosts
	pool  *submit.Pool // of queue programs; nil where none may stay
	in    *bufio.Reader
	out   *bufio.Writer
}

// New reads the control files below home and the environment.
func New(home string, lookup func(string) (string, bool), in io.Reader, out io.Writer) (*Server, error) {
	d, err := control.Open(home + "/control")
	if err != nil {
		return nil, err
	}
	s := &Server{peer: intake.PeerFrom(lookup), out: bufio.NewWriterSize(out, answersAhead)}
	s.in = bufio.NewReaderSize(flushing{in, s.out}, readAhead)
	if s.hosts, err = intake.OpenRcptHosts(d, home); err != nil {
		return nil, err
	}
	stays, err := d.Int(control.ResidentChildren)
	if err != nil {
		return nil, err
	}
	if stays != 0 {
		s.pool = submit.NewPool(1, spare)
	}
	s.limit, err = intake.DataBytes(d, lookup)
	return s, err
}

// flushing sends answers before it waits for more.
type flushing struct {
	io.Reader
	out *bufio.Writer
}

func (f flushing) Read(p []byte) (int, error) {
	if err := f.out.Flush(); err != nil {
		return 0, err
	}
	return f.Reader.Read(p)
}

// Serve takes messages until the client hangs up and returns the exit code.
func (s *Server) Serve() int {
	for {
		switch err := s.message(); err {
		case nil:
		case netstring.ErrFormat:
			return ExitProtocol
		case netstring.ErrLength, errResources:
			return ExitResources
		default:
			return ExitDone
		}
	}
}

// errResources says that something of ours is missing.
var errResources = io.ErrShortBuffer

// message takes one message with its sender and recipients.
func (s *Server) message() error {
	n, err := netstring.Length(s.in)
	if err != nil {
		return err
	}
	if n == 0 {
		return netstring.ErrFormat
	}
	queue, err := s.pool.Open(nil)
	if err != nil {
		return errResources
	}
	done := false
	defer func() {
		if !done {
			queue.Abandon()
		}
	}()
	tooBig, err := s.text(queue, n)
	if err != nil {
		return err
	}
	sender, senderOK, err := s.netstring()
	if err != nil {
		return err
	}
	sender, _, _ = strings.Cut(sender, "\x00")
	queue.From(sender)
	if !senderOK {
		queue.Fail()
	}
	verdicts, err := s.recipients(queue)
	if err != nil {
		return err
	}
	done = true
	s.answer(queue, verdicts, senderOK, tooBig)
	return nil
}

// text copies the message. Its first byte says how its lines end: LF, or CR
// for CR LF.
func (s *Server) text(queue *submit.Message, n uint64) (tooBig bool, err error) {
	first, err := s.in.ReadByte()
	if err != nil {
		return false, err
	}
	n--
	if first != '\n' && first != '\r' {
		return false, netstring.ErrFormat
	}
	queue.WriteString(s.peer.Received("QMTP", nil, time.Now()))
	w := limited{queue: queue, limit: uint64(s.limit)}
	if first == '\n' {
		if s.limit > 0 && n > w.limit {
			w.tooBig = true
			queue.Fail()
		}
		_, err = io.CopyN(queue, s.in, int64(n))
	} else {
		err = s.dosText(&w, n)
	}
	if err != nil {
		return false, err
	}
	return w.tooBig, netstring.Comma(s.in)
}

// dosText copies n bytes with LF for CR LF; other CRs stay.
func (s *Server) dosText(w *limited, n uint64) error {
	for n > 0 {
		c, err := s.in.ReadByte()
		if err != nil {
			return err
		}
		n--
		for c == '\r' && n > 0 {
			if c, err = s.in.ReadByte(); err != nil {
				return err
			}
			n--
			if c == '\n' {
				break
			}
			w.put('\r')
		}
		w.put(c)
	}
	return nil
}

// limited counts what is stored; one byte too many makes the submission fail.
type limited struct {
	queue  *submit.Message
	limit  uint64
	stored uint64
	tooBig bool
}

func (w *limited) put(c byte) {
	w.stored++
	if w.limit > 0 && w.stored > w.limit && !w.tooBig {
		w.tooBig = true
		w.queue.Fail()
	}
	_, _ = w.queue.Write([]byte{c})
}

// netstring reads an address. ok is false for one that is too long or has a
// NUL.
func (s *Server) netstring() (text string, ok bool, err error) {
	n, err := netstring.Length(s.in)
	if err != nil {
		return "", false, err
	}
	if text, ok, err = netstring.Short(s.in, n, maxAddress); err != nil {
		return "", false, err
	}
	return text, ok, netstring.Comma(s.in)
}

// recipients reads the list of recipients and returns, for each, a text for
// the one that is refused, "" for the one that is not.
func (s *Server) recipients(queue *submit.Message) (verdicts []string, err error) {
	left, err := netstring.Length(s.in)
	if err != nil {
		return nil, err
	}
	any := false
	for left > 0 {
		n, used, err := s.innerLength(left)
		if err != nil {
			return nil, err
		}
		left -= used
		if n >= left {
			return nil, netstring.ErrFormat
		}
		addr, ok, err := netstring.Short(s.in, n, max(maxAddress-len(s.peer.RelayClient), 0))
		if err != nil {
			return nil, err
		}
		verdict, err := s.verdict(addr, ok, n)
		if err != nil {
			return nil, err
		}
		if verdict == "" {
			queue.To(addr + s.peer.RelayClient)
			any = true
		}
		verdicts = append(verdicts, verdict)
		if err := netstring.Comma(s.in); err != nil {
			return nil, err
		}
		left -= n + 1
	}
	if !any {
		queue.Fail()
	}
	return verdicts, netstring.Comma(s.in)
}

// innerLength reads the length of a netstring inside of another one, of which
// left bytes are left, and tells how many it took. As in qmail its digits are
// not looked at closely.
func (s *Server) innerLength(left uint64) (n, used uint64, err error) {
	for ; ; used++ {
		if used == left {
			return 0, used, netstring.ErrFormat
		}
		c, err := s.in.ReadByte()
		if err != nil {
			return 0, used, err
		}
		if c == ':' {
			return n, used + 1, nil
		}
		if n > 200000000 {
			return 0, used, netstring.ErrLength
		}
		n = n*10 + uint64(int64(int8(c))-'0')
	}
}

// verdict decides about a recipient.
func (s *Server) verdict(addr string, ok bool, n uint64) (string, error) {
	if n+uint64(len(s.peer.RelayClient)) >= maxAddress {
		return answerRecipient, nil
	}
	if !s.peer.MayRelay {
		allowed, err := s.hosts.Allows(addr)
		if err != nil {
			return "", errResources
		}
		if !allowed {
			return answerDomain, nil
		}
	}
	if !ok {
		return answerRecipient, nil
	}
	return "", nil
}

// answer ends the submission and answers for every recipient.
func (s *Server) answer(queue *submit.Message, verdicts []string, senderOK, tooBig bool) {
	result := queue.Close()
	switch {
	case tooBig:
		result = answerTooBig
	case !senderOK:
		result = answerSender
	case result == "":
		result = "Kok " + strconv.FormatInt(time.Now().Unix(), 10) + " qp " + strconv.Itoa(queue.QP())
	}
	for _, verdict := range verdicts {
		if verdict == "" {
			verdict = result
		}
		_, _ = s.out.WriteString(netstring.Encode(verdict)) // seen at the next flush
	}
}
