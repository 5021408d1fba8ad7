package send

import (
	"runtime/debug"
	"syscall"
	"time"

	"github.com/reqmail/reqmail/compat/fdio"
	"github.com/reqmail/reqmail/compat/maillog"
	"github.com/reqmail/reqmail/compat/wire"
	"github.com/reqmail/reqmail/queue"
)

// cleaner is the conversation with qmail-clean, which answers one request after
// the other, in their order. They are sent ahead of the answers.
type cleaner struct {
	request, answer fdio.FD
	lost            bool
	waiting         []errand // not sent yet
	asked           []errand // sent, in order
}

// errand is a request; then is called with whether it was carried out.
type errand struct {
	wire.CleanRequest
	then func(done bool)
}

// maxAsked is how many requests are sent ahead. Together they fit into the
// smallest pipe that the kernel makes, one page, and so do their answers: nobody
// ever waits for the other to read. They are few because qmail-clean still
// carries them out when qmail-send has been killed: it must have done so long
// before the next qmail-send has ended one of these messages, and its number
// belongs to another.
const maxAsked = 16

// forEnded is how many of them only messages that have ended may use: a flood
// of new ones is not to hold them up.
const forEnded = 4

// room reports whether cleanMess would ask at once, and roomFor whether it would of
// so many.
func (c *cleaner) room() bool            { return c.roomFor(1) }
func (c *cleaner) roomFor(most int) bool { return !c.lost && len(c.asked)+most <= maxAsked }

// busy reports whether answers are owed.
func (c *cleaner) busy() bool { return len(c.asked)+len(c.waiting) > 0 }

// askCleaner has files removed, and then calls then.
func (s *Scheduler) askCleaner(r wire.CleanRequest, then func(done bool)) {
	if s.cleaner.lost {
		then(false)
		return
	}
	s.cleaner.waiting = append(s.cleaner.waiting, errand{r, then})
}

// sendErrands sends what qmail-clean is to do, as far ahead as it may be.
func (s *Scheduler) sendErrands() {
	c := &s.cleaner
	if n := min(len(c.waiting), maxAsked-forEnded-len(c.asked)); n > 0 {
		s.ask(c.waiting[:n]...)
		c.waiting = append(c.waiting[:0], c.waiting[n:]...)
	}
}

// ask sends errands.
func (s *Scheduler) ask(errands ...errand) {
	c := &s.cleaner
	var text []byte
	for _, e := range errands {
		text = append(append(text, e.String()...), 0)
	}
	c.asked = append(c.asked, errands...)
	if _, err := c.request.Write(text); err != nil {
		s.cleanerDied()
	}
}

// takeAnswers reads what qmail-clean has answered.
func (s *Scheduler) takeAnswers(ready readiness) {
	if !ready.cleaned {
		return
	}
	var answers [maxAsked]byte
	c := &s.cleaner
	n, err := syscall.Read(int(c.answer), answers[:])
	if err == syscall.EINTR || err == syscall.EAGAIN {
		return
	}
	if err != nil || n == 0 {
		s.cleanerDied()
		return
	}
	for _, answer := range answers[:min(n, len(c.asked))] {
		e := c.asked[0]
		c.asked = append(c.asked[:0], c.asked[1:]...)
		if answer != wire.CleanDone {
			s.logLine(maillog.Warning("qmail-clean unable to clean up " + e.String()))
		}
		e.then(answer == wire.CleanDone)
	}
}

// cleanerDied gives qmail-clean up, without which qmail-send must leave.
func (s *Scheduler) cleanerDied() {
	s.logLine(maillog.Alert("oh no! lost qmail-clean connection! dying..."))
	s.leaving = true
	c := &s.cleaner
	c.lost = true
	for _, e := range append(c.asked, c.waiting...) {
		e.then(false)
	}
	c.asked, c.waiting = nil, nil
}

