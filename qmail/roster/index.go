// Package roster answers who looks at the queue: which messages there are,
// when each is tried next, who sent it to whom and why it waits. It owns the
// index that qmail-send keeps in memory, forty bytes a message, and all
// work on copies of it: qmail-send's loop hands out a Snapshot, and whoever
// asked selects, sorts and reads files beside the loop. It must not know the
// scheduler, nor change anything.
package roster

import (
	"iter"
	"math"

	"github.com/reqmail/reqmail/queue"
)

// Record is what is kept in memory of a message, besides when it is due: 32
// bytes, for there may be millions.
type Record struct {
	ID     queue.ID
	Reason int64  // position of the last one in the log of reasons; 0: none
	Birth  uint32 // Unix seconds, until 2106
	Size   uint32 // bytes of the text, 4 GB at most; Unsized until it is known
	Rule   uint32 // number of the suspension it waits for; 0: none
	Tries  [queue.Channels]uint16
}

// Unsized is the size of a message whose text was not looked at yet.
const Unsized = math.MaxUint32

// NewRecord returns the record of a message that was not tried yet. A negative
// size is not known.
func NewRecord(id queue.ID, birth, size int64) Record {
	r := Record{ID: id, Birth: uint32(birth), Size: Unsized}
	if size >= 0 {
		r.Size = uint32(min(size, Unsized-1))
	}
	return r
}

// Bytes returns the size of a message's text, 0 where it is not known.
func (r *Record) Bytes() int64 {
	if r.Size == Unsized {
		return 0
	}
	return int64(r.Size)
}

// Index is the messages in the queue that are preprocessed. Its zero value is
// empty. It grows by pieces, so that it never takes twice its size.
type Index struct {
	pieces [][]Record
	count  int
	places places
}

// piece is how many records are allocated at a time.
const piece = 1 << 10

// Len returns how many messages there are.
func (x *Index) Len() int { return x.count }

func (x *Index) at(i int) *Record { return &x.pieces[i/piece][i%piece] }

func (x *Index) idAt(i int) queue.ID { return x.at(i).ID }

// Put enters a message, in place of one of the same number.
func (x *Index) Put(r Record) {
	if old := x.Get(r.ID); old != nil {
		*old = r
		return
	}
	if x.count == piece*len(x.pieces) {
		x.pieces = append(x.pieces, make([]Record, piece))
	}
	*x.at(x.count) = r
	x.count++
	x.places.put(r.ID, x.count-1, x.idAt)
}

// Get returns the record of a message to be read or changed, valid until the
// next Remove; nil if there is none.
func (x *Index) Get(id queue.ID) *Record {
	i, ok := x.places.find(id, x.idAt)
	if !ok {
		return nil
	}
	return x.at(i)
}

// Remove forgets a message.
func (x *Index) Remove(id queue.ID) {
	i, ok := x.places.remove(id, x.idAt)
	if !ok {
		return
	}
	x.count--
	if i < x.count {
		moved := *x.at(x.count)
		x.places.remove(moved.ID, x.idAt)
		*x.at(i) = moved
		x.places.put(moved.ID, i, x.idAt)
	}
	if n := len(x.pieces); x.count <= piece*(n-2) {
		x.pieces[n-1] = nil
		x.pieces = x.pieces[:n-1]
	}
}

// All returns all records, in no order, to be read or changed.
func (x *Index) All() iter.Seq[*Record] {
	return func(yield func(*Record) bool) {
		for i := range x.count {
			if !yield(x.at(i)) {
				return
			}
		}
	}
}

// Copy returns a copy of all records.
func (x *Index) Copy() []Record {
	all := make([]Record, 0, x.count)
	for _, p := range x.pieces {
		all = append(all, p[:min(piece, x.count-len(all))]...)
	}
	return all
}
