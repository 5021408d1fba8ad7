package send

import (
	"errors"
	"strconv"

	"github.com/reqmail/reqmail/compat/maillog"
	"github.com/reqmail/reqmail/compat/steer"
	"github.com/reqmail/reqmail/qmail/roster"
	"github.com/reqmail/reqmail/queue"
	"github.com/reqmail/reqmail/queue/orders"
)

// Why an act does not touch a message.
var (
	errNoMessage = errors.New("there is no such message")
	errNoBirth   = errors.New("its birth must be told: numbers are used again")
	errOther     = errors.New("the number belongs to another message now")
	errRemoving  = errors.New("it is being removed")
	errHeld      = errors.New("it is held: release it first")
	errNotHeld   = errors.New("it is not held")
	errTried     = errors.New("it is being tried already")
)

// change is one verb: what it makes of the order for a message, or why it
// can't.
type change func(s *Scheduler, a *steer.Act, r *roster.Record, o *orders.Order) error

// changes are the verbs that act on messages.
func changes() map[steer.Verb]change {
	return map[steer.Verb]change{
		steer.Retry: func(s *Scheduler, _ *steer.Act, r *roster.Record, o *orders.Order) error {
			if o.Held {
				return errHeld
			}
			if r.Rule != 0 && s.inForce(int(r.Rule)) {
				return errors.New("it waits for the end of suspension " + strconv.Itoa(int(r.Rule)))
			}
			o.NotBefore = 0
			return nil
		},
		steer.Hold: func(s *Scheduler, a *steer.Act, _ *roster.Record, o *orders.Order) error {
			o.Held, o.Since, o.Until, o.Reason = true, s.recent, a.Until, a.Reason
			return nil
		},
		steer.Release: func(_ *Scheduler, _ *steer.Act, _ *roster.Record, o *orders.Order) error {
			if !o.Held {
				return errNotHeld
			}
			o.Release()
			return nil
		},
		steer.Remove: func(_ *Scheduler, a *steer.Act, _ *roster.Record, o *orders.Order) error {
			o.Remove = orders.Silently
			if a.Bounce {
				o.Remove, o.Reason = orders.Bouncing, a.Reason
			}
			return nil
		},
		steer.Postpone: func(_ *Scheduler, a *steer.Act, _ *roster.Record, o *orders.Order) error {
			o.NotBefore = a.Until
			return nil
		},
		steer.Expire: func(_ *Scheduler, a *steer.Act, _ *roster.Record, o *orders.Order) error {
			o.ExpireAt = a.Until
			return nil
		},
	}
}

// checkAct returns why an act makes no sense.
func checkAct(a *steer.Act, now int64) error {
	switch {
	case len(a.Names) == 0 && a.Filter == nil:
		return errors.New("no messages are named")
	case len(a.Names) > steer.MaxNames:
		return errors.New("too many messages are named")
	case len(a.Reason) > steer.MaxReason:
		return errors.New("reason is too long")
	case a.Verb == steer.Postpone && a.Until <= now, a.Verb == steer.Hold && a.Until != 0 && a.Until <= now,
		a.Until < 0 || a.Until >= roster.Never:
		return errors.New("the time is over already")
	}
	if a.Filter != nil {
		return a.Filter.Check()
	}
	return nil
}

func (s *Scheduler) inForce(rule int) bool {
	for _, r := range s.steer.orders.Rules() {
		if r.Number == rule {
			return true
		}
	}
	return false
}

// act does something to messages, all in one turn of the loop, and adds to the
// result. What it orders is in the journal, not yet durable.
func (s *Scheduler) act(a *steer.Act, names []steer.Name, result *steer.Result) {
	apply := changes()[a.Verb]
	changed := map[queue.ID]orders.Order{}
	ids := map[queue.ID]bool{}
	var good []steer.Name
	for _, name := range names {
		r, o, err := s.find(name)
		before := o
		if err == nil {
			err = apply(s, a, r, &o)
		}
		if err != nil {
			fail(result, name, err)
			continue
		}
		if o.Birth = int64(r.Birth); o != before {
			changed[r.ID] = o
		}
		ids[r.ID] = true
		good = append(good, name)
	}
	if !a.DryRun {
		good = s.carryOut(a, good, ids, changed, result)
	}
	result.Touched += len(good)
}