// cleanMess has the text of a message removed, the last of its files, at once
// if the cleaner has room: once qmail-clean has the request, it is carried out
// even if qmail-send is killed. A crash before leaves the text to the walk for
// abandoned messages.
func (s *Scheduler) cleanMess(id queue.ID) {
	if s.cleaner.room() {
		s.ask(errand{messRequest(id), func(bool) {}})
	} else {
		s.askForMess(id, func(bool) {})
	}
}

func (s *Scheduler) askForMess(id queue.ID, then func(done bool)) {
	s.askCleaner(messRequest(id), then)
}

func messRequest(id queue.ID) wire.CleanRequest {
	return wire.CleanRequest{Kind: wire.CleanMess, ID: uint64(id)}
}

// mayCleanUp reports whether a walk for abandoned messages may begin when its
// time comes: when none goes on, and the queue is taken in.
func (s *Scheduler) mayCleanUp() bool { return !s.walking && s.takingIn.over() }

// cleanUp begins a walk for what was left in the queue, when it is time.
func (s *Scheduler) cleanUp() {
	if s.mayCleanUp() && s.recent >= s.nextCleanup {
		s.walking = true
		go s.walk(s.recent)
	}
}

// walk looks, beside the loop, through the queue for messages that a qmail-queue
// which died has left, and for what a crash has brought back of ended ones, and
// has it removed.
func (s *Scheduler) walk(now int64) {
	left := func(id queue.ID) bool { return queue.Abandoned(id, now) || queue.Orphaned(id, now) }
	remove := func(id queue.ID, then func(done bool)) {
		if queue.Abandoned(id, now) {
			s.askForMess(id, then)
		} else {
			s.bury(id, then)
		}
	}
	if !s.removeEach(queue.ScanSuspects(), left, remove) {
		return
	}
	s.beside.in(func() {
		s.walking = false
		s.nextCleanup = s.recent + cleanupInterval
	})
	debug.FreeOSMemory() // what the walk needed
}

// removeEach has the messages of a scan removed that is says so of; false if the
// loop is over.
func (s *Scheduler) removeEach(scan *queue.Scan, is func(queue.ID) bool, remove func(queue.ID, func(done bool))) bool {
	defer scan.Close()
	for {
		id, ok, more, err := scan.Next()
		switch {
		case err != nil:
			if !s.beside.pause(func() { s.cannotOpenDir(err) }) {
				return false
			}
		case !more:
			return true
		case ok && is(id):
			if !s.haveRemoved(id, is, remove) {
				return false
			}
		}
	}
}

// One that is being preprocessed is looked at again, for it may be that this
// fails: the next walk is a day away.
const (
	busyPause = 100 * time.Millisecond
	busyLooks = 100 // at most
)

// haveRemoved has the loop remove a message, if it still is to be removed and not
// being preprocessed, and returns when that is done, false if the loop is over.
// A message may have several files: were the walk to go on meanwhile, it would
// meet it again and have it removed a second time, when its number may be
// another message's.
func (s *Scheduler) haveRemoved(id queue.ID, is func(queue.ID) bool, remove func(queue.ID, func(done bool))) bool {
	for range busyLooks {
		done, busy := make(chan struct{}), false
		if !s.beside.in(func() {
			busy = s.todo.taken[id]
			if !busy && is(id) {
				remove(id, func(bool) { close(done) })
			} else {
				close(done)
			}
		}) {
			return false
		}
		select {
		case <-done:
		case <-s.beside.over:
			return false
		}
		if !busy {
			return true
		}
		select {
		case <-time.After(busyPause):
		case <-s.beside.over:
			return false
		}
	}
	return true
}

// bury removes what is left of a message without text; the envelope first, so
// that nothing is preprocessed again.
func (s *Scheduler) bury(id queue.ID, then func(done bool)) {
	s.askCleaner(wire.CleanRequest{Kind: wire.CleanTodo, ID: uint64(id)}, func(done bool) {
		defer then(done)
		if !done {
			return
		}
		if err := queue.Remove(id); err != nil {
			s.warnFileError(err, tryAgain)
			return
		}
		s.steer.ended(id, s.recent)
	})
}
