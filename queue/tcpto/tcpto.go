// Package tcpto is the table of hosts that did not answer lately,
// queue/lock/tcpto, which all qmail-remotes share: 64 records of 16 bytes
// (qmail-tcpto(8)). A missing or unreadable table switches the mechanism off.
// The package must not know how a connection is made.
package tcpto

import (
	"encoding/binary"
	"io"
	"syscall"

	"github.com/reqmail/reqmail/compat/fdio"
)

const (
	records    = 64
	recordSize = 16
	tableSize  = records * recordSize
)

// The rules, in seconds where they are times.
const (
	enough      = 2   // timeouts after which a host is left alone …
	pause       = 60  // … for about an hour:
	spread      = 32  // (pause + pid mod spread) × unit
	unit        = 64  //
	sameTimeout = 120 // timeouts closer together count as one
	mostCounted = 10
	countWeight = 1024 // seconds that one timeout makes a record younger
)

// Record is a host that timed out.
type Record struct {
	IP    [4]byte
	Count int   // of recent timeouts; 0 is a free record
	When  int64 // of the last one, in Unix seconds
}

// path is the table's, below the queue directory.
const path = "lock/tcpto"

// table is the open table, locked until close. A table cut short has the
// records that are there.
type table struct {
	file fdio.FD
	raw  []byte
}

// open opens and locks the table of a queue directory.
func open(queue string) (*table, error) {
	f, err := fdio.Open(queue+"/"+path, syscall.O_RDWR|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, &Error{"open", err}
	}
	t := &table{file: f}
	if err := lock(f); err != nil {
		f.Close()
		return nil, &Error{"lock", err}
	}
	t.raw, err = io.ReadAll(io.LimitReader(f, tableSize))
	if err != nil {
		f.Close()
		return nil, &Error{"read", err}
	}
	t.raw = t.raw[:len(t.raw)/recordSize*recordSize]
	return t, nil
}

// Error is trouble with the table.
type Error struct {
	Op  string // "open", "lock", "read", "write" or "clear"
	Err error
}

func (e *Error) Error() string { return "unable to " + e.Op + " tcpto: " + e.Err.Error() }

func (e *Error) Unwrap() error { return e.Err }

func lock(f fdio.FD) error {
	for {
		if err := syscall.Flock(int(f), syscall.LOCK_EX); err != syscall.EINTR {
			return err
		}
	}
}

func (t *table) close() { t.file.Close() }

func (t *table) len() int { return len(t.raw) / recordSize }

func (t *table) at(i int) Record {
	b := t.raw[i*recordSize:]
	return Record{
		IP:    [4]byte(b[:4]),
		Count: int(b[4]),
		When:  int64(binary.LittleEndian.Uint32(b[8:])),
	}
}

// find returns the first record of a host, -1 for none.
func (t *table) find(ip [4]byte) int {
	for i := range t.len() {
		if t.at(i).IP == ip {
			return i
		}
	}
	return -1
}

// write rewrites one record in place; bytes without meaning stay.
func (t *table) write(i int, r Record) {
	b := t.raw[i*recordSize : (i+1)*recordSize]
	copy(b, r.IP[:])
	b[4] = byte(r.Count)
	binary.LittleEndian.PutUint32(b[8:], uint32(r.When))
	_, _ = syscall.Pwrite(int(t.file), b, int64(i)*recordSize)
}

// List returns the records of a queue directory's table. The error is an
// *Error.
func List(queue string) ([]Record, error) {
	t, err := open(queue)
	if err != nil {
		return nil, err
	}
	defer t.close()
	list := make([]Record, t.len())
	for i := range list {
		list[i] = t.at(i)
	}
	return list, nil
}

// Clear empties the table under its lock. The error is an *Error.
func Clear(queue string) error {
	f, err := fdio.Open(queue+"/"+path, syscall.O_WRONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return &Error{"write", err}
	}
	defer f.Close()
	if err := lock(f); err != nil {
		return &Error{"lock", err}
	}
	if _, err := f.Write(make([]byte, tableSize)); err != nil {
		return &Error{"clear", err}
	}
	return nil
}

// Skip reports whether a host is to be left alone now: it has timed out twice
// or more, within about the last hour. known is whether it is in the table at
// all, which Success wants to know. pid spreads the end of the hour.
func Skip(queue string, ip [4]byte, now int64, pid int) (skip, known bool) {
	t, err := open(queue)
	if err != nil {
		return false, false
	}
	defer t.close()
	i := t.find(ip)
	if i < 0 {
		return false, false
	}
	wait := int64(pause+pid%spread) * unit
	r := t.at(i)
	return r.Count >= enough && now-r.When < wait, true
}

// Success forgets the timeouts of a host that was known and has answered.
func Success(queue string, ip [4]byte) {
	t, err := open(queue)
	if err != nil {
		return
	}
	defer t.close()
	if i := t.find(ip); i >= 0 {
		t.write(i, Record{IP: ip, When: t.at(i).When})
	}
}

// Timeout counts a timeout of a host.
func Timeout(queue string, ip [4]byte, now int64) {
	t, err := open(queue)
	if err != nil {
		return
	}
	defer t.close()
	if t.len() == 0 {
		return
	}
	i := t.find(ip)
	if i < 0 {
		t.write(t.victim(), Record{IP: ip, Count: 1, When: now})
		return
	}
	r := t.at(i)
	if r.Count > 0 && now < r.When+sameTimeout {
		return
	}
	t.write(i, Record{IP: ip, Count: min(r.Count+1, mostCounted), When: now})
}

// victim returns the record to give to a new host: a free one, else the one
// least worth keeping.
func (t *table) victim() int {
	worst := 0
	for i := range t.len() {
		r := t.at(i)
		if r.Count == 0 {
			return i
		}
		if worth(r) < worth(t.at(worst)) {
			worst = i
		}
	}
	return worst
}

func worth(r Record) int64 { return r.When + int64(r.Count)*countWeight }

// Forget empties the table, without the lock as C's qmail-rspawn does: nobody
// else runs then, and a stale lock must not keep mail from going out.
func Forget(queue string) {
	f, err := fdio.Open(queue+"/"+path, syscall.O_WRONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return
	}
	defer f.Close()
	_, _ = f.Write(make([]byte, tableSize))
}
