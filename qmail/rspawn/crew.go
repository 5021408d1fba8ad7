package rspawn

import (
	"errors"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/reqmail/reqmail/compat/child"
	"github.com/reqmail/reqmail/compat/errand"
	"github.com/reqmail/reqmail/compat/resident"
	"github.com/reqmail/reqmail/qmail/spawn"
)

// Limits on qmail-remotes that stay.
const (
	mostJobs  = 250              // of one at a time: so many are lost if it crashes
	idleTime  = 10 * time.Second // without a job
	lifetime  = 10 * time.Minute // of one that always has some
	greetTime = time.Second      // that other deliveries wait for a new one
	offerTime = 5 * time.Second  // that a program has to greet
	foreign   = time.Minute      // that nothing is offered to one that did not
)

// crew are the qmail-remotes that stay.
type crew struct {
	mu       sync.Mutex
	members  []*member     // the first ones get jobs first, so that what they learn and keep is of use
	starting chan struct{} // closed when a new one has said whether it stays; nil: there is none
	stranger resident.Identity
	until    time.Time // stranger is offered nothing before

	processes sync.WaitGroup // that have been offered to stay
}

// leaveTime is how long qmail-rspawn waits at its end for those that stay.
const leaveTime = 5 * time.Second

// Leave lets those that stay go, once no delivery runs any more, and waits for
// their ends: each takes leave of the hosts whose connections it has kept.
func (r *Remote) Leave() {
	r.crew.mu.Lock()
	for _, m := range r.crew.members {
		m.end()
	}
	r.crew.mu.Unlock()
	ended := make(chan struct{})
	go func() {
		r.crew.processes.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(leaveTime):
	}
}

// runResident delivers through a member, or a new one. ok is false where the
// delivery must be run in the classical way, and nothing has been sent yet.
func (r *Remote) runResident(d spawn.Delivery, cmd child.Command) (end spawn.End, ok bool) {
	path, err := resident.Resolve(&cmd)
	if err != nil {
		return end, false
	}
	of, err := resident.Identify(path)
	e := errand.Job{Host: d.Domain, Sender: d.Sender, Recipient: d.Recipient}
	if err != nil || !e.Fits() {
		return end, false
	}
	j := &job{end: make(chan errand.Answer, 1), progress: d.Progress}
	m, number, recruit := r.crew.place(of, j)
	switch {
	case m != nil:
		e.Number = number
		if m.conn.Send(e.Append(nil), d.Message) != nil {
			m.forget(number)
			return end, false
		}
	case recruit:
		if m, end, ok = r.recruit(j, d, cmd, of); m == nil {
			return end, ok
		}
	default:
		return end, false
	}
	return m.await(j, d)
}

// place finds a member with room and gives it the job; recruit says that there
// is none, and that a new one is to be made.
func (c *crew) place(of resident.Identity, j *job) (m *member, number uint32, recruit bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		for _, m := range c.members {
			if number, ok := m.take(of, j); ok {
				return m, number, false
			}
		}
		c.members = slices.DeleteFunc(c.members, (*member).leaving)
		known := c.stranger == of
		switch {
		case known && time.Now().Before(c.until):
			return nil, 0, false
		case c.starting == nil:
			c.starting = make(chan struct{})
			return nil, 0, true
		case known || !c.wait():
			return nil, 0, false
		}
	}
}

// wait waits, without the mutex, for the new member's greeting.
func (c *crew) wait() bool {
	starting := c.starting
	c.mu.Unlock()
	defer c.mu.Lock()
	timer := time.NewTimer(greetTime)
	defer timer.Stop()
	select {
	case <-starting:
		return true
	case <-timer.C:
		return false
	}
}

// welcome ends what place has begun: m stays, or, if it is nil, a program of
// that identity does not.
func (c *crew) welcome(m *member, of resident.Identity) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if m != nil {
		c.members = append(c.members, m)
		c.stranger = resident.Identity{}
	} else {
		c.stranger, c.until = of, time.Now().Add(foreign)
	}
	close(c.starting)
	c.starting = nil
}

// recruit runs the program, which is of, with a job in the classical way, and offers it to
// stay. m is nil where it does not; end is the job's then, unless ok says that
// nothing was run.
func (r *Remote) recruit(j *job, d spawn.Delivery, cmd child.Command, of resident.Identity) (m *member, end spawn.End, ok bool) {
	w, printed, err := connect(&cmd, d)
	if err != nil {
		r.crew.welcome(nil, resident.Identity{}) // no fault of the program's
		return nil, spawn.End{NoPipe: true}, true
	}
	offer, err := resident.Extend(&cmd, resident.OfferToo)
	if err != nil {
		w.Close()
		if err != resident.ErrForeign {
			of = resident.Identity{} // it may do better next time
		}
		r.crew.welcome(nil, of)
		return nil, end, false
	}
	pid, err := cmd.Start()
	offer.Started()
	w.Close()
	if err != nil {
		offer.Conn.Close()
		r.crew.welcome(nil, resident.Identity{})
		return nil, notRun(err), true
	}
	ended := make(chan spawn.End, 1)
	r.crew.processes.Go(func() { ended <- r.wait(pid) })
	_ = offer.Conn.SetReadDeadline(time.Now().Add(offerTime))
	if _, err := offer.Accepted(errand.Name); err != nil {
		offer.Conn.Close()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			of = resident.Identity{} // the host is busy
		}
		r.crew.welcome(nil, of)
		end = <-ended
		<-printed
		return nil, end, true
	}
	j.printed = printed
	_ = offer.Conn.SetReadDeadline(time.Time{})
	m = &member{conn: offer.Conn, of: offer.Of, jobs: map[uint32]*job{errand.First: j}, since: time.Now()}
	m.idle = time.AfterFunc(idleTime, m.dismiss)
	go m.receive()
	r.crew.welcome(m, offer.Of)
	return m, end, false
}
