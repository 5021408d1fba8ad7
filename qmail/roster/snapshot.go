package roster

import (
	"errors"
	"slices"
	"syscall"

	"github.com/reqmail/reqmail/compat/steer"
	"github.com/reqmail/reqmail/queue"
	"github.com/reqmail/reqmail/queue/orders"
	"github.com/reqmail/reqmail/queue/reasons"
)

// Due is when a message is tried on a channel.
type Due struct {
	ID   queue.ID
	Time int64 // Unix seconds; Never or later: not by itself
}

// Never is later than any time.
const Never = int64(1) << 60

// Snapshot is a copy of what qmail-send knows at one moment. Whoever has it may
// take as long as he likes.
type Snapshot struct {
	Now     int64
	Records []Record
	Due     [queue.Channels][]Due
	Waits   [queue.Channels]int64 // the channel as a whole is suspended until then
	Active  map[queue.ID]int      // messages with deliveries under way
	Orders  map[queue.ID]orders.Order
	Reasons *reasons.Log // nil: none are kept
	Files   bool         // it is made of the files: not every try is on record

	joined    bool
	positions places
	next      [queue.Channels][]int64 // by position; nil: 0 for all
}

// join brings the records and their due times together.
func (s *Snapshot) join() {
	if s.joined {
		return
	}
	s.joined = true
	s.positions.reserve(len(s.Records), s.idAt)
	for i := range s.Records {
		s.positions.put(s.Records[i].ID, i, s.idAt)
	}
	for c, due := range s.Due {
		if len(due) == 0 {
			continue
		}
		s.next[c] = make([]int64, len(s.Records))
		for _, d := range due {
			if i, ok := s.find(d.ID); ok {
				s.next[c][i] = max(d.Time, s.Waits[c])
			}
		}
	}
}

func (s *Snapshot) idAt(i int) queue.ID { return s.Records[i].ID }

// find returns the position of a message.
func (s *Snapshot) find(id queue.ID) (int32, bool) {
	i, ok := s.positions.find(id, s.idAt)
	return int32(i), ok
}

// nextOn returns when a message is tried next on a channel; 0: it is not.
func (s *Snapshot) nextOn(c queue.Channel, i int32) int64 {
	if s.next[c] == nil {
		return 0
	}
	return s.next[c][i]
}

// message tells what is known without files of the message at a position;
// false for one that is being removed.
func (s *Snapshot) message(i int32) (m steer.Message, ok bool) {
	r := &s.Records[i]
	m = steer.Message{
		Name:   steer.Name{ID: uint64(r.ID), Birth: int64(r.Birth)},
		Size:   r.Bytes(),
		Tries:  int(max(r.Tries[queue.Local], r.Tries[queue.Remote])),
		Local:  s.nextOn(queue.Local, i),
		Remote: s.nextOn(queue.Remote, i),
		Rule:   int(r.Rule),
	}
	for _, next := range []int64{m.Local, m.Remote} {
		if next != 0 && next < Never && (m.NextTry == 0 || next < m.NextTry) {
			m.NextTry = next
		}
	}
	o := s.Orders[r.ID]
	if o.Birth != int64(r.Birth) {
		o = orders.Order{}
	}
	m.NotBefore, m.ExpireAt, m.Area = o.NotBefore, o.ExpireAt, o.Area
	if o.Held {
		m.Hold = &steer.HoldOrder{Since: o.Since, Until: o.Until, Reason: o.Reason}
		m.NextTry = o.Until
	} else if o.NotBefore > s.Now && m.NextTry != 0 {
		m.NextTry = max(m.NextTry, o.NotBefore)
	}
	if s.Files && r.Tries == [queue.Channels]uint16{} && (s.Reasons == nil || moved(&m)) {
		m.Tries = steer.TriesUnknown
	}
	m.State = s.state(&m, r, o)
	return m, o.Remove == orders.Keep
}

// moved reports whether a next try is so long after the birth that there was one
// before: the first one is due at the birth.
func moved(m *steer.Message) bool {
	return m.Local >= queue.NextTry(m.Birth, m.Birth, queue.Local) || m.Remote >= queue.NextTry(m.Birth, m.Birth, queue.Remote)
}

