package send

import "time"

// beside is how what works beside the loop, each in a goroutine of its own,
// reaches the state that belongs to the loop.
type beside struct {
	calls chan func()   // what others want the loop to do
	over  chan struct{} // closed when the loop has ended
	poke  func()        // wakes the loop
}

// maxCalls is how many calls are served in a turn of the loop.
const maxCalls = 16

func newBeside(poke func()) beside {
	return beside{calls: make(chan func(), maxClients+1), over: make(chan struct{}), poke: poke}
}

// in has the loop call f and returns when it has, false if the loop is over.
// It is for every other goroutine.
func (b *beside) in(f func()) bool {
	done := make(chan struct{})
	select {
	case b.calls <- func() { f(); close(done) }:
	case <-b.over:
		return false
	}
	b.poke()
	select {
	case <-done:
		return true
	case <-b.over:
		return false
	}
}

// pause has the loop call f, which tells of trouble, and waits a while; false if
// the loop is over.
func (b *beside) pause(f func()) bool {
	if !b.in(f) {
		return false
	}
	select {
	case <-time.After(helpPause):
		return true
	case <-b.over:
		return false
	}
}

// serveCalls does what others want the loop to do.
func (b *beside) serveCalls() {
	for range maxCalls {
		select {
		case f := <-b.calls:
			f()
		default:
			return
		}
	}
}
