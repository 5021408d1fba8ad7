// Package wire is the protocol between qmail-send and its children: delivery
// commands and reports (qmail-lspawn, qmail-rspawn) and clean-up requests
// (qmail-clean). It owns the bytes on those pipes and must not know what a
// delivery is.
package wire

import (
	"bytes"
	"strconv"
)

// DefaultSlots is the greeting of the C spawners: they run at most that many
// deliveries at a time.
const DefaultSlots = 120

// MaxReport is how many bytes of a report qmail-send keeps.
const MaxReport = 10000

// Command asks a spawner for one delivery.
type Command struct {
	Slot      byte
	Mess      string // S/ID, relative to queue/mess
	Sender    string
	Recipient string
}

// Append appends the command to b in wire form: slot number, then three
// NUL-terminated strings.
func (c Command) Append(b []byte) []byte {
	b = append(b, c.Slot)
	for _, s := range []string{c.Mess, c.Sender, c.Recipient} {
		b = append(append(b, s...), 0)
	}
	return b
}

// CommandParser takes commands from a stream of bytes.
type CommandParser struct{ buf []byte }

// Add appends bytes that have arrived.
func (p *CommandParser) Add(data []byte) { p.buf = append(p.buf, data...) }

// Next returns the next complete command, false where more bytes are needed.
func (p *CommandParser) Next() (Command, bool) {
	if len(p.buf) == 0 {
		return Command{}, false
	}
	rest := p.buf[1:]
	var fields [3]string
	for i := range fields {
		field, after, ok := bytes.Cut(rest, []byte{0})
		if !ok {
			return Command{}, false
		}
		fields[i], rest = string(field), after
	}
	c := Command{Slot: p.buf[0], Mess: fields[0], Sender: fields[1], Recipient: fields[2]}
	p.buf = append(p.buf[:0], rest...)
	return c, true
}

// Report is a spawner's answer. Status is K, Z or D: success, deferral,
// failure; anything else is mangled.
type Report struct {
	Slot   byte
	Status byte
	Text   []byte
}

// Append appends the report to b in wire form. Text must not contain a NUL.
func (r Report) Append(b []byte) []byte {
	b = append(b, r.Slot, r.Status)
	return append(append(b, r.Text...), 0)
}

// ReportParser takes reports from a stream of bytes, keeping at most
// MaxReport bytes of each.
type ReportParser struct{ line []byte }

// Feed takes one byte and returns a report when that completes one. Slot 0 is
// a NUL on the wire: a NUL ends a report only if a byte stands before it.
func (p *ReportParser) Feed(c byte) (Report, bool) {
	if c != 0 || len(p.line) == 0 {
		if len(p.line) < MaxReport {
			p.line = append(p.line, c)
		}
		return Report{}, false
	}
	r := Report{Slot: p.line[0]}
	if len(p.line) > 1 {
		r.Status = p.line[1]
		r.Text = bytes.Clone(p.line[2:])
	}
	p.line = p.line[:0]
	return r, true
}

// A CleanKind is what qmail-clean is asked to remove.
type CleanKind string

// The requests of qmail-clean: both remove the envelope under construction,
// CleanTodo then the finished envelope, CleanMess then the message.
const (
	CleanTodo CleanKind = "todo"
	CleanMess CleanKind = "foop"
)

// CleanRequest asks qmail-clean to remove files of a message.
type CleanRequest struct {
	Kind CleanKind
	ID   uint64
}

// String returns the request as it is logged, "foop/ID" or "todo/ID".
func (r CleanRequest) String() string {
	return string(r.Kind) + "/" + strconv.FormatUint(r.ID, 10)
}

// The answers of qmail-clean.
const (
	CleanDone      = '+'
	CleanFailed    = '!'
	CleanMalformed = 'x'
)

// Limits of a clean-up request in bytes, its NUL included.
const (
	MinCleanRequest = 7
	MaxCleanRequest = 100
)

// ParseCleanRequest parses a request without its NUL.
func ParseCleanRequest(line []byte) (CleanRequest, bool) {
	if len(line)+1 < MinCleanRequest || len(line)+1 > MaxCleanRequest || line[4] != '/' {
		return CleanRequest{}, false
	}
	kind := CleanKind(line[:4])
	if kind != CleanTodo && kind != CleanMess {
		return CleanRequest{}, false
	}
	var id uint64 // wraps around, as C's scan_ulong does
	for _, c := range line[5:] {
		if c < '0' || c > '9' {
			return CleanRequest{}, false
		}
		id = id*10 + uint64(c-'0')
	}
	return CleanRequest{kind, id}, true
}
