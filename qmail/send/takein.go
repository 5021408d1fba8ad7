package send

import (
	"runtime/debug"
	"sync"
	"time"

	"github.com/reqmail/reqmail/compat/maillog"
	"github.com/reqmail/reqmail/compat/steer"
	"github.com/reqmail/reqmail/queue"
	"github.com/reqmail/reqmail/queue/reasons"
)

// takingIn is the walk over the messages that are in the queue when qmail-send
// starts. It goes on beside the loop, which serves meanwhile.
//
// What it finds comes to the loop some time after it was looked at. Until it has
// come the loop knows nothing of the message, so that it can neither have ended
// nor be under way; with one exception: what the loop itself has begun to
// preprocess. That the walk may meet before, while or after it is entered, or
// after it has ended and its number belongs to another message. So the loop
// remembers, as long as the walk goes on, what it has begun to preprocess, and
// takes no news of it from the walk.
//
// Likewise, what has the whole queue tried now counts for what is still to come.
type takingIn struct {
	met     map[queue.ID]bool      // begun to be preprocessed meanwhile; nil when the walk is over
	flushed [queue.Channels]*int64 // when each channel was made due meanwhile
}

// flush makes a channel's messages due that are still to come.
func (t *takingIn) flush(c queue.Channel, now int64) {
	if !t.over() {
		t.flushed[c] = &now
	}
}

// hasten makes a message due that the walk has found, if its channel is.
func (t *takingIn) hasten(f *found) {
	for c, now := range t.flushed {
		if now != nil {
			f.state.NextTry[c], f.flushed[c] = *now, true
		}
	}
}

// over reports whether the walk has ended.
func (t *takingIn) over() bool { return t.met == nil }

// meet notes that the loop knows a message better than the walk.
func (t *takingIn) meet(id queue.ID) {
	if !t.over() {
		t.met[id] = true
	}
}

// found is a message as the walk has found it.
type found struct {
	id      queue.ID
	state   queue.State
	size    int64
	flushed [queue.Channels]bool // made due meanwhile
	err     error
}

// Limits of taking in.
const (
	takeInBatch = 256                    // messages that are entered at a time
	takers      = 2                      // that look at messages at a time
	takeInFirst = 200 * time.Millisecond // how long a start waits for the first ones
	takeInCalls = 2                      // that a short queue needs: for its messages, and for the end
)

// Garbage returns how much memory qmail-send with so many messages may take
// beyond what is in use, in percent of that: from 40 000 messages on, half a
// megabyte. What is in use is mostly the index, which costs a collection next to
// nothing.
func Garbage(messages int) int { return max(1, min(25, 1_000_000/max(1, messages))) }

// beginTakingIn begins the walk and waits a moment for its first messages:
// a short queue is taken in, as by C, before anything else is done.
func (s *Scheduler) beginTakingIn() {
	s.takingIn.met = map[queue.ID]bool{}
	go s.takeInQueue()
	late := time.After(takeInFirst)
	for calls := 0; calls < takeInCalls && !s.takingIn.over(); calls++ {
		select {
		case enter := <-s.beside.calls:
			enter()
		case <-late:
			return
		}
	}
}

// takeInQueue is the walk. Several look at messages: it is the kernel that takes
// its time.
func (s *Scheduler) takeInQueue() {
	work := make(chan []queue.ID, takers)
	var looking sync.WaitGroup
	for range takers {
		looking.Go(func() { s.lookAtAll(work) })
	}
	count, ok := s.handOut(work)
	close(work)
	looking.Wait()
	if !ok || !s.beside.in(func() { s.takeIn(nil, true) }) {
		return
	}
	s.fillIn()
	debug.SetGCPercent(Garbage(count))
	debug.FreeOSMemory() // what was needed to get here
}

