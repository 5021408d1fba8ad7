// Package wire is the protocol between qmail-send and its children: delivery
// commands and reports (qmail-lspawn, qmail-rspawn) and clean-up requests
// (qmail-clean). It owns the bytes on those pipes and must not know what a
// delivery is.
//
// # Wide slots
//
// A slot number is one byte, and a C spawner has 255 slots at most. So it
// answers a command for slot 255 with a complaint, whatever the command says;
// one of ours that is asked by Probe answers how many slots it has. From then
// on qmail-send may use those above 254, and the spawner may tell of the
// progress of a delivery. Such slot numbers stand in decimal before the first
// word of a command or report, whose first byte is 255.
package wire

import (
	"bytes"
	"strconv"
	"strings"
)

// DefaultSlots is the greeting of the C spawners: they run at most that many
// deliveries at a time. MaxNarrowSlots is how many a byte can number and leave
// the one that no spawner has, MaxSlots how many wide numbers can.
const (
	DefaultSlots   = 120
	MaxNarrowSlots = 255
	MaxSlots       = 2000
)

// MaxReport is how many bytes of a report qmail-send keeps.
const MaxReport = 10000

// NoSlot is the number in Probe and in its answer.
const NoSlot = -1

// wide is the first byte where a slot number is not narrow, and wideDigits and
// wideEnd what such a number is written with.
const (
	wide       = MaxNarrowSlots
	wideDigits = 4
	wideEnd    = ':'
)

// appendSlot appends a slot's first byte, and returns what else of its number
// stands before the next word.
func appendSlot(b []byte, slot int) (begun []byte, number string) {
	switch {
	case slot == NoSlot:
		return append(b, wide), ""
	case slot < wide:
		return append(b, byte(slot)), ""
	}
	digits := strconv.Itoa(slot)
	return append(b, wide), strings.Repeat("0", wideDigits-len(digits)) + digits + string(wideEnd)
}

// cutSlot returns the slot of a command or report, and its next word without
// the slot's number.
func cutSlot(first byte, word []byte) (int, []byte) {
	if first != wide {
		return int(first), word
	}
	if len(word) <= wideDigits || word[wideDigits] != wideEnd {
		return NoSlot, word
	}
	slot := 0
	for _, c := range word[:wideDigits] {
		if c < '0' || c > '9' {
			return NoSlot, word
		}
		slot = slot*10 + int(c-'0')
	}
	if slot < wide || slot >= MaxSlots {
		return NoSlot, word
	}
	return slot, word[wideDigits+1:]
}

// Command asks a spawner for one delivery.
type Command struct {
	Slot      int
	Mess      string // S/ID, relative to queue/mess
	Sender    string
	Recipient string
}

// Probe asks a spawner how many slots it has beyond those of its greeting.
func Probe() Command { return Command{Slot: NoSlot, Mess: probe} }

// probe names what is asked for, and the version of the answer.
const probe = "reqmail wide slots 1"

// Append appends the command to b in wire form: slot number, then three
// NUL-terminated strings.
func (c Command) Append(b []byte) []byte {
	b, number := appendSlot(b, c.Slot)
	for _, s := range []string{number + c.Mess, c.Sender, c.Recipient} {
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
	var fields [3][]byte
	for i := range fields {
		field, after, ok := bytes.Cut(rest, []byte{0})
		if !ok {
			return Command{}, false
		}
		fields[i], rest = field, after
	}
	slot, mess := cutSlot(p.buf[0], fields[0])
	c := Command{Slot: slot, Mess: string(mess), Sender: string(fields[1]), Recipient: string(fields[2])}
	p.buf = append(p.buf[:0], rest...)
	return c, true
}

// Report is what a spawner says about a delivery. Status is K, Z or D for its
// end: success, deferral, failure; or Progressing; anything else is mangled.
type Report struct {
	Slot   int
	Status byte
	Text   []byte
}

// Append appends the report to b in wire form. Text must not contain a NUL.
func (r Report) Append(b []byte) []byte {
	b, number := appendSlot(b, r.Slot)
	b = append(append(b, r.Status), number...)
	return append(append(b, r.Text...), 0)
}

// ProbeAnswer is the answer of a spawner of ours to Probe.
func ProbeAnswer(slots int) Report {
	return Report{Slot: NoSlot, Status: 'K', Text: []byte(probe + " " + strconv.Itoa(slots))}
}

// ProbedSlots returns how many slots the answer to Probe tells of, false if it
// is a C spawner's.
func (r Report) ProbedSlots() (slots int, ok bool) {
	text, ok := bytes.CutPrefix(r.Text, []byte(probe+" "))
	if !ok || r.Status != 'K' {
		return 0, false
	}
	slots, err := strconv.Atoi(string(text))
	return slots, err == nil && slots > 0 && slots <= MaxSlots
}

// ReportParser takes reports from a stream of bytes, keeping at most
// MaxReport bytes of each.
type ReportParser struct{ line []byte }

// Feed takes one byte and returns a report when that completes one. Slot 0 is
// a NUL on the wire: a NUL ends a report only if a byte stands before it.
func (p *ReportParser) Feed(c byte) (Report, bool) {
	if c != 0 || len(p.line) == 0 {
		if len(p.line) < p.room() {
			p.line = append(p.line, c)
		}
		return Report{}, false
	}
	var r Report
	var text []byte
	if len(p.line) > 1 {
		r.Status, text = p.line[1], p.line[2:]
	}
	r.Slot, text = cutSlot(p.line[0], text)
	r.Text = bytes.Clone(text[:min(len(text), MaxReport)])
	p.line = p.line[:0]
	return r, true
}

// room is what is kept of the report that arrives, in bytes: not less of one
// with a wide number.
func (p *ReportParser) room() int {
	if len(p.line) > 0 && p.line[0] == wide {
		return MaxReport + wideDigits + 1
	}
	return MaxReport
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
