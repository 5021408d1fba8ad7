// Package orders remembers what qmail-send was told about messages and about
// destinations: holds, postponements, lifetimes, removals not carried out yet,
// suspensions. It owns the file lock/send/orders, which C qmail does not look
// at. It must not know who gives orders nor how they are carried out.
//
// The file is a journal of lines of JSON. Each tells all orders for one
// message, in place of what an earlier line told of it, or puts a rule in
// force or ends it. A line that a crash has torn is skipped: nobody was told
// that its order is in force. Opening the journal writes it anew with what is
// still in force, and so does its growth.
package orders

import (
	"bytes"
	"errors"
	"maps"
	"os"
	"slices"
	"sync"
	"syscall"

	"github.com/reqmail/reqmail/compat/fdio"
	"github.com/reqmail/reqmail/compat/jsonl"
	"github.com/reqmail/reqmail/compat/steer"
	"github.com/reqmail/reqmail/queue"
)

// The journal and the one that is to replace it, below the queue directory.
const (
	File  = steer.Folder + "/orders"
	fresh = File + ".new"
)

// Order is what is ordered for one message. Times are Unix seconds.
type Order struct {
	Birth int64 `json:"birth"` // of the message; for one of another birth it is void

	Held      bool   `json:"held,omitempty"`
	Frozen    bool   `json:"frozen,omitempty"` // held because it is neither deliverable nor returnable
	Since     int64  `json:"since,omitempty"`  // of the hold
	Until     int64  `json:"until,omitempty"`  // its end; 0: until released
	Reason    string `json:"reason,omitempty"`
	Area      string `json:"area,omitempty"`      // of control/mailpolicy
	NotBefore int64  `json:"notBefore,omitempty"` // postponed until
	ExpireAt  int64  `json:"expireAt,omitempty"`  // lifetime of its own
	Remove    Manner `json:"remove,omitempty"`
}

// Manner is how a message is removed.
type Manner string

// The manners of removing a message.
const (
	Keep     Manner = ""
	Silently Manner = "silently"
	Bouncing Manner = "bouncing" // returned to its sender
)

// Fields names the fields in the journal.
func (o *Order) Fields(f *jsonl.Fields) {
	jsonl.Int(f, "birth", &o.Birth, jsonl.Always)
	jsonl.Bool(f, "held", &o.Held, jsonl.IfSet)
	jsonl.Bool(f, "frozen", &o.Frozen, jsonl.IfSet)
	jsonl.Int(f, "since", &o.Since, jsonl.IfSet)
	jsonl.Int(f, "until", &o.Until, jsonl.IfSet)
	jsonl.String(f, "reason", &o.Reason, jsonl.IfSet)
	jsonl.String(f, "area", &o.Area, jsonl.IfSet)
	jsonl.Int(f, "notBefore", &o.NotBefore, jsonl.IfSet)
	jsonl.Int(f, "expireAt", &o.ExpireAt, jsonl.IfSet)
	jsonl.String(f, "remove", &o.Remove, jsonl.IfSet)
}

// void reports whether an order asks for nothing.
func (o Order) void() bool { return o == Order{Birth: o.Birth} }

// Release ends the hold of an order.
func (o *Order) Release() {
	o.Held, o.Frozen, o.Since, o.Until, o.Reason, o.Area = false, false, 0, 0, "", ""
}

// line is a line of the journal: an order, a rule, or the end of a rule.
type line struct {
	ID     queue.ID    `json:"id,omitempty"`
	Order  *Order      `json:"order,omitempty"`
	Rule   *steer.Rule `json:"rule,omitempty"`
	Cancel int         `json:"cancel,omitempty"`
}

// Fields names the fields in the journal.
func (l *line) Fields(f *jsonl.Fields) {
	jsonl.Uint(f, "id", &l.ID, jsonl.IfSet)
	jsonl.Pointer(f, "order", &l.Order)
	jsonl.Pointer(f, "rule", &l.Rule)
	jsonl.Int(f, "cancel", &l.Cancel, jsonl.IfSet)
}

