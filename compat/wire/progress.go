package wire

import (
	"bytes"
	"strconv"
)

// Progressing is the status of a report that is not about a delivery's end.
// Spawners send such reports only to a qmail-send that has sent Probe.
const Progressing = 'P'

// Phases of a delivery that are told.
const (
	PhaseLookup  = "lookup"
	PhaseConnect = "connect"
	PhaseTLS     = "tls"
	PhaseSending = "sending"
	PhaseProgram = "program" // a local program runs
	PhaseMailbox = "mailbox" // a mailbox is written
	PhaseFinish  = "finish"
)

// MaxProgressText is how many bytes of a phase or host are told.
const MaxProgressText = 255

// Progress is how far a delivery has come.
type Progress struct {
	Phase       string // one of the above
	Host        string // server or program, where known
	Sent, Total int64  // bytes
}

// Report is the progress of the delivery in a slot as a report.
func (p Progress) Report(slot int) Report {
	text := clean(p.Phase) + "\n" + strconv.FormatInt(p.Sent, 10) + "\n" + strconv.FormatInt(p.Total, 10) + "\n" + clean(p.Host)
	return Report{slot, Progressing, []byte(text)}
}

// clean returns what of a text can be told: NULs and newlines end things.
func clean(text string) string {
	b := []byte(text[:min(len(text), MaxProgressText)])
	for i, c := range b {
		if c == 0 || c == '\n' {
			b[i] = ' '
		}
	}
	return string(b)
}

// ParseProgress parses the text of a report with the status Progressing.
func ParseProgress(text []byte) (p Progress, ok bool) {
	const fields = 4
	f := bytes.SplitN(text, []byte{'\n'}, fields)
	if len(f) < fields {
		return p, false
	}
	var errs [2]error
	p.Sent, errs[0] = strconv.ParseInt(string(f[1]), 10, 64)
	p.Total, errs[1] = strconv.ParseInt(string(f[2]), 10, 64)
	if errs[0] != nil || errs[1] != nil || p.Sent < 0 || p.Total < 0 {
		return p, false
	}
	p.Phase = string(f[0][:min(len(f[0]), MaxProgressText)])
	p.Host = string(f[3][:min(len(f[3]), MaxProgressText)])
	return p, true
}
