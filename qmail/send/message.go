package send

import (
	"github.com/reqmail/reqmail/compat/maillog"
	"github.com/reqmail/reqmail/queue"
)

// enter enters a message that was looked at into the queues it belongs to.
func (s *Scheduler) enter(f found) {
	if f.err != nil {
		s.warnFileError(f.err, tryAgain)
		s.failed.add(f.id, s.now()+retryTrouble)
		return
	}
	if !f.state.Info || f.state.Todo {
		return // removed by somebody, or about to be preprocessed again
	}
	s.steer.entered(f.id, f.state.Birth, f.size)
	if s.steer.condemned(f.id, s.recent) {
		return
	}
	for c := range s.channel {
		switch {
		case !f.state.Recipients[c]:
		case f.flushed[c]:
			s.channel[c].add(f.id, f.state.NextTry[c])
		default:
			s.channel[c].addKept(f.id, f.state.NextTry[c])
		}
	}
	if f.state.Recipients == [queue.Channels]bool{} {
		s.done.add(f.id, s.now())
	}
}

// warnFileError logs an error of package queue.
func (s *Scheduler) warnFileError(err error, then string) {
	if e, ok := err.(*queue.FileError); ok {
		s.warnFile(e.Doing, e.File, then)
	}
}

// lookAtFailed tries once more to schedule a message.
func (s *Scheduler) lookAtFailed() {
	if e, ok := s.failed.take(s.recent); ok {
		s.enter(s.lookAt(e.id))
	}
}

// finishedPerTurn is how many messages are ended in a turn of the loop.
const finishedPerTurn = 64

// finishSome ends messages that are done on all channels, as many as
// qmail-clean can be asked about.
func (s *Scheduler) finishSome() {
	for range finishedPerTurn {
		if !s.cleaner.room() {
			return
		}
		e, ok := s.done.take(s.recent)
		if !ok {
			return
		}
		if !s.finish(e.id) {
			s.done.add(e.id, s.now()+retryTrouble)
		}
	}
}

// finish returns what could not be delivered and removes the message: S5 →
// S2 → S1. False means that it is to be tried again.
func (s *Scheduler) finish(id queue.ID) bool {
	state, err := queue.Look(id)
	if err != nil {
		s.warnFileError(err, tryAgain)
		return false
	}
	if state.Recipients[queue.Local] || state.Recipients[queue.Remote] || state.Todo || !state.Info {
		return true // a false alarm: the other channel finishes it
	}
	if !s.bounce(id) {
		return false
	}
	s.logLine(maillog.EndMessage(uint64(id)))
	s.flushLog()
	if err := s.remover.RemoveInfo(id); err != nil {
		s.warnFile("unable to unlink", id.Info(), tryAgain)
		return false
	}
	s.steer.ended(id, s.now())
	s.cleanMess(id)
	return true
}
