package send

import (
	"cmp"
	"errors"
	"io"
	"maps"
	"runtime/debug"
	"slices"
	"strconv"
	"time"

	"github.com/reqmail/reqmail/compat/jsonl"
	"github.com/reqmail/reqmail/compat/maillog"
	"github.com/reqmail/reqmail/compat/steer"
	"github.com/reqmail/reqmail/qmail/roster"
	"github.com/reqmail/reqmail/queue"
)

// serve talks to who connects, each in a goroutine of its own. Nothing here
// touches the scheduler but through steering.in.
func (s *Scheduler) serve() {
	places := make(chan struct{}, maxClients)
	for {
		places <- struct{}{}
		c, err := s.steer.socket.Accept()
		if err != nil {
			select {
			case <-s.beside.over:
				return
			case <-time.After(time.Second): // no descriptors, say
			}
			<-places
			continue
		}
		go func() {
			s.converse(c)
			<-places
		}()
	}
}

// converse answers the requests of one client. A bug in an answer costs that
// client its conversation, not the host its mail.
func (s *Scheduler) converse(c *steer.Conn) {
	defer c.Close()
	defer func() {
		if recover() != nil {
			s.beside.in(func() { s.logLine(maillog.Warning("internal error while answering a client")) })
		}
	}()
	for {
		r, err := c.Receive()
		if err != nil {
			if _, ok := errors.AsType[*jsonl.Error](err); ok {
				_ = c.Send(steer.Answer{Done: true, Error: "request is not understood"})
			}
			return
		}
		answer := asks()[r.Verb]
		if answer == nil {
			answer = func(*Scheduler, *steer.Conn, *steer.Request) (steer.Answer, error) {
				return steer.Answer{}, errors.New("unknown verb " + strconv.Quote(string(r.Verb)))
			}
		}
		last, err := answer(s, c, r)
		if err != nil {
			last = steer.Answer{Error: err.Error()}
		}
		last.Done = true
		if c.Send(last) != nil {
			return
		}
	}
}

// ask answers one request: it sends all lines but the last, which it returns.
type ask func(s *Scheduler, c *steer.Conn, r *steer.Request) (steer.Answer, error)

// asks are the verbs.
func asks() map[steer.Verb]ask {
	table := map[steer.Verb]ask{
		steer.VerbStatus: (*Scheduler).tellStatus,
		steer.VerbList:   (*Scheduler).tellList,
		steer.VerbShow:   (*Scheduler).tellMessage,
		steer.VerbLive:   (*Scheduler).tellLive,
		steer.VerbRules:  (*Scheduler).tellRules,
		steer.Flush:      (*Scheduler).doFlush,
		steer.Suspend:    (*Scheduler).doAddRule,
		steer.BounceRule: (*Scheduler).doAddRule,
		steer.Cancel:     (*Scheduler).doCancel,
	}
	for verb := range changes() {
		table[verb] = (*Scheduler).doAct
	}
	return table
}

// Errors of requests.
var (
	errLeaving = errors.New("qmail-send is leaving")
	errLacking = errors.New("request lacks what its verb needs")
)

// look runs f on a copy of what the loop knows. Only so many go on at a time.
func (s *Scheduler) look(f func(*roster.Snapshot) error) error {
	select {
	case s.steer.looks <- struct{}{}:
	case <-s.beside.over:
		return errLeaving
	}
	defer func() { <-s.steer.looks }()
	var snapshot *roster.Snapshot
	if !s.beside.in(func() { snapshot = s.snapshot() }) {
		return errLeaving
	}
	if len(snapshot.Records) >= manyRecords {
		defer debug.FreeOSMemory()
	}
	return f(snapshot)
}

// manyRecords is how large a copy is that is given back to the system at once.
const manyRecords = 50_000

// snapshot copies what the loop knows: for 200 000 messages, milliseconds.
func (s *Scheduler) snapshot() *roster.Snapshot {
	copied := &roster.Snapshot{
		Now:     s.recent,
		Records: s.steer.index.Copy(),
		Active:  maps.Clone(s.steer.active),
		Orders:  maps.Clone(s.steer.orders.All()),
		Reasons: s.steer.reasons,
	}
	for c := range s.channel {
		copied.Waits[c] = s.waits(queue.Channel(c))
		for _, q := range s.schedules(queue.Channel(c)) {
			due := slices.Grow(copied.Due[c], q.len())
			for e := range q.entries() {
				due = append(due, roster.Due{ID: e.id, Time: e.due})
			}
			copied.Due[c] = due
		}
	}
	return copied
}

