package send

import (
	"errors"
	"io"
	"syscall"

	"github.com/reqmail/reqmail/queue"
)

// job is a message on one channel, from the start of a pass over its
// recipients until every delivery started by that pass has been reported.
type job struct {
	id      queue.ID
	channel queue.Channel
	sender  string
	retry   int64 // when it is tried again if anything is deferred
	life    life
	refs    int // the pass, and deliveries not yet reported
	todo    int // recipients that are not done, of those seen
	sawEnd  bool
	started int // deliveries
	due     int64

	unmarked bool // the last recipient that was done, whose record is at lastPos
	lastPos  int64

	waits bool // only recipients wait that the pass has gone over: it does not count
	rest
}

// pass is a walk over the recipients of a message on one channel.
type pass struct {
	job       *job
	file      *queue.RecipientFile
	postponed []postponed
}

// nextPass returns when a pass can go on or begin.
func (s *Scheduler) nextPass() int64 {
	wake := s.recent + sleepMax
	for c, p := range s.passes {
		if p != nil && s.spawners[c].ready() {
			return 0
		}
	}
	if s.fair.any(s.spawners[queue.Remote], s.jobs < s.maxJobs && s.waits(queue.Remote) <= s.recent) {
		return 0
	}
	if s.jobs == s.maxJobs {
		return wake
	}
	for c, p := range s.passes {
		if p != nil {
			continue
		}
		channel := queue.Channel(c)
		if e, ok := s.channel[c].first(); ok {
			wake = min(wake, max(e.due, s.waits(channel)))
		}
		if channel == queue.Remote && s.fair.hasFresh() {
			wake = min(wake, max(s.recent, s.waits(channel)))
		}
	}
	return wake
}

// recordsPerTurn is how many records of recipient files are taken on a channel in a turn
// of the loop.
const recordsPerTurn = 256

// overPerTurn is how many messages are opened in a turn only to find that their
// destination can have no more deliveries now: among a million there may be one
// for another, but slots that become free meanwhile do not wait for it.
const overPerTurn = 16

// fillSlots starts deliveries on a channel while there are free slots and
// messages due.
func (s *Scheduler) fillSlots(c queue.Channel) {
	s.over = 0
	for range recordsPerTurn {
		if s.over == overPerTurn || !s.advance(c) {
			return
		}
	}
}

// advance begins the next pass on a channel where none is open, and takes one
// record of the one that is. False means that there is nothing to be done now.
func (s *Scheduler) advance(c queue.Channel) bool {
	if s.leaving {
		return false
	}
	if c == queue.Remote && s.resume() {
		return true
	}
	if s.passes[c] == nil {
		return s.beginPass(c)
	}
	if !s.spawners[c].ready() {
		return false
	}
	p := s.passes[c]
	letter, recipient, pos, err := p.file.Next()
	switch {
	case err == io.EOF:
		p.job.sawEnd = true
		s.endPass(c)
	case err != nil:
		s.warnFile("trouble reading", p.job.id.Recipients(c), tryAgain)
		s.endPass(c)
	case letter == 'T' && s.gate(p.job.id) > s.recent:
		s.endPass(c) // held since the pass began
	case letter == 'T':
		p.job.todo++
		if !s.postpone(p, pos, recipient) {
			s.try(p.job, pos, recipient)
		}
	case letter == 'D':
	default:
		s.warnFile("unknown record type in", p.job.id.Recipients(c), "!")
		s.endPass(c)
	}
	return true
}

// beginPass opens the message that is due first, if one is and a job is free. It
// returns whether one was due.
func (s *Scheduler) beginPass(c queue.Channel) bool {
	if s.jobs == s.maxJobs || s.waits(c) > s.recent {
		return false
	}
	e, ok := s.take(c)
	if !ok {
		return false
	}
	if until := s.gate(e.id); until > s.recent {
		s.channel[c].add(e.id, until)
		return true
	}
	file, err := queue.OpenRecipients(e.id, c)
	name := e.id.Recipients(c)
	var info queue.Info
	if err == nil {
		name = e.id.Info()
		if info, err = queue.ReadInfo(e.id); err != nil {
			file.Close()
		}
	}
	if err != nil {
		s.warnFile("trouble opening", name, tryAgain)
		// A message that somebody removed would be retried for ever.
		if !errors.Is(err, syscall.ENOENT) || !queue.Gone(e.id) {
			s.channel[c].add(e.id, s.recent+retryTrouble)
		} else {
			s.steer.ended(e.id, s.recent)
		}
		return true
	}
	s.jobs++
	s.passes[c] = &pass{file: file, job: &job{
		id:      e.id,
		channel: c,
		sender:  info.Sender,
		retry:   queue.NextTry(info.Birth, s.recent, c),
		life:    s.lifeOf(e.id, info.Birth),
		refs:    1,
		due:     e.due,
	}}
	s.steer.began(e.id)
	return true
}

func (s *Scheduler) endPass(c queue.Channel) {
	p := s.passes[c]
	s.passes[c] = nil
	p.file.Close()
	if s.settle(p) {
		s.over++
	} else {
		s.closeJob(p.job)
	}
}

// closeJob drops one reference to a job. With the last one the message is
// rescheduled, or, if all its recipients are done, the channel is.
func (s *Scheduler) closeJob(j *job) {
	if j.refs--; j.refs > 0 {
		return
	}
	if !j.waits {
		s.jobs--
	}
	if s.steer.endedJob(j, s.recent) {
		s.markLast(j)
		return // to be removed
	}
	if !j.sawEnd || j.todo > 0 {
		s.channel[j.channel].add(j.id, j.next(s.recent))
		return
	}
	if err := s.remover.RemoveChannel(j.id, j.channel); err != nil {
		s.warnFile("unable to unlink", j.id.Recipients(j.channel), tryAgain)
		s.markLast(j)
		s.channel[j.channel].add(j.id, s.now()+retryTrouble)
		return
	}
	for c := range s.channel {
		other := queue.Channel(c)
		if other == j.channel {
			continue
		}
		there, err := queue.HasRecipients(j.id, other)
		if there {
			return
		}
		if err != nil {
			s.warnFile("unable to stat", j.id.Recipients(other), "")
		}
	}
	s.done.add(j.id, s.now())
}
