package qmqp

import (
	"bufio"
	"io"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/reqmail/reqmail/compat/socket"
	"github.com/reqmail/reqmail/compat/status"
	"github.com/reqmail/reqmail/control"
	"github.com/reqmail/reqmail/qmail/netstring"
)

const (
	port           = 628 // QMQP
	connectTimeout = 10 * time.Second
	ioTimeout      = 60 * time.Second
)

// Submit reads a message and an envelope as qmail-queue does and hands them to
// the first of control/qmqpservers that can be reached. It returns an exit
// code of qmail-queue. The message is held in memory: its length comes first.
func Submit(home string, message, envelope io.Reader) int {
	d, err := control.Open(home + "/control")
	if err != nil {
		return status.Unreadable
	}
	servers, ok, err := d.List(control.QMQPServers)
	if err != nil || !ok {
		return status.Unreadable
	}
	request, code := encode(message, envelope)
	if code != 0 {
		return code
	}
	code = status.Unreadable
	for _, server := range servers {
		addr, ok := address4(server)
		if !ok {
			continue
		}
		conn, err := socket.Dial(netip.AddrPortFrom(addr, port), socket.Stream, connectTimeout)
		switch {
		case err == nil:
			defer conn.Close()
			return converse(conn, request)
		case err == syscall.ETIMEDOUT:
			code = status.ConnectTimeout
		default:
			if _, ok := err.(*socket.SocketError); ok {
				return status.Network
			}
			code = status.ConnectRefused
		}
	}
	return code
}

// address4 takes the IPv4 address at the start of an entry.
func address4(entry string) (netip.Addr, bool) {
	end := 0
	for dots := 0; end < len(entry); end++ {
		if entry[end] == '.' {
			dots++
		} else if entry[end] < '0' || entry[end] > '9' {
			break
		}
		if dots > 3 {
			break
		}
	}
	return socket.ParseHost(entry[:end])
}

// encode makes the request of the protocol.
func encode(message, envelope io.Reader) (request []string, code int) {
	text, err := io.ReadAll(message)
	if err != nil {
		return nil, status.ReadError
	}
	var after strings.Builder
	after.WriteByte(',')
	in := bufio.NewReader(envelope)
	for letter := byte('F'); ; letter = 'T' {
		record, err := in.ReadString(0)
		switch {
		case err != nil && err != io.EOF:
			return nil, status.ReadError
		case err == io.EOF:
			return nil, status.BadEnvelope
		case len(record) < 2 && letter == 'T':
			before := strconv.Itoa(len(text)) + ":"
			whole := len(before) + len(text) + after.Len()
			return []string{strconv.Itoa(whole) + ":" + before, string(text), after.String() + ","}, 0
		case len(record) < 2 || record[0] != letter:
			return nil, status.BadEnvelope
		}
		after.WriteString(netstring.Encode(record[1 : len(record)-1]))
	}
}

// converse sends the request and takes the first K, Z or D for the answer.
func converse(conn *os.File, request []string) int {
	out := bufio.NewWriterSize(timedWriter{conn}, 64<<10)
	for _, piece := range request {
		_, _ = out.WriteString(piece) // an error stays until Flush
	}
	if out.Flush() != nil {
		return status.ConnectionDied
	}
	var buf [256]byte
	for {
		if conn.SetReadDeadline(time.Now().Add(ioTimeout)) != nil {
			return status.ConnectionDied
		}
		n, err := conn.Read(buf[:])
		for _, c := range buf[:n] {
			switch c {
			case 'K':
				return status.Queued
			case 'Z':
				return status.TemporaryRefuse
			case 'D':
				return status.Refused
			}
		}
		if err != nil {
			return status.ConnectionDied
		}
	}
}

// timedWriter gives every write its own deadline.
type timedWriter struct{ conn *os.File }

func (w timedWriter) Write(p []byte) (int, error) {
	if err := w.conn.SetWriteDeadline(time.Now().Add(ioTimeout)); err != nil {
		return 0, err
	}
	return w.conn.Write(p)
}
