package manage

import (
	"errors"
	"time"

	"github.com/reqmail/reqmail/compat/steer"
	"github.com/reqmail/reqmail/qmail/roster"
	"github.com/reqmail/reqmail/queue"
	"github.com/reqmail/reqmail/queue/orders"
)

// Why an act does not touch a message.
var (
	errNoMessage = errors.New("there is no such message")
	errOther     = errors.New("the number belongs to another message now")
	errHeld      = errors.New("it is held: release it first")
	errNotHeld   = errors.New("it is not held")
	errQueued    = errors.New("it is not preprocessed yet, which qmail-send does when it starts; until then it can only be removed, without --bounce")
)

// Act does something to messages while no qmail-send runs. Silent removals and
// next tries are in the files of the queue and count for C's qmail-send too;
// the rest is in the journal, and counts for ours. What was ordered is durable
// when it returns.
func (f *Files) Act(act steer.Act) (result steer.Result, err error) {
	if err := f.lock(); err != nil {
		return result, err
	}
	s, err := f.snapshot()
	if err != nil {
		return result, err
	}
	names := act.Names
	if len(names) == 0 && act.Filter != nil {
		if err := act.Filter.Check(); err != nil {
			return result, err
		}
		_, err = f.List(steer.Query{Filter: *act.Filter}, func(m steer.Message) error {
			names = append(names, m.Name)
			return nil
		})
		if err != nil {
			return result, err
		}
	}
	if act.Verb == steer.Remove && !act.Bounce {
		return f.remove(names, s, act.DryRun)
	}
	return f.order(act, names, s)
}

// each does something to each message.
func (f *Files) each(names []steer.Name, result *steer.Result, s *roster.Snapshot, do func(*steer.Message) error) (steer.Result, error) {
	for _, name := range names {
		m, ok := find(s, queue.ID(name.ID))
		err := errNoMessage
		if ok {
			err = errOther
		}
		if ok && m.Birth == name.Birth {
			err = do(&m)
		}
		if err := f.count(result, name, err); err != nil {
			return *result, err
		}
	}
	return *result, nil
}

// remove removes messages: S5 → S2 → S1. Of those that are queued all envelopes
// go before the first text, so that one sync does for them.
func (f *Files) remove(names []steer.Name, s *roster.Snapshot, dryRun bool) (result steer.Result, err error) {
	var unqueued []queue.ID
	result, err = f.each(names, &result, s, func(m *steer.Message) error {
		id := queue.ID(m.ID)
		if err := f.cleaner.may(id); err != nil || dryRun {
			return err
		}
		if err := queue.Remove(id); err != nil { // of a queued one: what preprocessing had begun
			return err
		}
		if m.State == steer.Queued {
			unqueued = append(unqueued, id)
			return f.cleaner.envelope(id)
		}
		return f.cleaner.text(id)
	})
	if err != nil || len(unqueued) == 0 {
		return result, err
	}
	if err := queue.SyncTodo(); err != nil {
		return result, err
	}
	for _, id := range unqueued {
		if _, ok, err := queue.Queued(id); err != nil || ok {
			continue // told already: its envelope could not be removed
		}
		if err := f.cleaner.text(id); err != nil {
			return result, err
		}
	}
	return result, nil
}

// order changes what is ordered for messages.
func (f *Files) order(act steer.Act, names []steer.Name, s *roster.Snapshot) (result steer.Result, err error) {
	j, err := f.journal()
	if err != nil {
		return result, err
	}
	changed := map[queue.ID]orders.Order{}
	result, err = f.each(names, &result, s, func(m *steer.Message) error {
		if m.State == steer.Queued {
			return errQueued
		}
		o, _ := j.Get(queue.ID(m.ID), m.Birth)
		o.Birth = m.Birth
		if err := change(act, &o, s.Now); err != nil {
			return err
		}
		changed[queue.ID(m.ID)] = o
		if act.DryRun || act.Verb != steer.Retry && act.Verb != steer.Release {
			return nil
		}
		return dueNow(m, "", s.Now)
	})
	if err != nil || act.DryRun || len(changed) == 0 {
		return result, err
	}
	if err := j.Set(changed); err != nil {
		return steer.Result{}, err
	}
	return result, j.Sync()
}

// change makes of an order what an act asks for.
func change(act steer.Act, o *orders.Order, now int64) error {
	late := act.Until != 0 && act.Until <= now || act.Until == 0 && act.Verb == steer.Postpone
	switch act.Verb {
	case steer.Hold:
		if late {
			return errLate
		}
		o.Held, o.Since, o.Until, o.Reason = true, now, act.Until, act.Reason
	case steer.Release:
		if !o.Held {
			return errNotHeld
		}
		o.Release()
	case steer.Retry:
		if o.Held {
			return errHeld
		}
		o.NotBefore = 0
	case steer.Postpone:
		if late {
			return errLate
		}
		o.NotBefore = act.Until
	case steer.Expire:
		o.ExpireAt = act.Until
	case steer.Remove:
		o.Remove, o.Reason = orders.Bouncing, act.Reason
	default:
		return errors.New("unknown act " + string(act.Verb))
	}
	return nil
}

var errLate = errors.New("the time is over already")

// now is the time in Unix seconds.
func now() int64 { return time.Now().Unix() }