// growth is the size in bytes that the journal may reach, or four times what
// was in force, before it is written anew.
const growth = 4 << 20

// Journal is the open journal and what is in force. Its methods are for one
// goroutine, but for Sync.
type Journal struct {
	messages map[queue.ID]Order
	rules    []steer.Rule
	next     int // number of the next rule

	mu   sync.Mutex // for file
	file fdio.FD
	size int64
	max  int64
}

// Open reads the journal and writes it anew; keep tells whether an order is
// for a message that still exists. The working directory is the queue.
//
// What was in force is in force, and durable, when it returns. A crash leaves
// the old journal or the new one. Where there is no room for a new one the old
// one goes on; without any, new orders fail. The error is for a journal that is
// there and cannot be read.
func Open(keep func(queue.ID, Order) bool) (*Journal, error) {
	j := &Journal{messages: map[queue.ID]Order{}, next: 1, file: -1}
	data, err := fdio.ReadFile(File)
	if err != nil && err != syscall.ENOENT {
		return nil, &os.PathError{Op: "read", Path: File, Err: err}
	}
	j.replay(data)
	for id, o := range j.messages {
		if !keep(id, o) {
			delete(j.messages, id)
		}
	}
	if j.rewrite() != nil {
		j.reopen()
	}
	return j, nil
}

// reopen goes on with the journal that is there. Behind what a crash has torn
// a new line begins.
func (j *Journal) reopen() {
	f, err := fdio.Open(File, syscall.O_WRONLY|syscall.O_APPEND, 0)
	if err != nil {
		return
	}
	_, _ = f.WriteString("\n")
	if st, err := f.Stat(); err == nil {
		j.size = st.Size
	}
	j.file, j.max = f, max(growth, 2*j.size)
}

// Read returns what is ordered for messages and the rules in force in the queue
// directory dir, for those who look while no qmail-send of ours runs there. A
// C qmail-send heeds none of it.
func Read(dir string) (map[queue.ID]Order, []steer.Rule, error) {
	data, err := os.ReadFile(dir + "/" + File)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	j := &Journal{messages: map[queue.ID]Order{}}
	j.replay(data)
	return j.messages, j.rules, nil
}

// Held counts the messages held in the queue directory dir, whatever runs
// there.
func Held(dir string) (n int, err error) {
	all, _, err := Read(dir)
	for _, o := range all {
		if o.Held {
			n++
		}
	}
	return n, err
}

// replay applies the lines of a journal; those that are none, however long,
// are skipped.
func (j *Journal) replay(journal []byte) {
	for text := range bytes.Lines(journal) {
		var l line
		if jsonl.Decode(bytes.TrimSuffix(text, []byte("\n")), &l) == nil {
			j.apply(l)
		}
	}
}

func (j *Journal) apply(l line) {
	switch {
	case l.Order != nil && l.Order.void():
		delete(j.messages, l.ID)
	case l.Order != nil:
		j.messages[l.ID] = *l.Order
	case l.Rule != nil:
		j.rules = append(j.rules, *l.Rule)
		j.next = max(j.next, l.Rule.Number+1)
	case l.Cancel != 0:
		j.rules = slices.DeleteFunc(j.rules, func(r steer.Rule) bool { return r.Number == l.Cancel })
		j.next = max(j.next, l.Cancel+1)
	}
}

