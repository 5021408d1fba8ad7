// Package send is qmail-send: it decides when which recipient of which
// message is tried, records what became of it, returns what cannot be
// delivered, and writes the log.
//
// It is one loop around poll(2); all state belongs to that loop. Package
// queue owns the files, compat/wire the pipes to the spawners and to
// qmail-clean, compat/maillog the words of the log. This package must not
// know how a delivery is carried out.
package send

import (
	"time"

	"github.com/reqmail/reqmail/compat/fdio"
	"github.com/reqmail/reqmail/compat/maillog"
	"github.com/reqmail/reqmail/qmail/roster"
	"github.com/reqmail/reqmail/queue"
)

// Times in seconds (qmail-send(8), queue layout documents).
const (
	todoInterval    = 1500  // between two looks into todo without trigger
	cleanupInterval = 76431 // between two walks for abandoned messages
	retryTrouble    = 123   // after an error of the system
	sleepMax        = 86400
	sleepFuzz       = 1 // added to every sleep, so that what is due is due
)

// helpPause is how long qmail-send waits where it can do nothing else.
const helpPause = 10 * time.Second

// Files are the descriptors that qmail-start leaves to qmail-send.
type Files struct {
	Log                    fdio.FD
	Commands, Reports      [queue.Channels]fdio.FD
	CleanRequest, CleanAns fdio.FD
}

// Standard is the assignment of qmail-start.
func Standard() Files {
	return Files{
		Log:          0,
		Commands:     [queue.Channels]fdio.FD{1, 3},
		Reports:      [queue.Channels]fdio.FD{2, 4},
		CleanRequest: 5,
		CleanAns:     6,
	}
}

// Scheduler is a running qmail-send. Its working directory is the queue.
type Scheduler struct {
	config *Config
	home   string
	log    fdio.FD
	lines  []byte       // of the log, not yet written
	now    func() int64 // Unix seconds
	recent int64        // now, as of this turn of the loop

	signals  *signals
	spawners [queue.Channels]*spawner
	cleaner  cleaner
	leaving  bool // no new work; end when what runs has ended

	channel [queue.Channels]dueQueue // to be tried
	done    dueQueue                 // tried on all channels, to be finished
	failed  dueQueue                 // could not even be looked at
	fair    *fair                    // nil: C's order
	passes  [queue.Channels]*pass
	over    int // messages that were opened in this turn and none of whose recipients could be tried
	jobs    int
	maxJobs int

	lastDelivery uint64

	steer *steering // nil without lock/send

	beside   beside
	takingIn takingIn
	remover  queue.Remover

	trigger     fdio.FD
	todo        intake
	walking     bool // for abandoned messages
	nextCleanup int64
}

// New prepares a qmail-send: it takes in the spawners' greetings, begins to take
// in the messages that are in the queue, and logs its first status. home is the
// qmail home directory.
func New(config *Config, home string, files Files) (*Scheduler, error) {
	s := &Scheduler{
		config:  config,
		home:    home,
		log:     files.Log,
		now:     func() int64 { return time.Now().Unix() },
		trigger: -1,
		cleaner: cleaner{request: files.CleanRequest, answer: files.CleanAns},
	}
	steered := canSteer()
	for c := range s.spawners {
		sp, err := newSpawner(queue.Channel(c), files.Commands[c], files.Reports[c], config.Concurrency[c], steered)
		if err != nil {
			return nil, err
		}
		s.spawners[c] = sp
		s.maxJobs += len(sp.slots)
	}
	if config.Fair {
		s.fair = &fair{known: map[string]*destination{}}
	}
	for _, sp := range s.spawners {
		if sp.unblock() != nil {
			s.spawnerDied(sp)
		}
	}
	var err error
	if s.signals, err = catchSignals(); err != nil {
		return nil, err
	}
	s.recent = s.now()
	s.beside = newBeside(s.signals.poke)
	s.todo = newIntake(s.recent)
	s.nextCleanup = s.recent
	if steered {
		s.steer = newSteering()
	}
	s.warnAboutPolicy(config.policy, config.policyTrouble)
	if err := s.startSteering(); err != nil {
		return nil, err
	}
	s.beginTakingIn()
	s.listen()
	s.logStatus()
	s.rearmTrigger()
	s.flushLog()
	return s, nil
}

// Run serves until it is told to leave and nothing is outstanding, then
// records the schedule in the files and says goodbye.
func (s *Scheduler) Run() {
	for {
		s.recent = s.now()
		s.actOnSignals()
		if s.leaving && !s.outstanding() {
			break
		}
		s.flushLog()
		ready, err := s.wait()
		if err != nil {
			s.logLine(maillog.Warning("trouble in select"))
			continue
		}
		s.recent = s.now()
		s.work(ready)
	}
	close(s.beside.over)
	s.steer.stop()
	s.persistSchedule()
	s.logLine(maillog.Exiting)
	s.flushLog()
}

