package check

import (
	"bufio"
	"errors"
	"io"
	"os"
	"slices"
	"syscall"

	"github.com/reqmail/reqmail/compat/ids"
	"github.com/reqmail/reqmail/queue"
)

// What may be wrong with messages and their files.
const (
	UnknownFile      Code = "unknown-file"
	NotRegular       Code = "not-regular"
	Duplicate        Code = "duplicate"
	WrongSplit       Code = "wrong-split"
	WrongInode       Code = "wrong-inode"
	LostText         Code = "lost-text"
	TornText         Code = "torn-text"
	TornEnvelope     Code = "torn-envelope"
	TornInfo         Code = "torn-info"
	TornRecipients   Code = "torn-recipients"
	UnknownRecord    Code = "unknown-record"
	IntdDiffers      Code = "intd-differs"
	StaleIntd        Code = "stale-intd"
	StaleBounce      Code = "stale-bounce"
	OrphanText       Code = "orphan-text"
	OrphanIntd       Code = "orphan-intd"
	OrphanRecipients Code = "orphan-recipients"
	OrphanBounce     Code = "orphan-bounce"
	OrphanPid        Code = "orphan-pid"
	FutureBirth      Code = "future-birth"
)

// collected is the age in seconds at which a file without an owner is away
// unless nothing collects them: qmail-send looks every 76431 seconds.
const collected = queue.Ossified + 76431 + 3600

// day is how far in the future a birth may lie before it counts as wrong.
const day = 86400

// view checks all that one look has shown.
func (l *list) view(v *view) error {
	for _, f := range v.strange {
		if f.regular() {
			l.add(UnknownFile, f.path, &f.stat, "is no message's name")
		} else {
			l.add(NotRegular, f.path, &f.stat, "is no regular file")
		}
	}
	l.surplus(v)
	for _, f := range v.pid {
		if l.now > int64(f.stat.Atim.Sec)+collected {
			l.add(OrphanPid, f.path, &f.stat, "a qmail-queue that died has left it behind")
		}
	}
	for id, m := range v.messages {
		if err := l.message(v.tree, id, m); err != nil {
			return err
		}
	}
	return nil
}

// surplus tells of directories that the programs do not look into.
func (l *list) surplus(v *view) {
	told := map[queue.Kind]bool{}
	for _, f := range v.surplus {
		if v.tree.IsSplit(f.kind) {
			l.add(SurplusDirectory, f.path, &f.stat, "the programs do not look there: they have a split of %d", v.tree.Split)
		} else if !told[f.kind] {
			told[f.kind] = true
			l.add(BigTodo, string(f.kind), nil, "is split, as the big-todo patch has it; the programs do not look there")
		}
	}
}

// message checks the files that go by one number.
func (l *list) message(tree queue.Tree, id queue.ID, m message) error {
	for kind, files := range m {
		for i, f := range files {
			switch right := tree.Path(kind, id); {
			case i > 0:
				l.of(id, Duplicate, f, "the message has another one")
			case f.path != right:
				l.of(id, WrongSplit, f, "should be %s", right)
			}
			l.file(id, f)
		}
	}
	if mess := m.one(queue.MessFile); mess != nil && mess.stat.Ino != uint64(id) {
		l.of(id, WrongInode, mess, "has inode number %d: a new message may get its number", mess.stat.Ino)
	}
	var err error
	switch {
	case m[queue.TodoFile] != nil:
		err = l.queued(id, m)
	case m[queue.InfoFile] != nil:
		err = l.preprocessed(id, m)
	default:
		l.orphans(id, m)
	}
	if errors.Is(err, os.ErrNotExist) {
		return nil // it has gone on meanwhile
	}
	return err
}

// file checks owner and mode of a file of a message. The group of what
// qmail-queue makes is its caller's.
func (l *list) file(id queue.ID, f *file) {
	before := len(l.found)
	owner, mode := f.owner()
	l.owned(f.path, &f.stat, owner, mode)
	for i := before; i < len(l.found); i++ {
		l.found[i].ID = id
	}
}

// owner returns who owns a file of a message and its mode.
func (f *file) owner() (owner string, mode uint32) {
	switch f.kind {
	case queue.MessFile, queue.IntdFile, queue.TodoFile:
		return ids.Queue, 0o644
	}
	return ids.Send, 0o600
}

