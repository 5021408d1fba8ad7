package send

import (
	"github.com/reqmail/reqmail/compat/maillog"
	"github.com/reqmail/reqmail/compat/steer"
	"github.com/reqmail/reqmail/queue"
	"github.com/reqmail/reqmail/queue/orders"
)

// life is how long a message is tried.
type life struct {
	birth    int64
	now      int64 // when this try began
	expireAt int64 // a lifetime of its own, Unix seconds; 0: there is none
}

// lifeOf returns the life of a message that is being tried.
func (s *Scheduler) lifeOf(id queue.ID, birth int64) life {
	o, _ := s.steer.order(id)
	return life{birth, s.recent, o.ExpireAt}
}

// over reports whether this is the last try for a recipient.
func (l life) over(c *Config, recipient string) bool {
	if l.expireAt != 0 {
		return l.now >= l.expireAt
	}
	return queue.Expired(l.birth, l.now, c.lifetimeFor(recipient))
}

// rest is why a message on a channel is tried at another time than its
// schedule says.
type rest struct {
	until int64 // recipients are suspended until then; 0: none are
	rule  int
	last  int64 // when the lifetime of a recipient ends, where it has one of its own; 0: none has
}

// next returns when a job's message is tried again.
func (j *job) next(now int64) int64 {
	due := j.retry
	if j.until != 0 && (j.started == 0 || j.until < due) {
		due = j.until
	}
	if j.last >= now {
		due = min(due, j.last+1)
	}
	return due
}

// try has a delivery to a recipient made, unless a rule stands against it.
func (s *Scheduler) try(j *job, pos int64, recipient string) {
	s.noteLifetime(j, recipient)
	rule := s.ruleFor(j.sender, s.config.withoutPrefix(recipient), j.channel)
	switch {
	case rule == nil:
		s.start(j, pos, recipient)
	case rule.Verb == steer.BounceRule:
		s.turnAway(j.id, j.channel, pos, recipient, rule.Reason)
		j.todo--
	case j.until == 0 || end(*rule) < j.until:
		j.until, j.rule = end(*rule), rule.Number
	}
}

// noteLifetime keeps when a recipient's lifetime ends, if that is not the one
// of all mail: it is to have its last try then, not at the next of the
// schedule.
func (s *Scheduler) noteLifetime(j *job, recipient string) {
	last := j.life.expireAt
	if last == 0 {
		lifetime := s.config.lifetimeFor(recipient)
		if lifetime == s.config.Lifetime {
			return
		}
		last = j.life.birth + lifetime
	}
	if j.last == 0 || last < j.last {
		j.last = last
	}
}

// returned is what senders are told of what an administrator had returned.
const returned = "The administrator of this mail system has returned this message undelivered.\n"

// turnAway notes a recipient for the bounce without a delivery.
func (s *Scheduler) turnAway(id queue.ID, c queue.Channel, pos int64, recipient, reason string) {
	text := returned
	if reason != "" {
		text += maillog.Safe(reason) + "\n"
	}
	s.logLine(maillog.Steered(uint64(id), "returned instead of delivered to "+c.String()+" "+maillog.Safe(recipient)))
	s.addBounce(id, recipient, text)
	if err := queue.MarkDone(id, c, pos); err != nil {
		s.warnFile("trouble marking", id.Recipients(c), "; message will be delivered twice!")
	}
}

// freeze keeps a double bounce that failed, held, instead of discarding it,
// where control/freezebounces asks for that.
func (s *Scheduler) freeze(d *delivery, text string) bool {
	if s.steer == nil || !s.config.FreezeBounces || d.job.sender != doubleSender {
		return false
	}
	r := s.steer.index.Get(d.job.id)
	if r == nil {
		return false
	}
	o, _ := s.steer.order(r.ID)
	o.Birth, o.Held, o.Frozen, o.Since, o.Until = int64(r.Birth), true, true, s.recent, 0
	o.Reason = text[:min(len(text), steer.MaxReason)]
	if s.steer.orders.Set(map[queue.ID]orders.Order{r.ID: o}) != nil {
		return false
	}
	s.logLine(maillog.Steered(uint64(r.ID), "frozen"))
	return true
}

// began notes that a message is being tried on a channel.
func (st *steering) began(id queue.ID) {
	if st != nil {
		st.active[id]++
	}
}

// endedJob notes the end of a job; it is true where the message is to be
// removed, which nothing stands against once its last job has ended.
func (st *steering) endedJob(j *job, now int64) bool {
	if st == nil {
		return false
	}
	if st.active[j.id]--; st.active[j.id] <= 0 {
		delete(st.active, j.id)
	}
	if r := st.index.Get(j.id); r != nil && j.until != 0 {
		r.Rule = uint32(j.rule)
	}
	o, _ := st.order(j.id)
	if o.Remove == orders.Keep {
		return false
	}
	st.doomed.add(j.id, now)
	return true
}

// condemned reports whether a message is to be removed, as an earlier qmail-send
// was told, and sees to it.
func (st *steering) condemned(id queue.ID, now int64) bool {
	if o, _ := st.order(id); o.Remove == orders.Keep {
		return false
	}
	st.doomed.add(id, now)
	return true
}

// busy reports whether there is something to be done at once.
func (st *steering) busy(now int64) bool {
	if st == nil {
		return false
	}
	e, ok := st.doomed.first()
	return ok && e.due <= now
}

// doom has messages removed one after the other; there are orders for it.
func (s *Scheduler) doom(ids map[queue.ID]bool) {
	for _, q := range append(append(s.schedules(queue.Local), s.schedules(queue.Remote)...), &s.done) {
		q.drop(ids)
	}
	for _, j := range s.fair.drop(ids) {
		s.closeJob(j)
	}
	for id := range ids {
		s.steer.doomed.add(id, s.recent)
	}
}

// removeOne removes a message that is to be removed. One with a delivery under
// way comes again when that has ended.
func (s *Scheduler) removeOne() {
	if s.steer == nil {
		return
	}
	e, ok := s.steer.doomed.take(s.recent)
	if !ok {
		return
	}
	o, ok := s.steer.order(e.id)
	if !ok || o.Remove == orders.Keep || s.steer.active[e.id] > 0 {
		return
	}
	if err := s.remove(e.id, o); err != nil {
		s.warnFileError(err, tryAgain)
		s.steer.doomed.add(e.id, s.now()+retryTrouble)
	}
}

// remove takes a message out of the queue: S5 → S2 → S1; with a bounce, finishSome
// does the rest. A crash in between leaves the order in the journal, and the
// next qmail-send carries it out.
func (s *Scheduler) remove(id queue.ID, o orders.Order) error {
	if o.Remove == orders.Bouncing {
		err := queue.EachRecipient(id, func(r queue.Recipient) bool {
			if !r.Done {
				s.turnAway(id, r.Channel, r.Pos, r.Address, o.Reason)
			}
			return true
		})
		if err == nil {
			err = queue.RemoveRecipients(id)
		}
		if err == nil {
			s.done.add(id, s.now())
		}
		return err
	}
	if err := queue.Remove(id); err != nil {
		return err
	}
	s.logLine(maillog.Steered(uint64(id), "removed"))
	s.logLine(maillog.EndMessage(uint64(id)))
	s.steer.ended(id, s.now())
	s.flushLog()
	s.cleanMess(id)
	return nil
}