func (s *Scheduler) tellStatus(_ *steer.Conn, _ *steer.Request) (steer.Answer, error) {
	var st steer.Status
	err := s.look(func(snapshot *roster.Snapshot) error {
		if !s.beside.in(func() { st = s.status() }) {
			return errLeaving
		}
		snapshot.Count(&st)
		return nil
	})
	return steer.Answer{Status: &st}, err
}

// status tells what the loop itself knows.
func (s *Scheduler) status() steer.Status {
	st := steer.Status{
		Now: s.recent, Leaving: s.leaving, TakingIn: !s.takingIn.over(), NextWake: s.nextWake(),
		Minute: s.steer.meter.Rates(s.recent, 60), Hour: s.steer.meter.Rates(s.recent, 3600),
	}
	for c, status := range []*steer.ChannelStatus{&st.Local, &st.Remote} {
		status.Running, status.Allowed = s.spawners[c].used, len(s.spawners[c].slots)
		status.Suspended = s.waits(queue.Channel(c)) > s.recent
	}
	return st
}

func (s *Scheduler) tellList(c *steer.Conn, r *steer.Request) (answer steer.Answer, err error) {
	if r.Query == nil {
		return answer, errLacking
	}
	if err := errors.Join(r.Query.Filter.Check(), r.Query.Sort.Check()); err != nil {
		return answer, err
	}
	err = s.look(func(snapshot *roster.Snapshot) error {
		answer.Total, err = snapshot.List(s.beside.over, *r.Query, func(m *steer.Message) error {
			return c.Send(steer.Answer{Message: m})
		})
		return err
	})
	return answer, err
}

func (s *Scheduler) tellMessage(c *steer.Conn, r *steer.Request) (steer.Answer, error) {
	if r.Name == nil {
		return steer.Answer{}, errLacking
	}
	return steer.Answer{}, s.look(func(snapshot *roster.Snapshot) error {
		m, ok := snapshot.Find(queue.ID(r.Name.ID))
		if !ok {
			return errNoMessage
		}
		if r.Name.Birth != 0 && r.Name.Birth != m.Birth {
			return errOther
		}
		return c.Send(steer.Answer{Message: &m})
	})
}

func (s *Scheduler) tellLive(c *steer.Conn, _ *steer.Request) (steer.Answer, error) {
	var live []*steer.Delivery
	if !s.beside.in(func() { live = s.live() }) {
		return steer.Answer{}, errLeaving
	}
	slices.SortFunc(live, func(a, b *steer.Delivery) int { return cmp.Compare(a.Number, b.Number) })
	for _, d := range live {
		if err := c.Send(steer.Answer{Delivery: d}); err != nil {
			return steer.Answer{}, io.ErrClosedPipe
		}
	}
	return steer.Answer{}, nil
}

// live tells the deliveries under way.
func (s *Scheduler) live() (live []*steer.Delivery) {
	for _, sp := range s.spawners {
		for _, d := range sp.slots {
			if d == nil {
				continue
			}
			told := &steer.Delivery{
				Name: steer.Name{ID: uint64(d.job.id), Birth: d.job.life.birth}, Number: d.number,
				Channel: sp.channel.String(), Sender: d.job.sender, Recipient: d.recipient, Since: d.since,
				Phase: steer.PhaseRunning,
			}
			if r := s.steer.index.Get(d.job.id); r != nil {
				told.Size = r.Bytes()
			}
			d.tell(told)
			if d.ordered > sp.sent {
				told.Phase = steer.PhaseQueued
			}
			live = append(live, told)
		}
	}
	return live
}

// tell adds to what is told of a delivery what its spawner told. The bytes of
// a message may be others on their way: what was sent is told in those of the
// message in the queue.
func (d *delivery) tell(told *steer.Delivery) {
	p := d.progress
	if p.Phase == "" {
		return
	}
	told.Phase, told.Host, told.Sent = p.Phase, p.Host, p.Sent
	if told.Size == 0 {
		told.Size = p.Total
	}
	if p.Total > 0 {
		told.Sent = int64(float64(told.Size) * float64(min(p.Sent, p.Total)) / float64(p.Total))
	}
}

func (s *Scheduler) tellRules(c *steer.Conn, _ *steer.Request) (steer.Answer, error) {
	var rules []steer.Rule
	if !s.beside.in(func() { rules = slices.Clone(s.steer.orders.Rules()) }) {
		return steer.Answer{}, errLeaving
	}
	for i := range rules {
		if err := c.Send(steer.Answer{Rule: &rules[i]}); err != nil {
			return steer.Answer{}, err
		}
	}
	return steer.Answer{}, nil
}

