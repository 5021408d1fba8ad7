package send

import (
	"errors"
	"io"
	"syscall"

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
}

// errNoFire says that a spawner did not come up.
var errNoFire = errors.New("hath the daemon spawn no fire?")

// newSpawner reads a spawner's greeting: the number of its slots.
func newSpawner(c queue.Channel, commands, reports fdio.FD, concurrency int) (*spawner, error) {
	var greeting [1]byte
	if _, err := io.ReadFull(reports, greeting[:]); err != nil {
		return nil, errNoFire
	}
	if concurrency < 0 || concurrency > int(greeting[0]) {
		concurrency = int(greeting[0])
	}
	return &spawner{
		channel:  c,
		commands: commands,
		reports:  reports,
		alive:    true,
		slots:    make([]*delivery, concurrency),
	}, nil
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
		Slot:      byte(slot),
		Mess:      j.id.Sub(),
		Sender:    deliverySender(j.sender, recipient),
		Recipient: recipient,
	}.Append(sp.pending)
	sp.ordered += int64(len(sp.pending) - before)
	sp.slots[slot] = &delivery{
		job: j, number: s.lastDelivery, pos: pos, recipient: recipient, since: s.recent, ordered: sp.ordered,
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
	if int(r.Slot) >= len(sp.slots) || sp.slots[r.Slot] == nil {
		s.logLine(maillog.Warning("internal error: delivery report out of range"))
		return
	}
	d := sp.slots[r.Slot]
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

// markDone records that a recipient needs no more tries.
func (s *Scheduler) markDone(d *delivery) {
	if err := queue.MarkDone(d.job.id, d.job.channel, d.pos); err != nil {
		s.warnFile("trouble marking", d.job.id.Recipients(d.job.channel), "; message will be delivered twice!")
	}
	d.job.todo--
}
