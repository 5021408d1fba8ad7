// Package inject is qmail-inject: it completes a message's header, finds its
// sender and recipients, and queues or prints it. It owns the rules of
// qmail-header(5) and qmail-inject(8); lexing addresses is rfc822's. It must
// not look at a message's body.
package inject

import (
	"bufio"
	"errors"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/reqmail/reqmail/compat/address"
	"github.com/reqmail/reqmail/compat/datetime"
	"github.com/reqmail/reqmail/compat/submit"
	"github.com/reqmail/reqmail/qmail/rfc822"
)

// Exit codes.
const (
	exitPermanent = 100
	exitTemporary = 111
)

// lineLen is where address fields are folded, in characters.
const lineLen = 80

// Recipients says where recipients are taken from.
type Recipients int

// The sources of recipients: -A, -a, -h, -H.
const (
	FromOperandsElseHeader Recipients = iota
	FromOperands
	FromHeader
	FromBoth
)

// Failure is what qmail-inject dies of: a text behind "qmail-inject: fatal: "
// and an exit code.
type Failure struct {
	Code int
	Text string
}

func (f *Failure) Error() string { return f.Text }

func temporary(text string) *Failure { return &Failure{exitTemporary, text + "\n"} }

// unparsable is the failure for text that is no list of addresses.
func unparsable(text string) *Failure {
	return &Failure{exitPermanent, "unable to parse this line:\n" + text}
}

// Message is one run of qmail-inject.
type Message struct {
	config *Config
	print  io.Writer // instead of queueing
	now    time.Time
	pid    int

	out       io.Writer // where the message goes: print or submission
	queued    *submit.Message
	sender    string
	hasSender bool
	operands  []string // recipients
	header    headerRecipients
	fromHead  bool // recipients of the header count
	seen      map[string]bool
	kept      []string // fields that stay
}

// headerRecipients are the recipients found in the header, last of a field
// first.
type headerRecipients struct {
	ordinary []string
	resent   []string
	toCc     []string
}

// New prepares a run.
func New(config *Config, now time.Time, pid int) *Message {
	return &Message{config: config, now: now, pid: pid, seen: map[string]bool{}}
}

// Print says where the message goes instead of into the queue; nil means the
// queue.
func (m *Message) Print(w io.Writer) { m.print = w }

// SetSender sets the envelope sender, an address as on a command line.
func (m *Message) SetSender(addr string) *Failure {
	quoted := address.Quote(addr)
	tokens, ok := rfc822.Parse(quoted)
	if !ok {
		return unparsable(quoted)
	}
	m.sender, m.hasSender = rfc822.Unquote(m.config.complete(tokens)), true
	return nil
}

// SetRecipients takes the operands and what they mean.
func (m *Message) SetRecipients(from Recipients, operands []string) *Failure {
	if from == FromOperandsElseHeader {
		from = FromHeader
		if len(operands) > 0 {
			from = FromOperands
		}
	}
	m.fromHead = from != FromOperands
	if from == FromHeader {
		return nil
	}
	for _, addr := range operands {
		tokens, ok := rfc822.Parse(address.Quote(addr))
		if !ok {
			return &Failure{exitPermanent, "unable to parse address: " + addr + "\n"}
		}
		m.operands = append(m.operands, rfc822.Unquote(m.config.complete(tokens)))
	}
	return nil
}

// Run reads the message and queues or prints it.
func (m *Message) Run(in io.Reader) *Failure {
	r := bufio.NewReaderSize(in, 16<<10)
	if err := m.run(r); err != nil {
		var f *Failure
		if !errors.As(err, &f) {
			f = temporary("read error")
		}
		return f
	}
	if m.queued == nil {
		return nil
	}
	return m.envelope()
}

