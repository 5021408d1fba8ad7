package send

import (
	"slices"
	"syscall"

	"github.com/reqmail/reqmail/compat/maillog"
	"github.com/reqmail/reqmail/compat/steer"
	"github.com/reqmail/reqmail/qmail/roster"
	"github.com/reqmail/reqmail/queue"
	"github.com/reqmail/reqmail/queue/orders"
	"github.com/reqmail/reqmail/queue/reasons"
)

// steering is what qmail-send knows and does beyond C's: the index of
// messages, what administrators ordered, why recipients wait, and who may ask.
// Like everything else it belongs to the loop. Where the folder lock/send is
// missing there is none: a nil *steering does nothing and costs nothing.
type steering struct {
	index   roster.Index
	meter   roster.Meter
	orders  *orders.Journal
	reasons *reasons.Log     // nil where it cannot be written
	active  map[queue.ID]int // jobs of a message
	doomed  dueQueue         // messages to be removed
	calls   chan func()      // what others want the loop to do
	over    chan struct{}    // closed when the loop has ended
	socket  *steer.Listener  // nil where there is none
	looks   chan struct{}    // one for each look at the whole queue that goes on
	poke    func()           // wakes the loop
}

// Limits of serving those who ask.
const (
	maxClients = 64  // at a time
	maxLooks   = 4   // at the whole queue at a time; others wait
	maxCalls   = 16  // per turn of the loop
	actBatch   = 500 // messages that are acted on per turn of the loop
)

// startSteering takes up what was ordered, once the queue was taken in, and
// begins to serve. The error is for orders that are there but cannot be read:
// held mail must not go out for that.
func (s *Scheduler) startSteering() error {
	st := s.steer
	if st == nil {
		return nil
	}
	var err error
	st.orders, err = orders.Open(func(id queue.ID, o orders.Order) bool {
		r := st.index.Get(id)
		return r != nil && r.Birth == o.Birth || s.failed.has(id)
	})
	if err != nil {
		return err
	}
	doomed := map[queue.ID]bool{}
	for id, o := range st.orders.All() {
		if o.Remove != orders.Keep {
			doomed[id] = true
		}
	}
	s.doom(doomed)
	if st.reasons, err = reasons.Open(); err != nil {
		s.logLine(maillog.Warning("unable to keep reasons: " + err.Error()))
		st.reasons = nil
	}
	if st.socket, err = steer.Listen(); err != nil {
		s.logLine(maillog.Warning("unable to listen: " + err.Error()))
		st.socket = nil
	}
	go s.fillIn(slices.Clone(st.index.Records()))
	if st.socket != nil {
		go s.serve()
	}
	return nil
}

// canSteer reports whether the queue has the folder of steering.
func canSteer() bool { return syscall.Access(steer.Folder, searchable|writable) == nil }

func newSteering(poke func()) *steering {
	return &steering{
		active: map[queue.ID]int{},
		calls:  make(chan func(), maxClients+1),
		over:   make(chan struct{}),
		looks:  make(chan struct{}, maxLooks),
		poke:   poke,
	}
}

const writable = 2 // W_OK of access(2)

// stop ends the service; who waits for an answer gets none.
func (st *steering) stop() {
	if st == nil {
		return
	}
	if st.socket != nil {
		st.socket.Close()
	}
	close(st.over)
}

// in has the loop call f and returns when it has, false if the loop is over.
// It is for every other goroutine.
func (st *steering) in(f func()) bool {
	done := make(chan struct{})
	select {
	case st.calls <- func() { f(); close(done) }:
	case <-st.over:
		return false
	}
	st.poke()
	select {
	case <-done:
		return true
	case <-st.over:
		return false
	}
}

// serveCalls does what others want the loop to do.
func (st *steering) serveCalls(now int64) {
	if st == nil {
		return
	}
	st.dropEndedRules(now)
	for range maxCalls {
		select {
		case f := <-st.calls:
			f()
		default:
			return
		}
	}
}

// fillIn looks up, beside the loop, what is not needed for deliveries: sizes
// and reasons of the messages that were in the queue at the start.
func (s *Scheduler) fillIn(records []roster.Record) {
	known := make(map[steer.Name]int, len(records))
	for i := range records {
		r := &records[i]
		known[steer.Name{ID: uint64(r.ID), Birth: r.Birth}] = i
		if r.Size == roster.Unsized {
			if size, err := queue.MessSize(r.ID); err == nil {
				r.Size = size
			}
		}
	}
	if log := s.steer.reasons; log != nil {
		log.Each(func(r reasons.Record, pos int64) {
			if i, ok := known[steer.Name{ID: uint64(r.ID), Birth: r.Birth}]; ok {
				records[i].Reason = pos
				records[i].Tries[r.Channel] = uint16(min(r.Tries, maxTries))
			}
		})
	}
	for len(records) > 0 {
		batch := records[:min(len(records), 4096)]
		if !s.steer.in(func() { s.steer.merge(batch) }) {
			return
		}
		records = records[len(batch):]
	}
}

