// Package errand is what qmail-rspawn and a qmail-remote that stays (package
// resident) say to each other: jobs, with the message's descriptor beside, and
// answers. It must not know how a message is delivered.
package errand

import (
	"bytes"
	"encoding/binary"

	"github.com/reqmail/reqmail/compat/resident"
)

// Name is by which the child says that it stays.
const Name = "qmail-remote"

// First is the number of the job that the child was started with.
const First = 0

// numberSize is the size of a job's number, in bytes, big endian.
const numberSize = 4

// Job is a delivery to one recipient. The message's descriptor travels with
// it, at its beginning.
type Job struct {
	Number                  uint32
	Host, Sender, Recipient string
}

// Fits reports whether a job can be sent: texts may be too long, or have NULs
// that end them early.
func (j Job) Fits() bool {
	size := numberSize
	for _, text := range j.texts() {
		size += len(text) + 1
		if bytes.IndexByte([]byte(text), 0) >= 0 {
			return false
		}
	}
	return size <= resident.MaxDatagram
}

func (j Job) texts() [3]string { return [...]string{j.Host, j.Sender, j.Recipient} }

// Append appends the job as it is sent: its number, and its texts, each ended
// by a NUL.
func (j Job) Append(p []byte) []byte {
	p = binary.BigEndian.AppendUint32(p, j.Number)
	for _, text := range j.texts() {
		p = append(append(p, text...), 0)
	}
	return p
}

// ParseJob reads a job.
func ParseJob(data []byte) (j Job, ok bool) {
	number, texts, ok := cut(data)
	f := bytes.Split(texts, []byte{0})
	const withEnd = 4 // three texts, and nothing behind their last NUL
	if !ok || len(f) != withEnd || len(f[withEnd-1]) != 0 {
		return j, false
	}
	return Job{number, string(f[0]), string(f[1]), string(f[2])}, true
}

func cut(data []byte) (number uint32, rest []byte, ok bool) {
	if len(data) < numberSize {
		return 0, nil, false
	}
	return binary.BigEndian.Uint32(data), data[numberSize:], true
}

// Kind is a kind of answers.
type Kind byte

// The kinds.
const (
	Done     Kind = 'D' // the delivery has ended; its output follows
	Declined Kind = 'N' // the child cannot do it and has done nothing
	Progress Kind = 'P' // how far it has come
)

// Answer is about a job.
type Answer struct {
	Number uint32
	Kind   Kind
	Output []byte // what qmail-remote prints; the first job's is on descriptor 1
	News   News   // of Progress
}

// News is how far a delivery has come.
type News struct {
	Phase       string // one of compat/wire's
	Host        string // where known
	Sent, Total int64  // bytes, where known
}

// Append appends the answer as it is sent.
func (a Answer) Append(p []byte) []byte {
	p = binary.BigEndian.AppendUint32(p, a.Number)
	p = append(p, byte(a.Kind))
	if a.Kind != Progress {
		return append(p, a.Output...)
	}
	p = binary.BigEndian.AppendUint64(p, uint64(a.News.Sent))
	p = binary.BigEndian.AppendUint64(p, uint64(a.News.Total))
	p = append(append(p, a.News.Phase...), 0)
	return append(p, a.News.Host...)
}

// ParseAnswer reads an answer. Its Output is part of data.
func ParseAnswer(data []byte) (a Answer, ok bool) {
	number, rest, ok := cut(data)
	if !ok || len(rest) == 0 {
		return a, false
	}
	a.Number, a.Kind, rest = number, Kind(rest[0]), rest[1:]
	switch a.Kind {
	case Done, Declined:
		a.Output = rest
		return a, true
	case Progress:
		return a, a.News.parse(rest)
	}
	return a, false
}

func (n *News) parse(p []byte) bool {
	const numbers = 16 // bytes
	if len(p) < numbers {
		return false
	}
	phase, host, ok := bytes.Cut(p[numbers:], []byte{0})
	n.Sent, n.Total = int64(binary.BigEndian.Uint64(p)), int64(binary.BigEndian.Uint64(p[numbers/2:]))
	n.Phase, n.Host = string(phase), string(host)
	return ok && n.Sent >= 0 && n.Total >= 0
}