// rewrite puts a journal of what is in force in place of the old one.
func (j *Journal) rewrite() error {
	var text []byte
	for id, o := range j.messages {
		text = appendLine(text, line{ID: id, Order: &o})
	}
	for _, r := range j.rules {
		text = appendLine(text, line{Rule: &r})
	}
	f, err := fdio.Open(fresh, syscall.O_WRONLY|syscall.O_CREAT|syscall.O_TRUNC|syscall.O_APPEND, 0o600)
	if err == nil {
		if err = replace(f, text); err != nil {
			f.Close()
		}
	}
	if err != nil {
		return &os.PathError{Op: "replace", Path: File, Err: err}
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.file >= 0 {
		j.file.Close()
	}
	j.file, j.size = f, int64(len(text))
	j.max = max(growth, 4*j.size)
	return nil
}

// replace writes the new journal and gives it its name.
func replace(f fdio.FD, text []byte) error {
	if _, err := f.Write(text); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := syscall.Rename(fresh, File); err != nil {
		return err
	}
	dir, err := fdio.Open(steer.Folder, syscall.O_RDONLY|syscall.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}

func appendLine(text []byte, l line) []byte {
	return append(jsonl.Append(text, &l), '\n')
}

// write adds lines to the journal and applies them; after an error none of
// them is there. Nothing is durable until Sync.
func (j *Journal) write(lines []line) error {
	var text []byte
	for _, l := range lines {
		text = appendLine(text, l)
	}
	if len(text) == 0 {
		return nil
	}
	if _, err := j.file.Write(text); err != nil {
		_ = syscall.Ftruncate(int(j.file), j.size)
		return &os.PathError{Op: "write", Path: File, Err: err}
	}
	j.size += int64(len(text))
	for _, l := range lines {
		j.apply(l)
	}
	if j.size > j.max {
		if j.rewrite() != nil {
			j.max *= 2 // it goes on growing until there is room
		}
	}
	return nil
}

// Sync makes what was written durable. Any goroutine may call it.
func (j *Journal) Sync() error {
	j.mu.Lock()
	fd, err := fdio.DupAbove(j.file, 3)
	j.mu.Unlock()
	if err == nil {
		defer fd.Close()
		err = fd.Sync()
	}
	if err != nil {
		return &os.PathError{Op: "sync", Path: File, Err: err}
	}
	return nil
}

// Get returns the order for a message.
func (j *Journal) Get(id queue.ID, birth int64) (Order, bool) {
	o, ok := j.messages[id]
	return o, ok && o.Birth == birth
}

// Len returns how many messages there are orders for.
func (j *Journal) Len() int { return len(j.messages) }

// All returns the orders for all messages; the map is the journal's own.
func (j *Journal) All() map[queue.ID]Order { return j.messages }

// Set replaces orders; one that asks for nothing is dropped.
func (j *Journal) Set(orders map[queue.ID]Order) error {
	lines := make([]line, 0, len(orders))
	for id, o := range orders {
		lines = append(lines, line{ID: id, Order: &o})
	}
	return j.write(lines)
}

// Drop forgets the order for a message that is no more. If that cannot be
// written, the next Open finds out.
func (j *Journal) Drop(id queue.ID) {
	if o, ok := j.messages[id]; ok {
		_ = j.Set(map[queue.ID]Order{id: {Birth: o.Birth}})
		delete(j.messages, id)
	}
}

// Retain drops the orders for messages that keep does not know; birth is that of
// the order. A crash leaves them to the next Retain.
func (j *Journal) Retain(keep func(id queue.ID, birth int64) bool) {
	before := len(j.messages)
	maps.DeleteFunc(j.messages, func(id queue.ID, o Order) bool { return !keep(id, o.Birth) })
	if len(j.messages) < before {
		_ = j.rewrite() // the old one will do
	}
}

// Rules returns the rules in force; the slice is the journal's own.
func (j *Journal) Rules() []steer.Rule { return j.rules }

// AddRule puts a rule in force and returns its number.
func (j *Journal) AddRule(r steer.Rule) (int, error) {
	r.Number = j.next
	return r.Number, j.write([]line{{Rule: &r}})
}

// Cancel ends a rule.
func (j *Journal) Cancel(number int) error { return j.write([]line{{Cancel: number}}) }
