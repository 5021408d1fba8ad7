// Package splog is splogger: it makes log entries of the lines of qmail-send
// and hands them to syslog or appends them to a file of maillog's form. It must
// not know what the lines say, but for the two words that make one urgent.
package splog

import (
	"bytes"
	"io"
	"strconv"
	"time"
)

// Severities of syslog(3).
const (
	severityAlert   = 1
	severityWarning = 4
	severityInfo    = 6
)

// maxText is how many bytes of a line go into one entry; more is folded into
// entries of their own, for syslog daemons cut long ones off.
const maxText = 799

// Entry is what is logged for a line, or for a piece of a long one.
type Entry struct {
	At       time.Time
	Severity int
	Text     []byte // "SECONDS.MICROSECONDS LINE"; valid until Put returns
}

// Log takes entries. Put never fails: what cannot be logged is lost or kept
// by rules of the log's own.
type Log interface {
	Put(Entry)
}

// Folder makes entries of a stream of bytes: stamps lines, folds long ones,
// and replaces what is not printable ASCII by "?".
//
// An empty line is no entry. The pieces of a folded line carry the stamp and
// severity of the first, the later ones with "+" in place of the space.
type Folder struct {
	log  Log
	now  func() time.Time
	line []byte // of the piece being collected
	next Entry  // stamp and severity of the line that is being folded
	cont bool   // the piece continues a line
	text []byte
}

// NewFolder returns a Folder that hands entries to log.
func NewFolder(log Log, now func() time.Time) *Folder {
	return &Folder{log: log, now: now, line: make([]byte, 0, maxText)}
}

// Write takes the next bytes of the stream. A line is logged at its newline,
// a piece of a long one as soon as a byte follows it; what never gets that far
// is not logged. The error is always nil.
func (f *Folder) Write(p []byte) (int, error) {
	for _, c := range p {
		if c == '\n' {
			f.flush()
			f.cont = false
			continue
		}
		if len(f.line) == maxText {
			f.flush()
		}
		if c < ' ' || c > '~' {
			c = '?'
		}
		f.line = append(f.line, c)
	}
	return len(p), nil
}

func (f *Folder) flush() {
	if len(f.line) == 0 {
		return
	}
	joint := byte('+')
	if !f.cont {
		joint = ' '
		f.next = Entry{At: f.now(), Severity: severity(f.line), Text: f.next.Text[:0]}
		f.next.Text = appendStamp(f.next.Text, f.next.At)
		f.cont = true
	}
	f.text = append(append(f.text[:0], f.next.Text...), joint)
	f.text = append(f.text, f.line...)
	f.log.Put(Entry{f.next.At, f.next.Severity, f.text})
	f.line = f.line[:0]
}

func severity(line []byte) int {
	switch {
	case bytes.HasPrefix(line, []byte("warning:")):
		return severityWarning
	case bytes.HasPrefix(line, []byte("alert:")):
		return severityAlert
	}
	return severityInfo
}

// appendStamp appends "SECONDS.MICROSECONDS".
func appendStamp(b []byte, t time.Time) []byte {
	b = strconv.AppendInt(b, t.Unix(), 10)
	micro := strconv.Itoa(t.Nanosecond()/1000 + 1000000)
	return append(append(b, '.'), micro[1:]...)
}

// gap is the entry that tells about n entries that were not logged.
func gap(at time.Time, n int, why string) Entry {
	text := append(appendStamp(nil, at), " warning: splogger: "...)
	text = append(strconv.AppendInt(text, int64(n), 10), " lines lost, "...)
	return Entry{at, severityWarning, append(text, why...)}
}

// Run logs what in delivers, until its end or an error.
func Run(in io.Reader, log Log) {
	folder := NewFolder(log, time.Now)
	buf := make([]byte, 8192)
	for {
		n, err := in.Read(buf)
		_, _ = folder.Write(buf[:n])
		if err != nil {
			return
		}
	}
}