func (m *Message) run(r *bufio.Reader) error {
	body, err := rfc822.ReadHeader(r, m.field)
	if err != nil {
		return err
	}
	if err := m.finishHeader(); err != nil {
		return err
	}
	m.put(body)
	last := byte('\n')
	var buf [16 << 10]byte
	for {
		n, err := r.Read(buf[:])
		if n > 0 {
			_, _ = m.out.Write(buf[:n])
			last = buf[n-1]
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
	}
	if last != '\n' {
		m.put("\n")
	}
	return nil
}

func (m *Message) put(s string) { _, _ = io.WriteString(m.out, s) }

// envelope ends the submission.
func (m *Message) envelope() *Failure {
	m.queued.From(cString(m.sender))
	recipients := m.operands
	if m.fromHead {
		more := m.header.ordinary
		if m.isResent() {
			more = m.header.resent
		}
		recipients = append(recipients[:len(recipients):len(recipients)], more...)
	}
	for _, addr := range recipients {
		m.queued.To(cString(addr))
	}
	result := m.queued.Close()
	switch {
	case result == "":
		return nil
	case result[0] == 'D':
		return &Failure{exitPermanent, result[1:] + "\n"}
	}
	return temporary(result[1:])
}

// cString cuts an address at a NUL, which no envelope can hold.
func cString(addr string) string {
	addr, _, _ = strings.Cut(addr, "\x00")
	return addr
}

// isResent reports whether the header is that of a message sent on
// (RFC 822 4.2).
func (m *Message) isResent() bool {
	for _, name := range []string{"sender", "from", "reply-to", "to", "cc", "bcc", "date", "message-id"} {
		if m.seen["resent-"+name] {
			return true
		}
	}
	return false
}

// finishHeader writes the header: what is missing, then what there was.
func (m *Message) finishHeader() error {
	if !m.hasSender {
		if err := m.defaultSender(); err != nil {
			return err
		}
	}
	if m.print != nil {
		m.out = m.print
		m.put("Return-Path: <" + address.Quote(cString(m.sender)) + ">\n")
	} else {
		var err error
		if m.queued, err = submit.Open(); err != nil {
			return temporary("unable to run qmail-queue")
		}
		m.out = m.queued
	}
	prefix := ""
	if m.isResent() {
		prefix = "Resent-"
	}
	if err := m.addMissing(prefix); err != nil {
		return err
	}
	if prefix == "" {
		m.mailFollowupTo()
	}
	for _, field := range m.kept {
		m.put(field)
	}
	return nil
}

// addMissing writes the fields that every message has and this one lacks.
func (m *Message) addMissing(prefix string) error {
	low := strings.ToLower(prefix)
	if !m.seen[low+"date"] {
		m.put(prefix + "Date: " + datetime.Header(m.now) + "\n")
	}
	if !m.seen[low+"message-id"] {
		m.put(prefix + "Message-ID: <" + m.now.UTC().Format("20060102150405") + "." +
			strconv.Itoa(m.pid) + ".qmail@" + m.config.IDHost + ">\n")
	}
	if !m.seen[low+"from"] {
		from, err := m.defaultFrom()
		if err != nil {
			return err
		}
		m.put(prefix + from)
	}
	if !m.seen[low+"to"] && !m.seen[low+"cc"] {
		m.put(prefix + "Cc: recipient list not shown: ;\n")
	}
	return nil
}

// mailFollowupTo asks for followups to everybody where the message goes to a
// mailing list of the user's and does not say itself.
func (m *Message) mailFollowupTo() {
	if m.seen["mail-followup-to"] {
		return
	}
	toList := false
	for _, addr := range m.header.toCc {
		toList = toList || m.config.MailingLists.Has(addr)
	}
	if !toList {
		return
	}
	var all []string
	for i := len(m.header.toCc) - 1; i >= 0; i-- {
		all = append(all, address.Quote(cString(m.header.toCc[i])))
	}
	m.put("Mail-Followup-To: " + strings.Join(all, ",\n  ") + "\n")
}
