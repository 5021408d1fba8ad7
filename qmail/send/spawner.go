package send

import (
	"errors"
	"io"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/reqmail/reqmail/compat/fdio"
	"github.com/reqmail/reqmail/compat/maillog"
	"github.com/reqmail/reqmail/compat/wire"
	"github.com/reqmail/reqmail/queue"
)

// spawner is the conversation with qmail-lspawn or qmail-rspawn.
type spawner struct {
	channel  queue.Channel
	commands fdio.FD
	reports  fdio.FD
	alive    bool
	pending  []byte // of commands, not yet written
	parser   wire.ReportParser
	probing  bool // the answer to a probe is awaited
	tells    bool // it is one of ours and tells of progress

	slots []*delivery // by delivery slot; nil where free
	used  int

	ordered, sent int64 // bytes of commands so far, and of those written
}

// delivery is one recipient being tried.
type delivery struct {
	job       *job
	number    uint64 // in the log
	pos       int64  // of the record in the recipient file
	recipient string
	since     int64
	ordered   int64 // the spawner's, its command included
	progress  wire.Progress

	destination *destination // nil: its share does not matter
}

// errNoFire says that a spawner did not come up.
var errNoFire = errors.New("hath the daemon spawn no fire?")

// newSpawner reads a spawner's greeting: the number of its slots. Where that
// is not all that is wanted, or progress is, it probes for more.
func newSpawner(c queue.Channel, commands, reports fdio.FD, concurrency int, progress bool) (*spawner, error) {
	var greeting [1]byte
	if _, err := io.ReadFull(reports, greeting[:]); err != nil {
		return nil, errNoFire
	}
	sp := &spawner{channel: c, commands: commands, reports: reports, alive: true}
	offered := int(greeting[0])
	if progress || concurrency > offered {
		if more, ok := sp.probe(); ok {
			offered = more
		}
	}
	if concurrency < 0 || concurrency > offered {
		concurrency = offered
	}
	sp.slots = make([]*delivery, concurrency)
	return sp, nil
}

// probePatience is how long the answer to a probe is waited for. Every spawner
// answers at once, a C one with a complaint.
const probePatience = 10 * time.Second

// probe asks a spawner how many slots it has, false if it is not one of ours.
func (sp *spawner) probe() (slots int, ok bool) {
	if _, err := sp.commands.Write(wire.Probe().Append(nil)); err != nil {
		return 0, false
	}
	sp.probing = true
	deadline := time.Now().Add(probePatience)
	for sp.probing {
		fds := []unix.PollFd{{Fd: int32(sp.reports), Events: unix.POLLIN}}
		n, err := unix.Poll(fds, int(max(time.Until(deadline).Milliseconds(), 0)))
		if err == unix.EINTR {
			continue
		}
		if err != nil || n == 0 {
			break
		}
		var one [1]byte
		if _, err := sp.reports.Read(one[:]); err != nil {
			break // the loop will find out
		}
		if r, done := sp.parser.Feed(one[0]); done && sp.answers(r) {
			slots, sp.tells = r.ProbedSlots()
			return slots, sp.tells
		}
	}
	return 0, false
}

// answers reports whether a report is the answer to the probe, which nobody
// else needs to hear of.
func (sp *spawner) answers(r wire.Report) bool {
	if !sp.probing || r.Slot != wire.NoSlot {
		return false
	}
	sp.probing = false
	return true
}

// unblock makes writes of commands return when the pipe is full. Nobody else
// has that end of the pipe.
func (sp *spawner) unblock() error { return syscall.SetNonblock(int(sp.commands), true) }

// ready reports whether a delivery could be started.
func (sp *spawner) ready() bool { return sp.alive && sp.used < len(sp.slots) }

// freeSlot returns the lowest free slot.
func (sp *spawner) freeSlot() int {
	for i, d := range sp.slots {
		if d == nil {
			return i
		}
	}
	return -1
}

// spawnerDied gives a spawner up; qmail-send leaves as soon as the other one
// owes nothing.
func (s *Scheduler) spawnerDied(sp *spawner) {
	s.logLine(maillog.Alert("oh no! lost spawn connection! dying..."))
	sp.alive = false
	s.leaving = true
}

