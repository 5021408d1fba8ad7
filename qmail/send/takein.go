package send

import (
	"runtime/debug"
	"sync"
	"sync/atomic"
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
	long    bool                   // there are more messages than are entered at a time
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
	takers      = 2                      // that look at messages at a time: it is the kernel that takes its time
	takeInFirst = 200 * time.Millisecond // how long a start waits for a short queue
)

// Garbage returns how much memory qmail-send with so many messages may take
// beyond what is in use, in percent of that: from 40 000 messages on, half a
// megabyte. What is in use is mostly the index, which costs a collection next to
// nothing.
func Garbage(messages int) int { return max(1, min(25, 1_000_000/max(1, messages))) }

// beginTakingIn begins the walk and waits a moment for it to end: a short queue is
// taken in, as by C, before anything else is done.
func (s *Scheduler) beginTakingIn() {
	s.takingIn.met = map[queue.ID]bool{}
	s.takingIn.long = isLong()
	go s.takeInQueue()
	late := time.After(takeInFirst)
	for !s.takingIn.over() && !s.takingIn.long {
		select {
		case enter := <-s.beside.calls:
			enter()
		case <-late:
			return
		}
	}
}

// isLong reports whether the first part of the queue alone has more messages than
// are entered at a time. To read it to its end would take long.
func isLong() bool {
	scan := queue.ScanPart("info", 0)
	defer scan.Close()
	for count := 0; count <= takeInBatch; {
		_, listed, more, err := scan.Next()
		if err != nil || !more {
			return false
		}
		if listed {
			count++
		}
	}
	return true
}

// takeInQueue is the walk.
func (s *Scheduler) takeInQueue() {
	var next atomic.Uint64
	var count atomic.Int64
	var looking sync.WaitGroup
	for range takers {
		looking.Go(func() { count.Add(s.takeInParts(&next)) })
	}
	looking.Wait()
	if !s.beside.in(func() { s.takeIn(nil, true) }) {
		return
	}
	s.fillIn()
	debug.SetGCPercent(Garbage(int(count.Load())))
	debug.FreeOSMemory() // what was needed to get here
}

// takeInParts takes in one part of the queue after the other that nobody else has
// begun, and counts its messages.
func (s *Scheduler) takeInParts(next *atomic.Uint64) int64 {
	t := &taker{Scheduler: s, todo: queue.Glance{Kind: queue.TodoFile}, batch: make([]found, 0, takeInBatch)}
	defer t.near.Close()
	for n := next.Add(1) - 1; n < queue.Split(); n = next.Add(1) - 1 {
		if !t.takeInPart(n) {
			return t.count
		}
	}
	t.handIn()
	return t.count
}

// taker looks at the messages of some parts of the queue.
type taker struct {
	*Scheduler
	lister queue.Lister
	near   queue.Near
	todo   queue.Glance
	batch  []found // not handed in yet
	count  int64
}

// takeInPart looks at the messages of a part; false if the loop is over.
func (t *taker) takeInPart(n uint64) bool {
	messages, err := t.lister.List(n)
	for err != nil {
		if !t.beside.pause(func() { t.cannotOpenDir(err) }) {
			return false
		}
		messages, err = t.lister.List(n)
	}
	t.count += int64(len(messages))
	for len(messages) > 0 {
		room := min(takeInBatch-len(t.batch), len(messages))
		t.todo.Look()
		for _, m := range messages[:room] {
			t.batch = append(t.batch, t.lookAtListed(m))
		}
		messages = messages[room:]
		if len(t.batch) == takeInBatch && !t.handIn() {
			return false
		}
	}
	return true
}

// handIn has the loop enter what was found; false if it is over.
func (t *taker) handIn() bool {
	ok := len(t.batch) == 0 || t.beside.in(func() { t.takeIn(t.batch, false) })
	t.batch = t.batch[:0]
	return ok
}

// lookAtListed looks at the files of a message that its directories tell of.
func (t *taker) lookAtListed(m queue.Listed) found {
	f := found{id: m.ID, size: -1}
	f.state.Info = true
	if f.state.Todo, f.err = t.todo.Has(m.ID); f.err != nil || f.state.Todo {
		return f
	}
	if t.steer == nil {
		f.state, f.err = t.near.LookAtTries(m)
		return f
	}
	if f.state, f.err = t.near.Look(m); f.state.Info {
		if size, err := t.near.Size(m.ID); err == nil {
			f.size = size
		}
	}
	return f
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
	s.takingIn.long = s.takingIn.long || len(batch) == takeInBatch
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
