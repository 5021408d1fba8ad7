package send

import (
	"container/heap"
	"slices"

	"github.com/reqmail/reqmail/queue"
)

// entry is a message that is due at a time in Unix seconds; 16 bytes, for
// there may be millions.
type entry struct {
	due int64
	id  queue.ID
}

// dueQueue is a queue of messages, earliest first.
type dueQueue struct{ entries entryHeap }

func (q *dueQueue) add(id queue.ID, due int64) { heap.Push(&q.entries, entry{due, id}) }

// first returns the earliest entry.
func (q *dueQueue) first() (entry, bool) {
	if len(q.entries) == 0 {
		return entry{}, false
	}
	return q.entries[0], true
}

// take removes and returns the earliest entry if it is due.
func (q *dueQueue) take(now int64) (entry, bool) {
	e, ok := q.first()
	if !ok || e.due > now {
		return entry{}, false
	}
	heap.Pop(&q.entries)
	return e, true
}

// allDue makes every entry due at a time, also those that were due before, as
// C does: they lose their place before the others.
func (q *dueQueue) allDue(now int64) {
	for i := range q.entries {
		q.entries[i].due = now
	}
}

// has reports whether a message is in the queue; it looks at every entry.
func (q *dueQueue) has(id queue.ID) bool {
	return slices.ContainsFunc(q.entries, func(e entry) bool { return e.id == id })
}

// hasten makes messages due at a time at the latest, and says which of them are
// in the queue. It looks at every entry, once for all of them.
func (q *dueQueue) hasten(ids, found map[queue.ID]bool, due int64) {
	changed := false
	for i := range q.entries {
		if e := &q.entries[i]; ids[e.id] {
			found[e.id] = true
			changed = changed || e.due > due
			e.due = min(e.due, due)
		}
	}
	if changed {
		heap.Init(&q.entries)
	}
}

// drop forgets messages.
func (q *dueQueue) drop(ids map[queue.ID]bool) {
	before := len(q.entries)
	q.entries = slices.DeleteFunc(q.entries, func(e entry) bool { return ids[e.id] })
	if len(q.entries) != before {
		heap.Init(&q.entries)
	}
}

type entryHeap []entry

var _ heap.Interface = (*entryHeap)(nil)

func (h entryHeap) Len() int           { return len(h) }
func (h entryHeap) Less(i, j int) bool { return h[i].due < h[j].due }
func (h entryHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *entryHeap) Push(x any)        { *h = append(*h, x.(entry)) }

func (h *entryHeap) Pop() any {
	old := *h
	last := old[len(old)-1]
	*h = old[:len(old)-1]
	return last
}
