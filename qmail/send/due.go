package send

import (
	"iter"

	"github.com/reqmail/reqmail/queue"
)

// entry is a message that is due at a time.
type entry struct {
	id   queue.ID
	due  int64 // Unix seconds
	kept bool  // the times of its file say so
}

// place is an entry in 16 bytes, for there may be millions: twice the time that
// it is due, and one more if its file does not say so.
type place struct {
	id   queue.ID
	when int64
}

// farthest is the largest time that a place can hold, before and after 1970.
const farthest = 1 << 61

func (p place) due() int64 { return p.when >> 1 }

func (p place) entry() entry { return entry{p.id, p.due(), p.when&1 == 0} }

// setDue has a message due at a time of which its file does not know.
func (p *place) setDue(due int64) { p.when = 2*within(due) + 1 }

func within(due int64) int64 { return max(-farthest, min(due, farthest)) }

// dueQueue is a queue of messages, earliest first: a heap, in pieces, so that it
// never takes twice its size. Its zero value is empty.
type dueQueue struct {
	pieces [][]place // all but the last one are full
	count  int
}

const piece = 1 << 10 // places

func (q *dueQueue) len() int { return q.count }

func (q *dueQueue) at(i int) *place { return &q.pieces[i/piece][i%piece] }

// add adds a message that is due at a time, which its file may not say.
func (q *dueQueue) add(id queue.ID, due int64) {
	p := place{id: id}
	p.setDue(due)
	q.push(p)
}

// addKept adds a message that is due when the times of its file say.
func (q *dueQueue) addKept(id queue.ID, due int64) { q.push(place{id, 2 * within(due)}) }

func (q *dueQueue) push(p place) {
	if q.count == piece*len(q.pieces) {
		var empty []place
		if q.count > 0 {
			empty = make([]place, 0, piece)
		}
		q.pieces = append(q.pieces, empty)
	}
	last := &q.pieces[len(q.pieces)-1]
	*last = append(*last, p)
	q.count++
	q.up(q.count - 1)
}

// first returns the earliest entry.
func (q *dueQueue) first() (entry, bool) {
	if q.count == 0 {
		return entry{}, false
	}
	return q.at(0).entry(), true
}

// take removes and returns the earliest entry if it is due.
func (q *dueQueue) take(now int64) (entry, bool) {
	e, ok := q.first()
	if !ok || e.due > now {
		return entry{}, false
	}
	*q.at(0) = *q.at(q.count - 1)
	q.cut(q.count - 1)
	q.down(0)
	return e, true
}

// cut drops what lies behind the first places.
func (q *dueQueue) cut(count int) {
	q.count = count
	pieces := (count + piece - 1) / piece
	clear(q.pieces[pieces:])
	q.pieces = q.pieces[:pieces]
	if pieces > 0 {
		last := &q.pieces[pieces-1]
		*last = (*last)[:count-piece*(pieces-1)]
	}
}

// up and down move a place to where it belongs.
func (q *dueQueue) up(i int) {
	for i > 0 && q.swapIfLater((i-1)/2, i) {
		i = (i - 1) / 2
	}
}

func (q *dueQueue) down(i int) {
	for {
		child := 2*i + 1
		if child+1 < q.count && q.at(child+1).due() < q.at(child).due() {
			child++
		}
		if child >= q.count || !q.swapIfLater(i, child) {
			return
		}
		i = child
	}
}

func (q *dueQueue) swapIfLater(parent, child int) bool {
	p, c := q.at(parent), q.at(child)
	if c.due() >= p.due() {
		return false
	}
	*p, *c = *c, *p
	return true
}

func (q *dueQueue) order() {
	for i := q.count/2 - 1; i >= 0; i-- {
		q.down(i)
	}
}

// places returns all places, in no order.
func (q *dueQueue) places() iter.Seq[*place] {
	return func(yield func(*place) bool) {
		for i := range q.count {
			if !yield(q.at(i)) {
				return
			}
		}
	}
}

// entries returns all entries, in no order.
func (q *dueQueue) entries() iter.Seq[entry] {
	return func(yield func(entry) bool) {
		for p := range q.places() {
			if !yield(p.entry()) {
				return
			}
		}
	}
}

// allDue makes every entry due at a time, also those that were due before, as
// C does: they lose their place before the others.
func (q *dueQueue) allDue(now int64) {
	for p := range q.places() {
		p.setDue(now)
	}
}

// has reports whether a message is in the queue; it looks at every entry.
func (q *dueQueue) has(id queue.ID) bool {
	for p := range q.places() {
		if p.id == id {
			return true
		}
	}
	return false
}

// hasten makes messages due at a time at the latest, and says which of them are
// in the queue. It looks at every entry, once for all of them.
func (q *dueQueue) hasten(ids, found map[queue.ID]bool, due int64) {
	changed := false
	for p := range q.places() {
		if !ids[p.id] {
			continue
		}
		found[p.id] = true
		if p.due() > due {
			p.setDue(due)
			changed = true
		}
	}
	if changed {
		q.order()
	}
}

// drop forgets messages.
func (q *dueQueue) drop(ids map[queue.ID]bool) {
	kept := 0
	for p := range q.places() {
		if !ids[p.id] {
			*q.at(kept) = *p
			kept++
		}
	}
	if kept < q.count {
		q.cut(kept)
		q.order()
	}
}
