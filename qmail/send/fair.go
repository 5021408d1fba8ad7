package send

import (
	"slices"
	"strings"

	"github.com/reqmail/reqmail/compat/address"
	"github.com/reqmail/reqmail/queue"
)

// fair shares the slots of the remote channel between destinations, the domains
// of recipients, and lets fresh mail go before retries. A nil *fair does
// neither: messages are tried in C's order, whatever holds the slots.
//
// A destination may begin a delivery while those it has under way are fewer than
// its share of the slots that are free: half of all slots go to the first one,
// half of the rest to the second, and so on, so that some are always left. Quick
// answers double the share up to the sixteenfold, so that who is alone gets
// nearly all; answers that take long halve it, down to a quarter. A recipient
// whose destination has no slot now waits for one. The times of the schedule
// stay those of queue.NextTry.
type fair struct {
	known map[string]*destination
	fresh dueQueue       // messages that were not tried yet
	held  []*destination // those that something waits for, in turn
	later int            // recipients that wait, of messages under way
	turn  uint           // counts messages
}

// destination is what is known of a domain.
type destination struct {
	name     string
	running  int      // deliveries under way
	share    int      // of the free slots, as a power of two
	waiting  dueQueue // messages none of whose recipients could be tried for it
	later    []later  // recipients of messages under way
	enlisted bool     // in held
}

// later is a recipient that waits while the others of its message are tried.
type later struct {
	job *job
	pos int64
}

// Limits of fairness.
const (
	mostShare, leastShare = 4, -2 // powers of two
	slow                  = 10    // seconds that a quick answer takes at most
	fewSlots              = 10    // fewer are not shared
	keptFree              = 10    // a tenth of the slots is not for who is known to be slow
	maxDestinations       = 1024  // that are known; others are not held up
	maxLater              = 10000 // recipients; others are not held up
)

// of returns the destination of a recipient; nil where it must not be held up.
func (f *fair) of(recipient string) *destination {
	if f == nil {
		return nil
	}
	_, domain, _ := address.Split(recipient)
	name := strings.ToLower(domain)
	d := f.known[name]
	if d == nil && (len(f.known) < maxDestinations || f.forget()) {
		d = &destination{name: name}
		f.known[name] = d
	}
	return d
}

// idle reports whether nothing is under way or waits.
func (d *destination) idle() bool {
	return d.running == 0 && d.waiting.len() == 0 && len(d.later) == 0 && !d.enlisted
}

// forget makes room for another destination.
func (f *fair) forget() bool {
	for name, d := range f.known {
		if d.idle() {
			delete(f.known, name)
			return true
		}
	}
	return false
}

// allows reports whether a destination may have one more delivery.
func (d *destination) allows(sp *spawner) bool {
	free := len(sp.slots) - sp.used
	switch {
	case d == nil, len(sp.slots) < fewSlots:
		return free > 0
	case d.share < 0 && free <= len(sp.slots)/keptFree:
		return false
	case d.running == 0:
		return free > 0
	case d.share < 0:
		return d.running<<-d.share < free
	}
	return d.running < free<<d.share
}

// begun notes a delivery.
func (d *destination) begun() {
	if d != nil {
		d.running++
	}
}

// ended notes the end of a delivery after so many seconds; status is K, Z or D.
func (f *fair) ended(d *destination, status byte, took int64) {
	if d == nil {
		return
	}
	d.running--
	answered := status == 'K' || status == 'D'
	switch {
	case took < slow && answered:
		d.share = min(d.share+1, mostShare)
	case took < slow:
		d.share -= min(max(d.share, 0), 1) // it costs no slot to speak of
	case !answered:
		d.share = max(d.share-1, leastShare)
	}
	if d.share == 0 && d.idle() {
		delete(f.known, d.name)
	}
}

// hold has a destination served when it may begin a delivery again.
func (f *fair) hold(d *destination) {
	if !d.enlisted {
		d.enlisted = true
		f.held = append(f.held, d)
	}
}

// next returns a destination that something waits for and that may begin a
// delivery now; the next call returns another. With later it is one that
// recipients of messages under way wait for, else one that messages wait for.
func (f *fair) next(sp *spawner, wantLater bool) *destination {
	if f == nil || !sp.ready() {
		return nil
	}
	kept := f.held[:0]
	var found *destination
	for i, d := range f.held {
		if len(d.later) == 0 && d.waiting.len() == 0 {
			d.enlisted = false
			continue
		}
		has := len(d.later) > 0
		if has == wantLater && d.allows(sp) {
			found = d
			kept = append(append(kept, f.held[i+1:]...), d)
			break
		}
		kept = append(kept, d)
	}
	f.held = kept
	return found
}

func (f *fair) hasFresh() bool { return f != nil && f.fresh.len() > 0 }

// take returns the message that is tried next on a channel.
func (s *Scheduler) take(c queue.Channel) (entry, bool) {
	if c == queue.Remote && s.fair != nil {
		return s.fair.take(s.spawners[c], &s.channel[c], s.recent)
	}
	return s.channel[c].take(s.recent)
}