// start hands one recipient to a spawner that is ready.
func (s *Scheduler) start(j *job, pos int64, recipient string) {
	sp := s.spawners[j.channel]
	slot := sp.freeSlot()
	s.lastDelivery++
	before := len(sp.pending)
	sp.pending = wire.Command{
		Slot:      slot,
		Mess:      j.id.Sub(),
		Sender:    deliverySender(j.sender, recipient),
		Recipient: recipient,
	}.Append(sp.pending)
	sp.ordered += int64(len(sp.pending) - before)
	sp.slots[slot] = &delivery{
		job: j, number: s.lastDelivery, pos: pos, recipient: recipient, since: s.recent, ordered: sp.ordered,
	}
	if j.channel == queue.Remote {
		sp.slots[slot].destination = s.fair.of(recipient)
		sp.slots[slot].destination.begun()
	}
	sp.used++
	j.refs++
	s.steer.started(j)
	s.logLine(maillog.Starting(s.lastDelivery, uint64(j.id), j.channel.String(), recipient))
	s.logStatus()
}

// sendCommands writes as much of the pending commands as the pipe takes.
func (s *Scheduler) sendCommands(sp *spawner) {
	for sp.alive && len(sp.pending) > 0 {
		n, err := syscall.Write(int(sp.commands), sp.pending)
		switch err {
		case nil:
			sp.sent += int64(n)
			sp.pending = append(sp.pending[:0], sp.pending[n:]...)
		case syscall.EINTR:
		case syscall.EPIPE:
			s.spawnerDied(sp)
		default:
			return // the pipe is full
		}
	}
}

// takeReports reads what a spawner has to say.
func (s *Scheduler) takeReports(sp *spawner, ready readiness) {
	if !sp.alive || !ready.readable[sp.channel] {
		return
	}
	var buf [16 << 10]byte
	n, err := syscall.Read(int(sp.reports), buf[:])
	if err != nil {
		return
	}
	if n == 0 {
		s.spawnerDied(sp)
		return
	}
	for _, c := range buf[:n] {
		if report, ok := sp.parser.Feed(c); ok {
			s.report(sp, report)
		}
	}
}

// tooLong follows the reason for the last deferral of a message that has
// outlived its queue lifetime.
const tooLong = "I'm not going to try again; this message has been in the queue too long.\n"

// report records the end of a delivery.
func (s *Scheduler) report(sp *spawner, r wire.Report) {
	if sp.answers(r) {
		return
	}
	if r.Slot == wire.NoSlot || r.Slot >= len(sp.slots) || sp.slots[r.Slot] == nil {
		s.logLine(maillog.Warning("internal error: delivery report out of range"))
		return
	}
	d := sp.slots[r.Slot]
	if r.Status == wire.Progressing && sp.tells {
		d.progress, _ = wire.ParseProgress(r.Text)
		return
	}
	s.fair.ended(d.destination, r.Status, s.recent-d.since)
	text := string(r.Text)
	if r.Status == 'Z' && d.job.life.over(s.config, d.recipient) {
		r.Status = 'D'
		text += tooLong
	}
	s.steer.reported(d, r.Status, text, s.recent)
	switch r.Status {
	case 'K':
		s.logLine(maillog.Ended(d.number, maillog.Success, text))
		s.markDone(d)
	case 'Z':
		s.logLine(maillog.Ended(d.number, maillog.Deferral, text))
	case 'D':
		s.logLine(maillog.Ended(d.number, maillog.Failure, text))
		if s.freeze(d, text) {
			break
		}
		s.addBounce(d.job.id, d.recipient, text)
		s.markDone(d)
	default:
		s.logLine(maillog.Mangled(d.number))
	}
	s.closeJob(d.job)
	sp.slots[r.Slot] = nil
	sp.used--
	s.logStatus()
}

// markDone records that a recipient needs no more tries. Where with it all of the
// file are done, and nothing else is under way, closeJob removes the file at once,
// which says the same: so it need not be written to.
func (s *Scheduler) markDone(d *delivery) {
	j := d.job
	j.todo--
	if j.refs == 1 && j.sawEnd && j.todo == 0 {
		j.unmarked, j.lastPos = true, d.pos
		return
	}
	s.mark(j, d.pos)
}

func (s *Scheduler) mark(j *job, pos int64) {
	if err := queue.MarkDone(j.id, j.channel, pos); err != nil {
		s.warnFile("trouble marking", j.id.Recipients(j.channel), "; message will be delivered twice!")
	}
}

// markLast marks the recipient that was left to the removal of the file.
func (s *Scheduler) markLast(j *job) {
	if j.unmarked {
		s.mark(j, j.lastPos)
	}
}
