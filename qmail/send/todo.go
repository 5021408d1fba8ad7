package send

import (
	"maps"
	"syscall"

	"github.com/reqmail/reqmail/compat/maillog"
	"github.com/reqmail/reqmail/compat/wire"
	"github.com/reqmail/reqmail/qmail/policy"
	"github.com/reqmail/reqmail/queue"
)

// maxPreparing is how many messages are preprocessed at a time where one sync of
// the file system makes all of them durable: the more, the fewer syncs there are.
// Elsewhere, and where few files may be open, it is fewPreparing, each of which
// may take a thread.
const (
	maxPreparing = 128
	fewPreparing = 32

	filesPrepared = 6 // open at a time for each
)

// batches is how many times as many a goroutine takes at a time there are: while
// some are written, others wait for the disk.
const batches = 4

// maxTaken is how many entries of todo may be under way from when they are
// begun until qmail-clean has removed them.
const maxTaken = 4 * maxPreparing

// preparing is how many messages may be preprocessed at a time now.
func (t *intake) preparing() int {
	if t.many && t.commits.Whole() {
		return maxPreparing
	}
	return fewPreparing
}

// intake is the way of messages from todo into the schedule.
type intake struct {
	scan    *queue.Scan       // nil between two looks into todo
	next    int64             // when to look again without being told
	taken   map[queue.ID]bool // begun, and not yet out of todo
	passed  map[queue.ID]bool // taken when the look began: it may meet them, but they are no news
	running int               // being preprocessed
	many    bool              // files may be open
	commits *queue.Commits    // makes many durable at once
	results chan []prepared
}

func newIntake(now int64) intake {
	var files syscall.Rlimit
	err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files)
	return intake{
		next: now, taken: map[queue.ID]bool{}, results: make(chan []prepared, maxPreparing), commits: queue.NewCommits(),
		many: err == nil && files.Cur >= 2*filesPrepared*maxPreparing,
	}
}

// batch is how many messages are preprocessed together.
func (t *intake) batch() int { return t.preparing() / batches }

// ready reports whether entries of todo can be taken: as many as are preprocessed
// together, for where there is room for a few more at a time, and many wait, each
// few would have syncs of their own.
func (t *intake) ready() bool {
	n := t.batch()
	return t.scan != nil && t.running+n <= t.preparing() && len(t.taken)+n <= maxTaken
}

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

// lookIntoTodo has entries of todo preprocessed, as many as there is room for. A
// look begins when the trigger is pulled or enough time has passed; none begins
// while one goes on.
func (s *Scheduler) lookIntoTodo(pulled bool) {
	if s.leaving {
		return
	}
	t := &s.todo
	if t.scan == nil {
		if !pulled && s.recent < t.next {
			return
		}
		s.rearmTrigger()
		var err error
		if t.scan, err = queue.ScanTodo(); err != nil {
			t.scan = nil
			s.pauseForDir(err)
			return
		}
		t.next = s.recent + todoInterval
		t.passed = maps.Clone(t.taken)
	}
	for t.ready() {
		if ids := t.nextBatch(); len(ids) > 0 {
			s.preprocess(ids)
		}
	}
}

// nextBatch returns the next entries of todo that are news, fewer than there is room
// for where the look ends.
func (t *intake) nextBatch() (ids []queue.ID) {
	for most := t.batch(); len(ids) < most; {
		id, ok, more, _ := t.scan.Next()
		if !more {
			t.scan = nil
			break
		}
		if ok && !t.taken[id] && !t.passed[id] {
			t.taken[id] = true
			ids = append(ids, id)
		}
	}
	return ids
}

// preprocess has messages preprocessed beside the loop.
func (s *Scheduler) preprocess(ids []queue.ID) {
	s.todo.running += len(ids)
	for _, id := range ids {
		s.takingIn.meet(id)
	}
	config := *s.config // HUP changes it
	go func() {
		s.todo.results <- config.prepare(ids, s.todo.commits)
		s.signals.poke()
	}()
}

// prepared is what preprocessing a message has come to.
type prepared struct {
	queue.Preprocessed
	id    queue.ID
	lines []string // of the log
	rule  *policy.Rule
	err   error
}

// prepare preprocesses messages: S4 → S4, all of S5 but the end of todo/ID. It
// is called beside the loop.
func (c *Config) prepare(ids []queue.ID, commits *queue.Commits) []prepared {
	batch := make([]prepared, len(ids))
	var m *prepared
	p := queue.Preprocessor{
		Commits: commits,
		Route:   c.route,
		Began:   func(id queue.ID) { m.lines = append(m.lines, maillog.NewMessage(uint64(id))) },
		Sender: func(id queue.ID, size uint64, sender string, qp, uid uint64) {
			m.lines = append(m.lines, maillog.Info(uint64(id), size, sender, qp, uid))
		},
	}
	written := make([]*queue.Written, 0, len(ids))
	of := make([]*prepared, 0, len(ids))
	for i, id := range ids {
		m = &batch[i]
		m.id = id
		if m.rule, m.err = c.decide(id); m.err != nil {
			continue
		}
		var w *queue.Written
		if w, m.err = p.Write(id, c.archivist(m.rule)); m.err == nil {
			m.Preprocessed = w.Preprocessed
			written, of = append(written, w), append(of, m)
		}
	}
	for i, err := range commits.Keep(written) {
		of[i].err = err
	}
	return batch
}

// takePrepared has the envelopes of messages removed that are preprocessed.
func (s *Scheduler) takePrepared() {
	var batch []prepared
	for range len(s.todo.results) {
		for _, m := range <-s.todo.results {
			s.todo.running--
			for _, line := range m.lines {
				s.logLine(line)
			}
			if m.err != nil {
				s.warnFileError(m.err, "")
				delete(s.todo.taken, m.id)
				continue
			}
			batch = append(batch, m)
		}
	}
	for _, m := range s.enforce(batch) {
		s.askCleaner(wire.CleanRequest{Kind: wire.CleanTodo, ID: uint64(m.id)}, func(done bool) { s.preprocessed(m, done) })
	}
}

// preprocessed schedules a message once its envelope is out of todo. Where that
// is not so, it is preprocessed again.
func (s *Scheduler) preprocessed(m prepared, done bool) {
	delete(s.todo.taken, m.id)
	if !done {
		return
	}
	now := s.now()
	s.steer.arrived(m.id, m.Birth, m.Size, now)
	for c := range s.channel {
		if m.Used[c] {
			s.arrive(m.id, queue.Channel(c), now)
		}
	}
	if m.Used == [queue.Channels]bool{} {
		s.done.add(m.id, now)
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
