package resident

import (
	"sync"
	"sync/atomic"
	"time"
)

// Turn has the jobs of a Runner wait for each other, for programs that do one in
// no time: then one child is enough, which need not be started often. So long as
// jobs take longer than they should, nobody waits.
type Turn struct {
	quick time.Duration
	taken chan struct{}
	slow  atomic.Bool
}

// NewTurn returns a Turn for jobs that take no longer than quick.
func NewTurn(quick time.Duration) *Turn { return &Turn{quick: quick, taken: make(chan struct{}, 1)} }

// startTime is more than a child takes to start. Nobody waits longer.
const startTime = 300 * time.Millisecond

// take waits for the turn; over is its end. Who has waited for long does not have
// it, and goes on without.
func (t *Turn) take() (over func()) {
	if t == nil || t.slow.Load() {
		return func() {}
	}
	late := time.NewTimer(startTime)
	defer late.Stop()
	select {
	case t.taken <- struct{}{}:
		return sync.OnceFunc(func() { <-t.taken })
	case <-late.C:
		t.slow.Store(true)
		return func() {}
	}
}

// took notes how long a job took, of a child that was there.
func (t *Turn) took(d time.Duration) {
	if t != nil {
		t.slow.Store(d > t.quick)
	}
}
