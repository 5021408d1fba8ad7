// Package queue is the queue on disk, shared with the C programs byte for
// byte: where files lie, what is in them, and the steps that move a message
// from one state to the next. It must not know who calls it, nor run or talk
// to any program.
//
// A message is named by the inode number of its text. Its state is which of
// its files exist (+ exists, - does not, ? either):
//
//	state  mess  intd  todo  info  local  remote  bounce
//	S1     -     -     -     -     -      -       -       no message
//	S2     +     -     -     -     -      -       -       being written or removed
//	S3     +     +     -     -     -      -       -       envelope being written
//	S4     +     ?     +     ?     ?      ?       -       queued: accepted
//	S5     +     -     -     +     ?      ?       ?       preprocessed
//
//	S1 → S2 → S3 → S4   qmail-queue (Enqueue); the link into todo is the commit
//	S4 → S5             qmail-send (Preprocess), then qmail-clean (Todo)
//	S5                  qmail-send: marks recipients done, collects bounces
//	S5 → S2             qmail-send removes info
//	S2 → S1             qmail-clean (Remove)
//
// What qmail-send remembers beyond that lies in lock/send, a folder of qmails
// with mode 0700, which C's programs do not look at. Each file may be missing,
// and all of them together with the folder:
//
//	file         holds                              after a crash
//	control      the socket of compat/steer         replaced by the next qmail-send
//	orders       journal of holds, postponements,   what was acknowledged is there; a torn
//	             lifetimes, removals, suspensions   line was not, and is skipped
//	             (package orders)
//	orders.new   its successor being written        written anew
//	reasons      log of why recipients wait         the newest records are lost; a torn one is
//	             (package reasons); not synced      skipped
//	reasons.old  its older half                     likewise
//
// Orders are for a number and a birth: what remains of them when a C qmail-send
// has ended the message is dropped at the next start.
//
// Packages check and transfer keep what they move aside or have begun in
// lost+found, which no program of qmail's looks at; they say what is there.
//
// All paths are relative to the queue directory, which is the working
// directory of every program that uses it.
package queue

import (
	"math"
	"strconv"
)

// split is the number of directories that mess, info, local and remote are
// split into; a link-time constant as in C (conf-split).
var split = "23"

// Split returns the number of directories below mess, info, local and remote.
func Split() uint64 {
	n, err := strconv.ParseUint(split, 10, 32)
	if err != nil || n == 0 {
		return 23
	}
	return n
}

// ID is the number of a message: the inode number of its mess file.
type ID uint64

// String returns the number as it appears in names and logs.
func (id ID) String() string { return strconv.FormatUint(uint64(id), 10) }

// Sub returns "S/ID", the name below a split directory; spawners are given
// messages under this name.
func (id ID) Sub() string {
	return strconv.FormatUint(uint64(id)%Split(), 10) + "/" + id.String()
}

// The files of a message.

func (id ID) Mess() string   { return "mess/" + id.Sub() }
func (id ID) Info() string   { return "info/" + id.Sub() }
func (id ID) Intd() string   { return "intd/" + id.String() }
func (id ID) Todo() string   { return "todo/" + id.String() }
func (id ID) Bounce() string { return "bounce/" + id.String() }

// Recipients returns the file of a channel's recipients.
func (id ID) Recipients(c Channel) string { return c.String() + "/" + id.Sub() }

// ParseID reads a file name that is a message number: decimal digits only.
func ParseID(name string) (ID, bool) { return parseID(name) }

func parseID[T string | []byte](name T) (id ID, ok bool) {
	if len(name) == 0 {
		return 0, false
	}
	for i := range len(name) {
		digit := ID(name[i] - '0')
		if digit > 9 || id > (math.MaxUint64-digit)/10 {
			return 0, false
		}
		id = 10*id + digit
	}
	return id, true
}

// Channel is a way of delivery: one recipient file, one spawner.
type Channel int

// The channels, in the order in which qmail treats them.
const (
	Local Channel = iota
	Remote
	Channels int = iota
)

// String returns "local" or "remote": directory name and word in the log.
func (c Channel) String() string {
	if c == Local {
		return "local"
	}
	return "remote"
}

// Lock files below the queue directory.
const (
	SendState = "lock/send" // a folder; see the table above
	SendMutex = "lock/sendmutex"
	TCPTO     = "lock/tcpto"
	TCPTO6    = "lock/tcpto6"
	Trigger   = "lock/trigger"
)
