// Package reasons keeps why recipients were deferred or failed: the texts that
// C qmail only logs. It owns the files lock/send/reasons and reasons.old, which
// C qmail does not look at. It must not know what the texts mean.
//
// The files are one log in two halves. Records are appended; when the newer
// half is full it becomes the older one, and what that was is dropped, so that
// the texts of long ago are forgotten. A record points back to the one before
// it of the same message. Nothing is ever synced: a crash costs the newest
// texts, and a torn record is skipped.
package reasons

import (
	"bufio"
	"bytes"
	"io"
	"os"
	"strconv"
	"sync"
	"syscall"

	"github.com/reqmail/reqmail/compat/fdio"
	"github.com/reqmail/reqmail/compat/steer"
	"github.com/reqmail/reqmail/queue"
)

// The two halves, below the queue directory.
const (
	File = steer.Folder + "/reasons"
	Old  = File + ".old"
)

// half is how many bytes a half takes at most, beyond which it may hold
// perMessage bytes for each message in the queue.
const (
	half       = 32 << 20
	perMessage = 512
)

// Record tells what happened to one recipient at one try.
type Record struct {
	ID      queue.ID
	Birth   int64 // of the message
	Channel queue.Channel
	Pos     int64 // of the recipient's record in its file
	Time    int64 // Unix seconds
	Tries   int   // of the message on the channel, this one included
	Text    string

	back int64 // how far before this one the message's last record begins; 0: there is none
}

// maxRecord is more than any record takes, in bytes.
const maxRecord = steer.MaxReason + 200

// Log is the open log. Position 0 is no record's.
type Log struct {
	mu    sync.RWMutex
	file  fdio.FD
	old   fdio.FD // -1: none
	first int64   // position of the older half's beginning …
	base  int64   // … and of the newer one's
	size  int64   // of the newer one
}

// Open opens the log. The working directory is the queue.
func Open() (*Log, error) {
	l := &Log{first: 1, base: 1, old: -1}
	var err error
	if l.file, l.size, err = open(File, syscall.O_RDWR|syscall.O_APPEND|syscall.O_CREAT); err != nil {
		return nil, &os.PathError{Op: "open", Path: File, Err: err}
	}
	if old, size, err := open(Old, syscall.O_RDONLY); err == nil {
		l.old, l.base = old, 1+size
	}
	// What a crash has torn must not run into the next record.
	_ = l.append([]byte{0}, 0)
	return l, nil
}

// Read opens the log for those who only look at what a qmail-send that has
// ended left; nil where there is none.
func Read() (*Log, error) {
	l := &Log{first: 1, base: 1, old: -1}
	var err error
	if l.file, l.size, err = open(File, syscall.O_RDONLY); err == syscall.ENOENT {
		return nil, nil
	}
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: File, Err: err}
	}
	if old, size, err := open(Old, syscall.O_RDONLY); err == nil {
		l.old, l.base = old, 1+size
	}
	return l, nil
}

// Close closes a log that is asked no more.
func (l *Log) Close() {
	l.file.Close()
	if l.old >= 0 {
		l.old.Close()
	}
}

func open(path string, flags int) (fdio.FD, int64, error) {
	f, err := fdio.Open(path, flags, 0o600)
	if err != nil {
		return -1, 0, err
	}
	st, err := f.Stat()
	if err != nil {
		f.Close()
		return -1, 0, err
	}
	return f, st.Size, nil
}

// Add appends a record; before is the position of the message's last one, 0
// if there is none. It returns the record's own position. messages is how many
// there are in the queue. A text is cut at steer.MaxReason.
func (l *Log) Add(r Record, before int64, messages int) (pos int64, err error) {
	pos = l.base + l.size
	if before >= l.first {
		r.back = pos - before
	}
	if err := l.append(r.encode(), messages); err != nil {
		return 0, err
	}
	return pos, nil
}

func (l *Log) append(b []byte, messages int) error {
	if _, err := l.file.Write(b); err != nil {
		_ = syscall.Ftruncate(int(l.file), l.size)
		return &os.PathError{Op: "write", Path: File, Err: err}
	}
	l.size += int64(len(b))
	if l.size >= max(half, perMessage*int64(messages)) {
		l.turn()
	}
	return nil
}