func (s *Snapshot) state(m *steer.Message, r *Record, o orders.Order) steer.State {
	switch {
	case o.Frozen:
		return steer.Frozen
	case o.Held:
		return steer.Held
	case s.Active[r.ID] > 0:
		return steer.Active
	case o.NotBefore > s.Now:
		return steer.Postponed
	case r.Rule != 0:
		return steer.Suspended
	case r.Tries != [queue.Channels]uint16{}, s.Files && moved(m):
		return steer.Deferred
	}
	return steer.Fresh
}

// candidate is a message that may be listed.
type candidate struct {
	position int32
	key      steer.Key
}

// errStopped says that qmail-send leaves.
var errStopped = errors.New("qmail-send is leaving")

func stopped(stop <-chan struct{}) bool {
	select {
	case <-stop:
		return true
	default:
		return false
	}
}

// List hands the messages of a query to each, in order, and returns how many
// there are; -1 where the limit was reached before all files were looked at.
func (s *Snapshot) List(stop <-chan struct{}, q steer.Query, each func(*steer.Message) error) (total int, err error) {
	s.join()
	files := q.Filter.NeedsFiles()
	sent := 0
	var last *candidate
	for {
		found, left, err := s.candidates(stop, q, last)
		if err != nil {
			return 0, err
		}
		if last == nil {
			total = left
		}
		for _, c := range found {
			switch {
			case q.Limit > 0 && sent == q.Limit:
				if files {
					total = -1
				}
				return total, nil
			case stopped(stop):
				return 0, errStopped
			}
			ok, err := s.tell(c.position, q, each)
			if err != nil {
				return 0, err
			}
			if ok {
				sent++
			}
		}
		if left == len(found) || !files && sent == q.Limit {
			break
		}
		last = &found[len(found)-1]
	}
	if files {
		total = sent // only files can tell
	}
	return total, nil
}

// tell hands the message at a position to each; false if its files rule it out.
func (s *Snapshot) tell(i int32, q steer.Query, each func(*steer.Message) error) (ok bool, err error) {
	m, _ := s.message(i)
	s.read(&m, i, steer.MaxRecipients)
	if q.Filter.NeedsFiles() && !q.Filter.MatchFiles(&m) {
		return false, nil
	}
	m.Recipients = m.Recipients[:min(len(m.Recipients), steer.FewRecipients)]
	return true, each(&m)
}

// candidates returns the messages that the index does not rule out and that come
// after one, or nil, in order: as many as are wanted at a time. left is how many
// there are in all.
func (s *Snapshot) candidates(stop <-chan struct{}, q steer.Query, after *candidate) (found []candidate, left int, err error) {
	limit := s.atATime(q)
	order := func(a, b candidate) int { return q.Sort.Compare(a.key, b.key) }
	ids := unique(q.Filter.IDs)
	q.Filter.IDs = nil // they are looked up instead of compared
	add := func(i int32) {
		m, ok := s.message(i)
		if !ok || !q.Filter.MatchIndex(&m, s.Now) {
			return
		}
		if q.Sort.NeedsFiles() {
			s.read(&m, i, 1)
		}
		c := candidate{i, q.Sort.Key(&m)}
		if after != nil && order(c, *after) <= 0 {
			return
		}
		left++
		found = append(found, c)
		if len(found) >= 2*limit+spare {
			slices.SortFunc(found, order)
			found = found[:limit]
		}
	}
	for _, id := range ids {
		if i, ok := s.find(queue.ID(id)); ok {
			add(i)
		}
	}
	for i := range s.Records {
		if len(ids) > 0 {
			break
		}
		if stopped(stop) {
			return nil, 0, errStopped
		}
		add(int32(i))
	}
	slices.SortFunc(found, order)
	return found[:min(limit, len(found))], left, nil
}

// manyCandidates are kept at a time: all of a large queue would take as much
// memory as its index.
const manyCandidates = 32 << 10

// atATime returns how many candidates of a query are kept at a time.
func (s *Snapshot) atATime(q steer.Query) int {
	switch {
	case q.Sort.NeedsFiles():
		return len(s.Records) // the files are not to be read over and over
	case q.Limit > 0 && !q.Filter.NeedsFiles():
		return min(q.Limit, manyCandidates)
	}
	return manyCandidates
}