// queued checks a message in state S4.
func (l *list) queued(id queue.ID, m message) error {
	todo, intd := m.one(queue.TodoFile), m.one(queue.IntdFile)
	if intd != nil && intd.stat.Ino != todo.stat.Ino {
		l.of(id, IntdDiffers, intd, "is not the envelope that is in todo")
	}
	if bounce := m.one(queue.BounceFile); bounce != nil {
		l.of(id, StaleBounce, bounce, "the message has not been tried yet")
	}
	if err := l.text(id, m, todo); err != nil {
		return err
	}
	r, err := readRecords(todo.path)
	if err != nil {
		return err
	}
	letter, strange := r.strange("upFT")
	switch {
	case strange:
		l.of(id, UnknownRecord, todo, "has a record of type %q: qmail-send leaves it alone", letter)
	case r.torn || r.count['F'] != 1:
		l.of(id, TornEnvelope, todo, "is not whole")
	}
	return nil
}

// preprocessed checks a message in state S5.
func (l *list) preprocessed(id queue.ID, m message) error {
	info := m.one(queue.InfoFile)
	if intd := m.one(queue.IntdFile); intd != nil {
		l.of(id, StaleIntd, intd, "the message has been preprocessed")
	}
	if birth := int64(info.stat.Mtim.Sec); birth > l.now+day {
		l.of(id, FutureBirth, info, "the message's birth is %d hours in the future: it never gets too old", (birth-l.now)/3600)
	}
	if err := l.text(id, m, info); err != nil {
		return err
	}
	r, err := readRecords(info.path)
	if err != nil {
		return err
	}
	if r.torn || r.count['F'] != 1 || r.total != 1 {
		l.of(id, TornInfo, info, "is not one sender record")
	}
	for _, kind := range []queue.Kind{queue.LocalFile, queue.RemoteFile} {
		f := m.one(kind)
		if f == nil {
			continue
		}
		if err := l.recipients(id, f); err != nil {
			return err
		}
	}
	return nil
}

func (l *list) recipients(id queue.ID, f *file) error {
	r, err := readRecords(f.path)
	if errors.Is(err, os.ErrNotExist) {
		return nil // its last recipient is done
	}
	if err != nil {
		return err
	}
	letter, strange := r.strange("TD")
	switch {
	case strange:
		l.of(id, UnknownRecord, f, "has a record of type %q: qmail-send skips it", letter)
	case r.torn || r.total == 0:
		l.of(id, TornRecipients, f, "is not whole")
	}
	return nil
}

// text checks the text of a message that is to be delivered. qmail-queue
// begins each with a line of its own.
func (l *list) text(id queue.ID, m message, by *file) error {
	mess := m.one(queue.MessFile)
	if mess == nil {
		l.of(id, LostText, by, "the text of the message is away")
		return nil
	}
	f, err := os.Open(mess.path)
	if err != nil {
		return err
	}
	defer f.Close()
	first := make([]byte, 1)
	if n, err := f.Read(first); n == 0 && err != nil && err != io.EOF {
		return err
	}
	if first[0] == 0 {
		l.of(id, TornText, mess, "does not begin as a message does")
	}
	return nil
}

// orphans checks a number that is neither queued nor preprocessed.
func (l *list) orphans(id queue.ID, m message) {
	for _, kind := range []queue.Kind{queue.LocalFile, queue.RemoteFile} {
		if f := m.one(kind); f != nil {
			l.of(id, OrphanRecipients, f, "there is no such message")
		}
	}
	if f := m.one(queue.BounceFile); f != nil {
		l.of(id, OrphanBounce, f, "there is no such message")
	}
	mess := m.one(queue.MessFile)
	if mess == nil {
		if f := m.one(queue.IntdFile); f != nil {
			l.of(id, OrphanIntd, f, "there is no such message")
		}
	} else if l.now > int64(mess.stat.Atim.Sec)+collected {
		l.of(id, OrphanText, mess, "was not accepted, or has ended, and nobody has collected it")
	}
}

// records is what kinds of records a file has.
type records struct {
	count map[byte]int // by their first byte; 0: an empty one
	total int
	torn  bool // the last has no end
}

// strange returns a type of record that is none of known; false if there is
// none.
func (r records) strange(known string) (byte, bool) {
	for letter := range r.count {
		if !slices.Contains([]byte(known), letter) {
			return letter, true
		}
	}
	return 0, false
}

// readRecords counts the records of a file, in bounded memory whatever is in
// it.
func readRecords(path string) (records, error) {
	r := records{count: map[byte]int{}}
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return r, err
	}
	defer f.Close()
	in := bufio.NewReader(f)
	begin := true
	for {
		c, err := in.ReadByte()
		if err == io.EOF {
			r.torn = !begin
			return r, nil
		}
		if err != nil {
			return r, err
		}
		if begin {
			r.count[c]++
			r.total++
		}
		begin = c == 0
	}
}
