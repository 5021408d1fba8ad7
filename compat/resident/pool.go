package resident

import (
	"sync"
	"syscall"
	"time"
)

// Child is a child that stays, and has one job at a time.
type Child struct {
	*Conn
	Of  Identity // its executable
	PID int      // 0 where nobody asks

	born  time.Time               // of a Runner's …
	ended chan syscall.WaitStatus // … how it ended …
	heard []byte                  // … and room for what it says
}

// Pool keeps children that wait for their next job, each only for a moment.
type Pool struct {
	Most int           // children that wait at a time
	Idle time.Duration // how long one waits

	mu     sync.Mutex
	idle   []waiting // the one that waits longest first
	timing bool      // a timer runs
}

type waiting struct {
	key   string
	child *Child
	until time.Time
}

// Empty reports whether none waits.
func (p *Pool) Empty() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.idle) == 0
}

// Take returns a child for jobs of the kind key whose executable is still the
// one that the parent resolves now, nil if none waits. Where another
// executable has taken its place, children of the old one are let go.
func (p *Pool) Take(key string, of Identity) *Child {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := len(p.idle) - 1; i >= 0; i-- {
		w := p.idle[i]
		if w.key != key {
			continue
		}
		p.idle = append(p.idle[:i], p.idle[i+1:]...)
		if w.child.Of == of {
			return w.child
		}
		w.child.Close()
	}
	return nil
}

// Keep has a child wait for its next job. It ends when it has waited for too
// long, or when another one needs its place.
func (p *Pool) Keep(key string, c *Child) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.timing {
		p.timing = true
		time.AfterFunc(p.Idle, p.expire)
	}
	p.idle = append(p.idle, waiting{key, c, time.Now().Add(p.Idle)})
	if len(p.idle) > p.Most {
		p.idle[0].child.Close()
		p.idle = append(p.idle[:0], p.idle[1:]...)
	}
}

// expire lets those go that have waited for too long, and looks again when
// the next one will have.
func (p *Pool) expire() {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	n := 0
	for n < len(p.idle) && !p.idle[n].until.After(now) {
		p.idle[n].child.Close()
		n++
	}
	p.idle = append(p.idle[:0], p.idle[n:]...)
	if p.timing = len(p.idle) > 0; p.timing {
		time.AfterFunc(p.idle[0].until.Sub(now), p.expire)
	}
}

// Close lets all waiting children go.
func (p *Pool) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, w := range p.idle {
		w.child.Close()
	}
	p.idle = nil
}