// spare is how many candidates too many are kept before the last ones are
// dropped.
const spare = 4096

func unique(ids []uint64) []uint64 {
	ids = slices.Clone(ids)
	slices.Sort(ids)
	return slices.Compact(ids)
}

// Flushable counts the messages that flushing a channel, or with "" both, makes
// due.
func (s *Snapshot) Flushable(channel string) (n int) {
	s.join()
	for i := range s.Records {
		m, ok := s.message(int32(i))
		on := channel != steer.Remote && m.Local != 0 || channel != steer.Local && m.Remote != 0
		if ok && on && m.Hold == nil && m.NotBefore <= s.Now {
			n++
		}
	}
	return n
}

// Under names the messages that a rule applies to. plain undoes the rewriting
// of recipients' addresses.
func (s *Snapshot) Under(stop <-chan struct{}, r *steer.Rule, plain func(string) string) (names []steer.Name, err error) {
	s.join()
	for i := range s.Records {
		if stopped(stop) {
			return nil, errStopped
		}
		m, ok := s.message(int32(i))
		if ok && r.Channel == "" {
			s.read(&m, int32(i), steer.MaxRecipients)
			ok = slices.ContainsFunc(m.Recipients, func(to steer.Recipient) bool {
				return !to.Done && r.Applies(m.Sender, plain(to.Address), to.Channel)
			})
		} else if ok {
			ok = r.Channel == steer.Local && m.Local != 0 || r.Channel == steer.Remote && m.Remote != 0
		}
		if ok {
			names = append(names, m.Name)
		}
	}
	return names, nil
}

// Find tells all about one message; false if there is none.
func (s *Snapshot) Find(id queue.ID) (steer.Message, bool) {
	s.join()
	i, ok := s.find(id)
	if !ok {
		return steer.Message{}, false
	}
	m, ok := s.message(i)
	s.read(&m, i, steer.MaxRecipients)
	return m, ok
}

// read adds what is in the files of a message, and its reasons.
func (s *Snapshot) read(m *steer.Message, i int32, most int) {
	id := s.Records[i].ID
	info, err := queue.ReadInfo(id)
	if err == nil && info.Birth != m.Birth {
		err = syscall.ENOENT
	}
	if err == nil {
		m.Sender = info.Sender
		err = s.readRecipients(m, i, most)
	}
	if err != nil {
		m.Trouble = "unable to read: " + err.Error()
		if errors.Is(err, syscall.ENOENT) {
			m.Trouble = "it has ended"
		}
	}
}

// maxText is how many bytes of addresses and reasons are told of one message.
const maxText = 512 << 10

// readRecipients adds the recipients of a message, those that are not done
// first, at most as many as asked for, and the last reason of each.
func (s *Snapshot) readRecipients(m *steer.Message, i int32, most int) error {
	type place struct {
		channel queue.Channel
		pos     int64
	}
	var why map[place]reasons.Record
	if s.Reasons != nil && s.Records[i].Reason != 0 {
		why = map[place]reasons.Record{}
		for n, r := range s.Reasons.Of(m.Name, s.Records[i].Reason, 2*most) {
			if n == 0 {
				m.Reason = r.Text
			}
			if _, newer := why[place{r.Channel, r.Pos}]; !newer {
				why[place{r.Channel, r.Pos}] = r
			}
		}
	}
	var done []steer.Recipient
	text := 0
	err := queue.EachRecipient(queue.ID(m.ID), func(r queue.Recipient) bool {
		m.Count++
		list := &done
		if !r.Done {
			m.Left++
			list = &m.Recipients
		}
		reason := why[place{r.Channel, r.Pos}]
		text += len(r.Address) + len(reason.Text)
		if len(*list) < most && text < maxText {
			*list = append(*list, steer.Recipient{
				Address: r.Address, Channel: r.Channel.String(), Done: r.Done, Reason: reason.Text, At: reason.Time,
			})
		}
		return true
	})
	m.Recipients = append(m.Recipients, done...)
	m.Recipients = m.Recipients[:min(len(m.Recipients), most)]
	return err
}