// doAct acts on messages, in batches between which the scheduler goes on, and
// answers when what was ordered is durable.
func (s *Scheduler) doAct(_ *steer.Conn, r *steer.Request) (steer.Answer, error) {
	if r.Act == nil || r.Act.Verb != r.Verb {
		return steer.Answer{}, errLacking
	}
	if err := checkAct(r.Act, time.Now().Unix()); err != nil {
		return steer.Answer{}, err
	}
	names := r.Act.Names
	if len(names) == 0 {
		var err error
		if names, err = s.selectNames(steer.Query{Filter: *r.Act.Filter}); err != nil {
			return steer.Answer{}, err
		}
	}
	result := &steer.Result{}
	for batch := range slices.Chunk(names, actBatch) {
		if !s.beside.in(func() { s.act(r.Act, batch, result) }) {
			return steer.Answer{}, errLeaving
		}
	}
	if r.Act.DryRun {
		return steer.Answer{Result: result}, nil
	}
	return steer.Answer{Result: result}, s.steer.orders.Sync()
}

func (s *Scheduler) selectNames(q steer.Query) (names []steer.Name, err error) {
	err = s.look(func(snapshot *roster.Snapshot) error {
		_, err := snapshot.List(s.beside.over, q, func(m *steer.Message) error {
			names = append(names, m.Name)
			return nil
		})
		return err
	})
	return names, err
}

func (s *Scheduler) doFlush(_ *steer.Conn, r *steer.Request) (steer.Answer, error) {
	channel := ""
	if r.Rule != nil {
		channel = r.Rule.Channel
	}
	if channel != "" && channel != steer.Local && channel != steer.Remote {
		return steer.Answer{}, errors.New("unknown channel " + strconv.Quote(channel))
	}
	var result steer.Result
	err := s.look(func(snapshot *roster.Snapshot) error {
		result.Touched = snapshot.Flushable(channel)
		return nil
	})
	if err != nil || r.DryRun {
		return steer.Answer{Result: &result}, err
	}
	if !s.beside.in(func() { s.flush(channel) }) {
		err = errLeaving
	}
	return steer.Answer{Result: &result}, err
}

// doAddRule puts a suspension or bounce in force, then looks beside the loop
// which messages it applies to.
func (s *Scheduler) doAddRule(_ *steer.Conn, r *steer.Request) (steer.Answer, error) {
	if r.Rule == nil || r.Rule.Verb != r.Verb {
		return steer.Answer{}, errLacking
	}
	if err := r.Rule.Check(); err != nil {
		return steer.Answer{}, err
	}
	if r.Rule.Until != 0 && r.Rule.Until <= time.Now().Unix() || r.Rule.Until >= roster.Never {
		return steer.Answer{}, errors.New("the time is over already")
	}
	result := &steer.Result{}
	if !r.DryRun {
		var err error
		if !s.beside.in(func() { result.Rule, err = s.addRule(*r.Rule) }) {
			err = errLeaving
		}
		if err == nil {
			err = s.steer.orders.Sync()
		}
		if err != nil {
			return steer.Answer{}, err
		}
	}
	var names []steer.Name
	var now routes // HUP may change them
	if !s.beside.in(func() { now = s.config.routes }) {
		return steer.Answer{}, errLeaving
	}
	err := s.look(func(snapshot *roster.Snapshot) (err error) {
		names, err = snapshot.Under(s.beside.over, r.Rule, now.withoutPrefix)
		return err
	})
	result.Touched = len(names)
	if err != nil || r.DryRun || r.Rule.Channel != "" {
		return steer.Answer{Result: result}, err
	}
	for batch := range slices.Chunk(names, actBatch) {
		if !s.beside.in(func() { s.applied(r.Rule, result.Rule, batch) }) {
			return steer.Answer{}, errLeaving
		}
	}
	return steer.Answer{Result: result}, nil
}

func (s *Scheduler) doCancel(_ *steer.Conn, r *steer.Request) (steer.Answer, error) {
	if r.Rule == nil {
		return steer.Answer{}, errLacking
	}
	var result steer.Result
	var err error
	if !s.beside.in(func() { result.Touched, err = s.cancelRule(r.Rule.Number, r.DryRun) }) {
		err = errLeaving
	}
	if err == nil && !r.DryRun {
		err = s.steer.orders.Sync()
	}
	return steer.Answer{Result: &result}, err
}
