// Package tcpto is the table of hosts that did not answer lately, which all
// qmail-remotes share: queue/lock/tcpto for IPv4 (qmail-tcpto(8)), and
// queue/lock/tcpto6 for IPv6, which the C programs leave alone. Each has 64
// records. A missing or unreadable table switches the mechanism off for its
// kind of address. The package must not know how a connection is made.
package tcpto

import (
	"bytes"
	"encoding/binary"
	"io"
	"syscall"

	"github.com/reqmail/reqmail/compat/fdio"
)

// A record is an address and behind it, in bytes of their own: the number of
// timeouts, three without meaning, the time (four bytes, little endian), and
// four without meaning.
const (
	records  = 64
	countAt  = 0
	whenAt   = 4
	tailSize = 12
	ipv4Size = 4
	ipv6Size = 16
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
	IP    []byte // 4 or 16 of them
	Count int    // of recent timeouts; 0 is a free record, below it a damaged one
	When  int64  // of the last one, in Unix seconds
}

// file is one of the two files.
type file struct {
	name   string // in queue/lock
	ipSize int    // in bytes
}

var (
	ipv4 = file{"tcpto", ipv4Size}
	ipv6 = file{"tcpto6", ipv6Size}
)

// fileOf returns the file for an address.
func fileOf(ip []byte) file {
	if len(ip) == ipv6Size {
		return ipv6
	}
	return ipv4
}

func (f file) path(queue string) string { return queue + "/lock/" + f.name }

func (f file) recordSize() int { return f.ipSize + tailSize }

func (f file) size() int { return records * f.recordSize() }

// table is an open file, locked until close. One cut short has the records
// that are there.
type table struct {
	file
	fd  fdio.FD
	raw []byte
}

// open opens and locks a file of a queue directory.
func (f file) open(queue string) (*table, error) {
	fd, err := fdio.Open(f.path(queue), syscall.O_RDWR|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, &Error{"open", f.name, err}
	}
	t := &table{file: f, fd: fd}
	if err := lock(fd); err != nil {
		fd.Close()
		return nil, &Error{"lock", f.name, err}
	}
	t.raw = make([]byte, f.size())
	n, err := io.ReadFull(fd, t.raw)
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		fd.Close()
		return nil, &Error{"read", f.name, err}
	}
	t.raw = t.raw[:n]
	t.raw = t.raw[:len(t.raw)/f.recordSize()*f.recordSize()]
	return t, nil
}

// Error is trouble with a table.
type Error struct {
	Op   string // "open", "lock", "read", "write" or "clear"
	Name string // the file's, in queue/lock
	Err  error
}

func (e *Error) Error() string { return "unable to " + e.Op + " " + e.Name + ": " + e.Err.Error() }

func (e *Error) Unwrap() error { return e.Err }

func lock(f fdio.FD) error {
	for {
		if err := syscall.Flock(int(f), syscall.LOCK_EX); err != syscall.EINTR {
			return err
		}
	}
}

func (t *table) close() { t.fd.Close() }

func (t *table) len() int { return len(t.raw) / t.recordSize() }

// at returns a record; its bytes are the table's.
func (t *table) at(i int) Record {
	b := t.raw[i*t.recordSize():]
	tail := b[t.ipSize:]
	return Record{
		IP:    b[:t.ipSize:t.ipSize],
		Count: int(int8(tail[countAt])), // signed, as a C char
		When:  int64(binary.LittleEndian.Uint32(tail[whenAt:])),
	}
}

// find returns the first record of a host, -1 for none.
func (t *table) find(ip []byte) int {
	for i := range t.len() {
		if bytes.Equal(t.at(i).IP, ip) {
			return i
		}
	}
	return -1
}

// write rewrites one record in place; bytes without meaning stay.
func (t *table) write(i int, r Record) {
	b := t.raw[i*t.recordSize() : (i+1)*t.recordSize()]
	copy(b, r.IP)
	tail := b[t.ipSize:]
	tail[countAt] = byte(r.Count)
	binary.LittleEndian.PutUint32(tail[whenAt:], uint32(r.When))
	// A table that cannot be written is as good as none.
	_, _ = syscall.Pwrite(int(t.fd), b, int64(i*t.recordSize()))
}

// List returns the records of a queue directory's tables, IPv4 before IPv6.
// The error is an *Error. There need be no table for IPv6.
func List(queue string) ([]Record, error) {
	list, err := ipv4.list(queue)
	if err != nil {
		return nil, err
	}
	more, err := ipv6.list(queue)
	if err != nil && err.(*Error).Err != syscall.ENOENT {
		return nil, err
	}
	return append(list, more...), nil
}

func (f file) list(queue string) ([]Record, error) {
	t, err := f.open(queue)
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

// Clear empties the tables under their locks. The error is an *Error. There
// need be no table for IPv6.
func Clear(queue string) error {
	if err := ipv4.clear(queue, lock); err != nil {
		return err
	}
	if err := ipv6.clear(queue, lock); err != nil && err.Err != syscall.ENOENT {
		return err
	}
	return nil
}

// Forget empties the tables, without locks as C's qmail-rspawn does: nobody
// else runs then, and a stale lock must not keep mail from going out. That it
// fails is no reason either.
func Forget(queue string) {
	unlocked := func(fdio.FD) error { return nil }
	_ = ipv4.clear(queue, unlocked)
	_ = ipv6.clear(queue, unlocked)
}

func (f file) clear(queue string, lock func(fdio.FD) error) *Error {
	fd, err := fdio.Open(f.path(queue), syscall.O_WRONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return &Error{"write", f.name, err}
	}
	defer fd.Close()
	if err := lock(fd); err != nil {
		return &Error{"lock", f.name, err}
	}
	if _, err := fd.Write(make([]byte, f.size())); err != nil {
		return &Error{"clear", f.name, err}
	}
	return nil
}

// Skip reports whether a host is to be left alone now: it has timed out twice
// or more, within about the last hour. known is whether it is in the table at
// all, which Success wants to know. pid spreads the end of the hour.
func Skip(queue string, ip []byte, now int64, pid int) (skip, known bool) {
	t, err := fileOf(ip).open(queue)
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
func Success(queue string, ip []byte) {
	t, err := fileOf(ip).open(queue)
	if err != nil {
		return
	}
	defer t.close()
	if i := t.find(ip); i >= 0 {
		t.write(i, Record{IP: ip, When: t.at(i).When})
	}
}

// Timeout counts a timeout of a host.
func Timeout(queue string, ip []byte, now int64) {
	t, err := fileOf(ip).open(queue)
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
	if r.Count != 0 && now < r.When+sameTimeout {
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