// take returns the message that is tried next: three in four times a fresh one,
// if there is one, otherwise by turns one that waits for its destination and one
// that is due for a retry.
func (f *fair) take(sp *spawner, retries *dueQueue, now int64) (entry, bool) {
	f.turn++
	fresh := func() (entry, bool) { return f.fresh.take(now) }
	waiting := func() (entry, bool) {
		d := f.next(sp, false)
		if d == nil {
			return entry{}, false
		}
		return d.waiting.take(now)
	}
	retry := func() (entry, bool) { return retries.take(now) }
	sources := [...]func() (entry, bool){fresh, waiting, retry}
	switch f.turn % 8 {
	case 0:
		sources = [...]func() (entry, bool){retry, waiting, fresh}
	case 4:
		sources = [...]func() (entry, bool){waiting, retry, fresh}
	}
	for _, source := range sources {
		if e, ok := source(); ok {
			return e, true
		}
	}
	return entry{}, false
}

// any reports whether something that waits can go on; messages says whether
// messages can be begun.
func (f *fair) any(sp *spawner, messages bool) bool {
	if f == nil || !sp.ready() {
		return false
	}
	return slices.ContainsFunc(f.held, func(d *destination) bool {
		return (len(d.later) > 0 || messages && d.waiting.len() > 0) && d.allows(sp)
	})
}

// drop forgets recipients that wait of messages, and returns their jobs.
func (f *fair) drop(ids map[queue.ID]bool) (jobs []*job) {
	if f == nil {
		return nil
	}
	for _, d := range f.held {
		d.later = slices.DeleteFunc(d.later, func(l later) bool {
			if ids[l.job.id] {
				jobs = append(jobs, l.job)
			}
			return ids[l.job.id]
		})
	}
	f.later -= len(jobs)
	return jobs
}

// schedules returns all queues of messages to be tried on a channel.
func (s *Scheduler) schedules(c queue.Channel) []*dueQueue {
	all := []*dueQueue{&s.channel[c]}
	if c == queue.Remote && s.fair != nil {
		all = append(all, &s.fair.fresh)
		for _, d := range s.fair.held {
			all = append(all, &d.waiting)
		}
	}
	return all
}

// arrive schedules a message that was not tried yet.
func (s *Scheduler) arrive(id queue.ID, c queue.Channel, now int64) {
	if c == queue.Remote && s.fair != nil {
		s.fair.fresh.add(id, now)
		return
	}
	s.channel[c].add(id, now)
}

// postponed is a recipient that the pass has gone over.
type postponed struct {
	destination *destination
	pos         int64
}

// postpone has a pass go over a recipient whose destination can have no more
// deliveries now.
func (s *Scheduler) postpone(p *pass, pos int64, recipient string) bool {
	if s.fair == nil || p.job.channel != queue.Remote || s.fair.later >= maxLater {
		return false
	}
	d := s.fair.of(recipient)
	if d.allows(s.spawners[queue.Remote]) {
		return false
	}
	s.fair.later++
	p.postponed = append(p.postponed, postponed{d, pos})
	return true
}

// settle decides at the end of a pass about the recipients that it has gone over.
// If nobody was tried the message waits as if it had not been begun, and its job
// is to be dropped. Otherwise they wait, and the job with them.
func (s *Scheduler) settle(p *pass) (dropped bool) {
	switch {
	case len(p.postponed) == 0:
	case !p.job.sawEnd:
		s.fair.later -= len(p.postponed) // it begins again
	case p.job.started == 0:
		s.fair.later -= len(p.postponed)
		best := slices.MaxFunc(p.postponed, func(a, b postponed) int { return a.destination.share - b.destination.share })
		s.jobs--
		if !s.steer.endedJob(p.job, s.recent) {
			best.destination.waiting.add(p.job.id, p.job.due)
			s.fair.hold(best.destination)
		}
		return true
	default:
		s.jobs-- // what only waits is none
		p.job.waits = true
		p.job.refs += len(p.postponed)
		for _, r := range p.postponed {
			r.destination.later = append(r.destination.later, later{p.job, r.pos})
			s.fair.hold(r.destination)
		}
	}
	return false
}

// resume tries one recipient that has waited while others of its message were
// tried; false if there is none that may be.
func (s *Scheduler) resume() bool {
	d := s.fair.next(s.spawners[queue.Remote], true)
	if d == nil {
		return false
	}
	j, pos := d.later[0].job, d.later[0].pos
	d.later = append(d.later[:0], d.later[1:]...)
	s.fair.later--
	file, err := queue.OpenRecipientsAt(j.id, j.channel, pos)
	var letter byte
	var recipient string
	if err == nil {
		letter, recipient, _, err = file.Next()
		file.Close()
	}
	switch {
	case err != nil:
		s.warnFile("trouble reading", j.id.Recipients(j.channel), tryAgain)
		j.sawEnd = false
	case s.gate(j.id) > s.recent:
		j.sawEnd = false // held since
	case letter == 'T':
		s.try(j, pos, recipient)
	default:
		j.todo-- // returned since
	}
	s.closeJob(j)
	return true
}