const maxTries = 65535

// merge enters what was looked up about messages that are still there.
func (st *steering) merge(batch []roster.Record) {
	for _, found := range batch {
		r := st.index.Get(found.ID)
		if r == nil || r.Birth != found.Birth {
			continue
		}
		if r.Size == roster.Unsized {
			r.Size = found.Size
		}
		if r.Reason == 0 {
			r.Reason = found.Reason
		}
		for c := range r.Tries {
			r.Tries[c] = uint16(min(int(r.Tries[c])+int(found.Tries[c]), maxTries))
		}
	}
}

// entered notes a message that was taken in or preprocessed.
func (st *steering) entered(id queue.ID, birth, size int64) {
	if st != nil {
		st.index.Put(roster.Record{ID: id, Birth: birth, Size: size})
	}
}

// arrived notes a message that was just preprocessed.
func (st *steering) arrived(id queue.ID, size, now int64) {
	if st == nil {
		return
	}
	st.meter.Arrived(now)
	if birth, ok, err := queue.Birth(id); ok && err == nil {
		st.entered(id, birth, size)
	}
}

// ended notes a message that has left the queue.
func (st *steering) ended(id queue.ID, now int64) {
	if st == nil {
		return
	}
	st.meter.Ended(now)
	st.index.Remove(id)
	st.orders.Drop(id)
}

// started notes a delivery of a job.
func (st *steering) started(j *job) {
	j.started++
	if st == nil || j.started > 1 {
		return
	}
	if r := st.index.Get(j.id); r != nil {
		r.Tries[j.channel] = uint16(min(int(r.Tries[j.channel])+1, maxTries))
		r.Rule = 0
	}
}

// reported notes the end of a delivery.
func (st *steering) reported(d *delivery, status byte, text string, now int64) {
	if st == nil {
		return
	}
	st.meter.Delivery(now, status)
	r := st.index.Get(d.job.id)
	if r == nil || st.reasons == nil || status == 'K' {
		return
	}
	pos, err := st.reasons.Add(reasons.Record{
		ID: r.ID, Birth: r.Birth, Channel: d.job.channel, Pos: d.pos, Time: now,
		Tries: int(r.Tries[d.job.channel]), Text: text,
	}, r.Reason, st.index.Len())
	if err == nil {
		r.Reason = pos
	}
}

// order returns what is ordered for a message.
func (st *steering) order(id queue.ID) (o orders.Order, ok bool) {
	if st == nil || st.orders.Len() == 0 {
		return o, false
	}
	r := st.index.Get(id)
	if r == nil {
		return o, false
	}
	return st.orders.Get(id, r.Birth)
}

// gate returns until when a message must wait; a time that is not after now
// means that it may be tried. A hold whose time has come is ended.
func (s *Scheduler) gate(id queue.ID) int64 {
	o, ok := s.steer.order(id)
	if !ok {
		return 0
	}
	switch {
	case o.Remove != orders.Keep:
		return roster.Never
	case o.Held && o.Until == 0:
		return roster.Never
	case o.Held && o.Until > s.recent:
		return o.Until
	case o.Held:
		o.Release()
		if s.steer.orders.Set(map[queue.ID]orders.Order{id: o}) == nil {
			s.logLine(maillog.Steered(uint64(id), "hold has ended"))
		}
	}
	return o.NotBefore
}

// waits returns until when a channel as a whole is suspended.
func (s *Scheduler) waits(c queue.Channel) (until int64) {
	if s.steer == nil {
		return 0
	}
	for _, r := range s.steer.orders.Rules() {
		if r.Channel == c.String() && r.Verb == steer.Suspend {
			until = max(until, end(r))
		}
	}
	return until
}

// end returns when a rule ends by itself.
func end(r steer.Rule) int64 {
	if r.Until == 0 {
		return roster.Never
	}
	return r.Until
}

// ruleFor returns the rule for mail from one address to another, nil if there
// is none in force.
func (s *Scheduler) ruleFor(sender, recipient string, c queue.Channel) *steer.Rule {
	if s.steer == nil {
		return nil
	}
	rules := s.steer.orders.Rules()
	for i := range rules {
		if r := &rules[i]; r.Channel == "" && end(*r) > s.recent && r.Applies(sender, recipient, c.String()) {
			return r
		}
	}
	return nil
}

// dropEndedRules forgets rules whose time is over.
func (st *steering) dropEndedRules(now int64) {
	for _, r := range st.orders.Rules() {
		if end(r) <= now {
			_ = st.orders.Cancel(r.Number)
			return // the others another time: the list has changed
		}
	}
}
