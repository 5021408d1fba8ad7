// Package roster answers who looks at the queue: which messages there are,
// when each is tried next, who sent it to whom and why it waits. It owns the
// index that qmail-send keeps in memory, a few dozen bytes a message, and all
// work on copies of it: qmail-send's loop hands out a Snapshot, and whoever
// asked selects, sorts and reads files beside the loop. It must not know the
// scheduler, nor change anything.
package roster

import "github.com/reqmail/reqmail/queue"

// Record is what is kept in memory of a message, besides when it is due.
type Record struct {
	ID     queue.ID
	Birth  int64
	Size   int64 // bytes of the text; Unsized until it is known
	Reason int64 // position of the last one in the log of reasons; 0: none
	Tries  [queue.Channels]uint16
	Rule   uint32 // number of the suspension it waits for; 0: none
}

// Unsized is the size of a message whose text was not looked at yet.
const Unsized = -1

// Index is the messages in the queue that are preprocessed. Its zero value is
// empty.
type Index struct {
	records []Record
	at      map[queue.ID]int32
}

// Len returns how many messages there are.
func (x *Index) Len() int { return len(x.records) }

// Put enters a message, in place of one of the same number.
func (x *Index) Put(r Record) {
	if i, ok := x.at[r.ID]; ok {
		x.records[i] = r
		return
	}
	if x.at == nil {
		x.at = map[queue.ID]int32{}
	}
	x.at[r.ID] = int32(len(x.records))
	x.records = append(x.records, r)
}

// Get returns the record of a message to be read or changed, valid until the
// next Put or Remove; nil if there is none.
func (x *Index) Get(id queue.ID) *Record {
	i, ok := x.at[id]
	if !ok {
		return nil
	}
	return &x.records[i]
}

// Remove forgets a message.
func (x *Index) Remove(id queue.ID) {
	i, ok := x.at[id]
	if !ok {
		return
	}
	last := len(x.records) - 1
	x.records[i] = x.records[last]
	x.at[x.records[i].ID] = i
	x.records = x.records[:last]
	delete(x.at, id)
}

// Records returns all records, in no order; the slice is the index's own.
func (x *Index) Records() []Record { return x.records }
