package send

import (
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
	numbers numbers
	doomed  dueQueue        // messages to be removed
	socket  *steer.Listener // nil where there is none
	looks   chan struct{}   // one for each look at the whole queue that goes on
}

// Limits of serving those who ask.
const (
	maxClients = 64  // at a time
	maxLooks   = 4   // at the whole queue at a time; others wait
	actBatch   = 500 // messages that are acted on per turn of the loop
)

// startSteering takes up what was ordered. The error is for orders that are there
// but cannot be read: held mail must not go out for that.
func (s *Scheduler) startSteering() error {
	st := s.steer
	if st == nil {
		return nil
	}
	var err error
	// Which messages there are is not known yet: see takenIn.
	if st.orders, err = orders.Open(func(queue.ID, orders.Order) bool { return true }); err != nil {
		return err
	}
	if st.reasons, err = reasons.Open(); err != nil {
		s.logLine(maillog.Warning("unable to keep reasons: " + err.Error()))
		st.reasons = nil
	}
	return nil
}

// listen begins to serve those who ask.
func (s *Scheduler) listen() {
	if s.steer == nil {
		return
	}
	var err error
	if s.steer.socket, err = steer.Listen(); err != nil {
		s.logLine(maillog.Warning("unable to listen: " + err.Error()))
		s.steer.socket = nil
		return
	}
	go s.serve()
}

// canSteer reports whether the queue has the folder of steering.
func canSteer() bool { return syscall.Access(steer.Folder, searchable|writable) == nil }

func newSteering() *steering {
	return &steering{
		numbers: newNumbers(),
		active:  map[queue.ID]int{},
		looks:   make(chan struct{}, maxLooks),
	}
}

const writable = 2 // W_OK of access(2)

// stop ends the service; who waits for an answer gets none.
func (st *steering) stop() {
	if st != nil && st.socket != nil {
		st.socket.Close()
	}
}

// entered notes a message that was taken in or preprocessed.
func (st *steering) entered(id queue.ID, birth, size int64) {
	if st != nil {
		st.index.Put(roster.NewRecord(id, birth, size))
	}
}

// arrived notes a message that was just preprocessed.
func (st *steering) arrived(id queue.ID, birth, size, now int64) {
	if st == nil {
		return
	}
	st.meter.Arrived(now)
	st.entered(id, birth, size)
}

// ended notes a message that has left the queue.
func (st *steering) ended(id queue.ID, now int64) {
	if st == nil {
		return
	}
	st.meter.Ended(now)
	if r := st.index.Get(id); r != nil {
		st.numbers.keep(id, int64(r.Birth), now)
	}
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
		ID: r.ID, Birth: int64(r.Birth), Channel: d.job.channel, Pos: d.pos, Time: now,
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
	return st.orders.Get(id, int64(r.Birth))
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
	if st == nil {
		return
	}
	for _, r := range st.orders.Rules() {
		if end(r) <= now {
			_ = st.orders.Cancel(r.Number)
			return // the others another time: the list has changed
		}
	}
}
