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

// finishSome ends messages that are done on all channels, as many as
// qmail-clean can be asked about: S5 → S2 → S1. The log tells of them before their
// files go.
func (s *Scheduler) finishSome() {
	var ends []queue.ID
	for trouble := false; !trouble && s.cleaner.roomFor(len(ends)+1); {
		e, ok := s.done.take(s.recent)
		if !ok {
			break
		}
		switch s.judge(e.id) {
		case troubled:
			s.done.add(e.id, s.now()+retryTrouble)
			trouble = true // it may have taken long, as the next one may
		case isDone:
			ends = append(ends, e.id)
			s.logLine(maillog.EndMessage(uint64(e.id)))
		case notYet:
		}
	}
	if len(ends) > 0 {
		s.flushLog()
	}
	for _, id := range ends {
		s.end(id)
	}
}

// verdict is what there is to be done about a message that seems to be done.
type verdict int

const (
	isDone   verdict = iota
	troubled         // to be looked at again
	notYet           // the other channel finishes it
)

// judge looks whether a message is done, and returns what could not be delivered.
func (s *Scheduler) judge(id queue.ID) verdict {
	state, err := queue.Look(id)
	if err != nil {
		s.warnFileError(err, tryAgain)
		return troubled
	}
	if state.Recipients[queue.Local] || state.Recipients[queue.Remote] || state.Todo || !state.Info {
		return notYet
	}
	if !s.bounce(id) {
		return troubled
	}
	return isDone
}

// end removes a message that is done.
func (s *Scheduler) end(id queue.ID) {
	if err := s.remover.RemoveInfo(id); err != nil {
		s.warnFile("unable to unlink", id.Info(), tryAgain)
		s.done.add(id, s.now()+retryTrouble)
		return
	}
	s.steer.ended(id, s.now())
	s.cleanMess(id)
}