// turn makes the newer half the older one. Where that fails it goes on
// growing.
func (l *Log) turn() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if syscall.Rename(File, Old) != nil {
		return
	}
	f, _, err := open(File, syscall.O_RDWR|syscall.O_APPEND|syscall.O_CREAT)
	if err != nil {
		_ = syscall.Rename(Old, File)
		return
	}
	if l.old >= 0 {
		l.old.Close()
	}
	l.old, l.file = l.file, f
	l.first, l.base, l.size = l.base, l.base+l.size, 0
}

// encode returns a record as it is in the file: numbers separated by blanks,
// the text, NUL.
func (r *Record) encode() []byte {
	var b []byte
	for _, n := range []uint64{uint64(r.ID), uint64(r.Birth), uint64(r.Channel), uint64(r.Pos), uint64(r.Time), uint64(r.Tries), uint64(r.back)} {
		b = append(strconv.AppendUint(b, n, 10), ' ')
	}
	text := []byte(r.Text[:min(len(r.Text), steer.MaxReason)])
	return append(append(b, bytes.ReplaceAll(text, []byte{0}, nil)...), 0)
}

// parse reads a record without its NUL.
func parse(line []byte) (r Record, ok bool) {
	var n [7]uint64
	for i := range n {
		field, rest, found := bytes.Cut(line, []byte{' '})
		var err error
		if n[i], err = strconv.ParseUint(string(field), 10, 64); err != nil || !found {
			return Record{}, false
		}
		line = rest
	}
	r = Record{
		ID: queue.ID(n[0]), Birth: int64(n[1]), Channel: queue.Channel(n[2]), Pos: int64(n[3]), Time: int64(n[4]),
		Tries: int(n[5]), back: int64(n[6]), Text: string(line),
	}
	return r, r.Channel == queue.Local || r.Channel == queue.Remote
}

// read returns the record at a position.
func (l *Log) read(pos int64) (Record, bool) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	f, at := l.file, pos-l.base
	if at < 0 {
		f, at = l.old, pos-l.first
	}
	if at < 0 || f < 0 {
		return Record{}, false
	}
	var buf [maxRecord]byte
	n, err := syscall.Pread(int(f), buf[:], at)
	if err != nil {
		return Record{}, false
	}
	line, _, whole := bytes.Cut(buf[:n], []byte{0})
	if !whole {
		return Record{}, false
	}
	return parse(line)
}

// Of returns the records of a message, newest first, at most limit; pos is
// the newest one's position. Any goroutine may call it.
func (l *Log) Of(name steer.Name, pos int64, limit int) (records []Record) {
	for pos > 0 && len(records) < limit {
		r, ok := l.read(pos)
		if !ok || uint64(r.ID) != name.ID || r.Birth != name.Birth {
			break
		}
		records = append(records, r)
		if r.back <= 0 {
			break
		}
		pos -= r.back
	}
	return records
}

// Each hands every record that was there when the log was opened to fn, oldest
// first, with its position. Any goroutine may call it.
func (l *Log) Each(fn func(r Record, pos int64)) {
	l.mu.RLock()
	old, base := l.old, l.base
	newer, err := fdio.DupAbove(l.file, 3)
	if old >= 0 {
		if old, err = fdio.DupAbove(old, 3); err != nil {
			old = -1
		}
	}
	l.mu.RUnlock()
	if old >= 0 {
		walk(old, 1, fn)
		old.Close()
	}
	if err == nil {
		walk(newer, base, fn)
		newer.Close()
	}
}

// reader reads a file from its beginning, wherever its position is.
type reader struct {
	file fdio.FD
	at   int64
}

func (r *reader) Read(p []byte) (int, error) {
	n, err := syscall.Pread(int(r.file), p, r.at)
	if err != nil || n <= 0 {
		return 0, io.EOF
	}
	r.at += int64(n)
	return n, nil
}

func walk(f fdio.FD, base int64, fn func(r Record, pos int64)) {
	in := bufio.NewReaderSize(&reader{file: f}, 256<<10)
	pos := base
	for {
		line, err := in.ReadSlice(0)
		if err != nil && err != bufio.ErrBufferFull {
			return
		}
		if err == nil {
			if r, ok := parse(line[:len(line)-1]); ok {
				fn(r, pos)
			}
		}
		pos += int64(len(line))
	}
}