// work does a turn of the loop: what has become possible on each side, and of
// what is due a little, so that nothing waits long for anything else.
func (s *Scheduler) work(ready readiness) {
	s.steer.dropEndedRules(s.recent)
	s.steer.releaseNumbers(s.recent)
	s.beside.serveCalls()
	for _, sp := range s.spawners {
		s.takeReports(sp, ready)
	}
	s.takeAnswers(ready)
	s.takePrepared()
	s.lookIntoTodo(ready.trigger)
	for c := range s.passes {
		s.fillSlots(queue.Channel(c))
	}
	s.lookAtFailed()
	s.finishSome()
	s.removeOne()
	s.cleanUp()
	s.flushLog()
	for _, sp := range s.spawners {
		s.sendCommands(sp)
	}
	s.sendErrands()
	s.remover.Release()
}

// outstanding reports whether a living child still owes something, or a message
// is being preprocessed.
func (s *Scheduler) outstanding() bool {
	if s.todo.running > 0 || s.cleaner.busy() {
		return true
	}
	for _, sp := range s.spawners {
		if sp.alive && sp.used > 0 {
			return true
		}
	}
	return false
}

// actOnSignals does what the signals that have arrived ask for.
func (s *Scheduler) actOnSignals() {
	if s.signals.term.Swap(false) {
		s.leaving = true
	}
	if s.signals.alarm.Swap(false) {
		s.flush("")
	}
	if s.signals.hangup.Swap(false) {
		s.reread()
	}
}

// flush makes every message due on a channel, or, with "", on both.
func (s *Scheduler) flush(channel string) {
	for c := range s.channel {
		if channel == "" || channel == queue.Channel(c).String() {
			s.takingIn.flush(queue.Channel(c), s.recent)
			for _, q := range s.schedules(queue.Channel(c)) {
				q.allDue(s.recent)
			}
		}
	}
}

// nextWake returns when the loop has something to do by itself.
func (s *Scheduler) nextWake() int64 {
	wake := s.recent + sleepMax
	if !s.leaving {
		wake = min(wake, s.nextPass(), s.todo.next)
		if e, ok := s.failed.first(); ok {
			wake = min(wake, e.due)
		}
		if e, ok := s.done.first(); ok && s.cleaner.room() { // else its answer wakes the loop
			wake = min(wake, e.due)
		}
		if s.todo.ready() || s.steer.busy(s.recent) {
			return 0
		}
	}
	if len(s.beside.calls) > 0 {
		return 0
	}
	if at, ok := s.steer.nextRelease(); ok {
		wake = min(wake, at)
	}
	if s.mayCleanUp() {
		wake = min(wake, s.nextCleanup)
	}
	return wake
}

// persistSchedule writes the next try of every message into its files' times
// unless they say so, where the next qmail-send, also C's, finds it. Not synced:
// what a power cut takes is tried too soon.
func (s *Scheduler) persistSchedule() {
	for c := range s.channel {
		for _, q := range s.schedules(queue.Channel(c)) {
			s.persist(q, queue.Channel(c))
		}
	}
}

func (s *Scheduler) persist(q *dueQueue, c queue.Channel) {
	for e := range q.entries() {
		if e.kept || e.due >= roster.Never {
			continue // the latter is held; its old time will do
		}
		if err := queue.SetNextTry(e.id, c, e.due); err != nil {
			s.warnFile("unable to utime", e.id.Recipients(c), "; message will be retried too soon")
		}
	}
}

// logLine adds a line to the log. It is written before what it tells of goes on:
// before commands and requests are sent, and before the loop sleeps.
func (s *Scheduler) logLine(line string) {
	s.lines = append(append(s.lines, line...), '\n')
	if len(s.lines) >= logBuffer {
		s.flushLog()
	}
}

// logBuffer is how many bytes of the log are kept back at most.
const logBuffer = 4096

func (s *Scheduler) flushLog() {
	if len(s.lines) > 0 {
		_, _ = s.log.Write(s.lines)
		s.lines = s.lines[:0]
	}
}

func (s *Scheduler) logStatus() {
	local, remote := s.spawners[queue.Local], s.spawners[queue.Remote]
	s.logLine(maillog.Status(local.used, len(local.slots), remote.used, len(remote.slots), s.leaving))
}

// warnFile logs trouble with a queue file; then tells what follows.
func (s *Scheduler) warnFile(doing, file, then string) {
	s.logLine(maillog.Warning(doing + " " + file + then))
}

const tryAgain = "; will try again later"

// pauseForDir waits where a directory of the queue cannot be opened.
func (s *Scheduler) pauseForDir(err error) {
	s.cannotOpenDir(err)
	s.sleep()
}

// sleep waits where there is nothing else that can be done.
func (s *Scheduler) sleep() {
	s.flushLog()
	time.Sleep(helpPause)
}