// find returns a message by its name, and what is ordered for it.
func (s *Scheduler) find(name steer.Name) (*roster.Record, orders.Order, error) {
	r := s.steer.index.Get(queue.ID(name.ID))
	switch {
	case r == nil:
		return nil, orders.Order{}, errNoMessage
	case name.Birth == 0:
		return nil, orders.Order{}, errNoBirth
	case name.Birth != int64(r.Birth):
		return nil, orders.Order{}, errOther
	}
	o, _ := s.steer.order(r.ID)
	if o.Remove != orders.Keep {
		return nil, o, errRemoving
	}
	return r, o, nil
}

// carryOut puts changed orders in force, and moves the messages accordingly. It
// returns the messages that were touched.
func (s *Scheduler) carryOut(a *steer.Act, names []steer.Name, ids map[queue.ID]bool, changed map[queue.ID]orders.Order,
	result *steer.Result) []steer.Name {
	if err := s.steer.orders.Set(changed); err != nil {
		for _, name := range names {
			fail(result, name, err)
		}
		return nil
	}
	switch a.Verb {
	case steer.Retry:
		found := s.hasten(ids, s.recent)
		kept := names[:0]
		for _, name := range names {
			if found[queue.ID(name.ID)] {
				kept = append(kept, name)
			} else {
				fail(result, name, errTried)
			}
		}
		names = kept
	case steer.Release:
		s.hasten(ids, s.recent)
	case steer.Postpone, steer.Expire:
		if a.Until != 0 {
			s.hasten(ids, a.Until)
		}
	case steer.Remove:
		s.doom(ids)
	}
	for _, name := range names {
		s.logLine(maillog.Steered(name.ID, steps()[a.Verb]))
	}
	return names
}

// steps are the verbs as the log words them.
func steps() map[steer.Verb]string {
	return map[steer.Verb]string{
		steer.Retry: "due now", steer.Hold: "held", steer.Release: "released",
		steer.Remove: "to be removed", steer.Postpone: "postponed", steer.Expire: "lifetime changed",
	}
}

// hasten makes messages due at a time at the latest, wherever they wait.
func (s *Scheduler) hasten(ids map[queue.ID]bool, due int64) (found map[queue.ID]bool) {
	found = map[queue.ID]bool{}
	for c := range s.channel {
		for _, q := range s.schedules(queue.Channel(c)) {
			q.hasten(ids, found, due)
		}
	}
	s.done.hasten(ids, found, due)
	return found
}

func fail(result *steer.Result, name steer.Name, why error) {
	result.Failed++
	if len(result.Failures) < steer.MaxFailures {
		result.Failures = append(result.Failures, steer.Failure{Name: name, Reason: why.Error()})
	}
}

// addRule puts a rule in force, not yet durable.
func (s *Scheduler) addRule(r steer.Rule) (number int, err error) {
	if len(s.steer.orders.Rules()) >= steer.MaxRules {
		return 0, errors.New("too many suspensions and bounces")
	}
	r.Since = s.recent
	number, err = s.steer.orders.AddRule(r)
	if err == nil {
		s.logLine("steer: rule " + strconv.Itoa(number) + ": " + string(r.Verb) + " " + maillog.Safe(r.Destination+r.SenderDomain+r.Channel))
	}
	return number, err
}

// applied notes which messages a rule applies to: those to be returned are due
// now, and the others are known to wait.
func (s *Scheduler) applied(r *steer.Rule, number int, names []steer.Name) {
	ids := map[queue.ID]bool{}
	for _, name := range names {
		if record, _, err := s.find(name); err == nil {
			ids[record.ID] = true
			if r.Verb == steer.Suspend {
				record.Rule = uint32(number)
			}
		}
	}
	if r.Verb == steer.BounceRule {
		s.hasten(ids, s.recent)
	}
}

// cancelRule ends a rule; what waited for it is due now.
func (s *Scheduler) cancelRule(number int, dryRun bool) (touched int, err error) {
	if !s.inForce(number) {
		return 0, errors.New("there is no suspension or bounce " + strconv.Itoa(number))
	}
	ids := map[queue.ID]bool{}
	for r := range s.steer.index.All() {
		if r.Rule == uint32(number) {
			ids[r.ID] = true
		}
	}
	if dryRun {
		return len(ids), nil
	}
	if err := s.steer.orders.Cancel(number); err != nil {
		return 0, err
	}
	for id := range ids {
		s.steer.index.Get(id).Rule = 0
	}
	s.hasten(ids, s.recent)
	s.logLine("steer: rule " + strconv.Itoa(number) + " cancelled")
	return len(ids), nil
}
