package send

import (
	"syscall"

	"github.com/reqmail/reqmail/compat/fdio"
	"github.com/reqmail/reqmail/compat/maillog"
	"github.com/reqmail/reqmail/compat/wire"
	"github.com/reqmail/reqmail/queue"
)

// rearmTrigger opens the trigger anew, which forgets that it was pulled.
func (s *Scheduler) rearmTrigger() {
	if s.trigger >= 0 {
		s.trigger.Close()
	}
	var err error
	if s.trigger, err = queue.OpenTrigger(); err != nil {
		s.trigger = -1
	}
}

// preprocessOne takes one entry of todo. A look into todo begins when the
// trigger is pulled or enough time has passed; none begins while one goes on.
func (s *Scheduler) preprocessOne(pulled bool) {
	if s.leaving {
		return
	}
	if s.todo == nil {
		var err error
		if !pulled && s.recent < s.nextTodo {
			return
		}
		s.rearmTrigger()
		if s.todo, err = queue.ScanTodo(); err != nil {
			s.todo = nil
			s.pauseForDir(err)
			return
		}
		s.nextTodo = s.recent + todoInterval
	}
	id, ok, more, _ := s.todo.Next()
	if !more {
		s.todo = nil
		return
	}
	if ok {
		s.preprocess(id)
	}
}

// preprocess turns a queued message into one that can be delivered.
func (s *Scheduler) preprocess(id queue.ID) {
	var bytes int64
	rule, err := s.decide(id)
	if err != nil {
		s.warnFileError(err, "")
		return
	}
	p := queue.Preprocessor{
		Copy:  s.config.archivist(rule),
		Route: s.config.route,
		Began: func(id queue.ID) { s.logLine(maillog.NewMessage(uint64(id))) },
		Sender: func(id queue.ID, size uint64, sender string, qp, uid uint64) {
			bytes = int64(size)
			s.logLine(maillog.Info(uint64(id), size, sender, qp, uid))
		},
	}
	used, err := p.Run(id)
	if err != nil {
		s.warnFileError(err, "")
		return
	}
	if !s.enforce(id, rule) {
		return
	}
	if !s.askCleaner(wire.CleanRequest{Kind: wire.CleanTodo, ID: uint64(id)}) {
		return
	}
	now := s.now()
	s.steer.arrived(id, bytes, now)
	for c := range s.channel {
		if used[c] {
			s.channel[c].add(id, now)
		}
	}
	if !used[queue.Local] && !used[queue.Remote] {
		s.done.add(id, now)
	}
}

const searchable = 1 // X_OK of access(2)

// reread takes in locals and virtualdomains again; on trouble the old ones
// stay.
func (s *Scheduler) reread() {
	if syscall.Access(s.home, searchable) != nil {
		s.logLine(maillog.Alert("unable to reread controls: unable to switch to home directory"))
		return
	}
	if err := s.config.reread(s.config.dir); err != nil {
		if e, ok := err.(*unreadable); ok {
			s.logLine(maillog.Alert("unable to reread control/" + string(e.file)))
		}
	}
	s.rereadPolicy()
}

// cleaner is the conversation with qmail-clean.
type cleaner struct{ request, answer fdio.FD }

// askCleaner has files removed and reports whether that was done.
func (s *Scheduler) askCleaner(r wire.CleanRequest) bool {
	var answer [1]byte
	_, err := s.cleaner.request.WriteString(r.String() + "\x00")
	if err == nil {
		_, err = s.cleaner.answer.Read(answer[:])
	}
	if err != nil {
		s.logLine(maillog.Alert("oh no! lost qmail-clean connection! dying..."))
		s.leaving = true
		return false
	}
	if answer[0] != wire.CleanDone {
		s.logLine(maillog.Warning("qmail-clean unable to clean up " + r.String()))
		return false
	}
	return true
}

func cleanMess(id queue.ID) wire.CleanRequest {
	return wire.CleanRequest{Kind: wire.CleanMess, ID: uint64(id)}
}

// cleanUpOne looks at one file of the queue for messages that a qmail-queue
// which died has left, and for what a crash has brought back of ended ones, and
// has it removed.
func (s *Scheduler) cleanUpOne() {
	if s.cleanup == nil {
		if s.recent < s.nextCleanup {
			return
		}
		s.cleanup = queue.ScanFiles()
	}
	id, ok, more, err := s.cleanup.Next()
	switch {
	case err != nil:
		s.pauseForDir(err)
	case !more:
		s.cleanup = nil
		s.nextCleanup = s.recent + cleanupInterval
	case ok && queue.Abandoned(id, s.recent):
		s.askCleaner(cleanMess(id))
	case ok && queue.Orphaned(id, s.recent):
		s.bury(id)
	}
}

// bury removes what is left of a message without text; the envelope first, so
// that nothing is preprocessed again.
func (s *Scheduler) bury(id queue.ID) {
	if !s.askCleaner(wire.CleanRequest{Kind: wire.CleanTodo, ID: uint64(id)}) {
		return
	}
	if err := queue.Remove(id); err != nil {
		s.warnFileError(err, tryAgain)
		return
	}
	s.steer.ended(id, s.recent)
}