// handOut hands out the messages in the queue, some at a time, and counts them;
// ok is false if the loop is over.
func (s *Scheduler) handOut(work chan<- []queue.ID) (count int, ok bool) {
	scan := queue.ScanSplit("info")
	defer scan.Close()
	var some []queue.ID
	for more := true; more; {
		var id queue.ID
		var listed bool
		var err error
		if id, listed, more, err = scan.Next(); err != nil {
			if !s.beside.pause(func() { s.cannotOpenDir(err) }) {
				return count, false
			}
			continue
		}
		if listed {
			some = append(some, id)
			count++
		}
		if len(some) == takeInBatch || !more && len(some) > 0 {
			work <- some
			some = make([]queue.ID, 0, takeInBatch)
		}
	}
	return count, true
}

// lookAtAll looks at messages and has the loop enter them, until it is over.
func (s *Scheduler) lookAtAll(work <-chan []queue.ID) {
	batch := make([]found, 0, takeInBatch)
	over := false
	for some := range work {
		if over {
			continue
		}
		batch = batch[:0]
		for _, id := range some {
			batch = append(batch, s.lookAt(id))
		}
		over = !s.beside.in(func() { s.takeIn(batch, false) })
	}
}

// lookAt looks at the files of a message.
func (s *Scheduler) lookAt(id queue.ID) found {
	f := found{id: id, size: -1}
	f.state, f.err = queue.Look(id)
	if s.steer != nil && f.state.Info {
		if size, err := queue.MessSize(id); err == nil {
			f.size = size
		}
	}
	return f
}

// takeIn enters messages that the walk has found.
func (s *Scheduler) takeIn(batch []found, last bool) {
	for _, f := range batch {
		if !s.takingIn.met[f.id] {
			s.takingIn.hasten(&f)
			s.enter(f)
		}
	}
	if last {
		s.takingIn = takingIn{}
		s.steer.takenIn(&s.failed)
	}
}

// takenIn drops the orders for messages that are no more, once all are known.
func (st *steering) takenIn(failed *dueQueue) {
	if st == nil {
		return
	}
	st.orders.Retain(func(id queue.ID, birth int64) bool {
		r := st.index.Get(id)
		return r != nil && int64(r.Birth) == birth || failed.has(id)
	})
}

// fillIn looks up, beside the loop, what is not needed for deliveries: the
// reasons why the messages wait that were in the queue at the start.
func (s *Scheduler) fillIn() {
	if s.steer == nil || s.steer.reasons == nil {
		return
	}
	var batch []remark
	enter := func() bool {
		ok := s.beside.in(func() { s.steer.merge(batch) })
		batch = batch[:0]
		return ok
	}
	goesOn := true
	s.steer.reasons.Each(func(r reasons.Record, pos int64) {
		if !goesOn {
			return
		}
		name := steer.Name{ID: uint64(r.ID), Birth: r.Birth}
		batch = append(batch, remark{name, pos, r.Channel, uint16(min(r.Tries, maxTries))})
		if len(batch) == takeInBatch {
			goesOn = enter()
		}
	})
	if goesOn && len(batch) > 0 {
		enter()
	}
}

// remark is what the log of reasons tells of a message.
type remark struct {
	steer.Name
	pos     int64
	channel queue.Channel
	tries   uint16
}

const maxTries = 65535

// merge enters what was looked up about messages that are still there.
func (st *steering) merge(batch []remark) {
	for _, m := range batch {
		r := st.index.Get(queue.ID(m.ID))
		if r == nil || int64(r.Birth) != m.Birth {
			continue
		}
		if r.Reason < m.pos {
			r.Reason = m.pos
		}
		r.Tries[m.channel] = max(r.Tries[m.channel], m.tries)
	}
}

// cannotOpenDir tells of a directory of the queue that cannot be opened.
func (s *Scheduler) cannotOpenDir(err error) {
	dir := "queue"
	if e, ok := err.(*queue.FileError); ok {
		dir = e.File
	}
	s.logLine(maillog.Alert("unable to opendir " + dir + ", sleeping..."))
}
