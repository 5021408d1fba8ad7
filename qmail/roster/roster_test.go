package roster

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/reqmail/reqmail/compat/steer"
	"github.com/reqmail/reqmail/queue"
	"github.com/reqmail/reqmail/queue/orders"
	"github.com/reqmail/reqmail/queue/reasons"
)

func TestIndex(t *testing.T) {
	var x Index
	if x.Get(1) != nil {
		t.Error("something in an empty index")
	}
	for id := range queue.ID(5) {
		x.Put(Record{ID: id, Birth: 10})
	}
	x.Put(Record{ID: 3, Birth: 11}) // the number is used again
	x.Remove(0)
	x.Remove(4)
	x.Remove(9)
	var ids []queue.ID
	for r := range x.All() {
		ids = append(ids, r.ID)
		if x.Get(r.ID).ID != r.ID {
			t.Errorf("%d leads elsewhere", r.ID)
		}
	}
	slices.Sort(ids)
	if !slices.Equal(ids, []queue.ID{1, 2, 3}) || x.Len() != 3 || x.Get(3).Birth != 11 || x.Get(4) != nil {
		t.Errorf("left: %v", ids)
	}
}

// The index agrees with a map whatever comes and goes.
func TestIndexAtRandom(t *testing.T) {
	var x Index
	want := map[queue.ID]uint32{}
	random := rand.New(rand.NewPCG(1, 2))
	for n := range uint32(200_000) {
		id := queue.ID(random.IntN(6000)) << (random.IntN(2) * 40)
		if n%40_000 > 25_000 { // it shrinks now and then
			x.Remove(id)
			delete(want, id)
		} else {
			x.Put(NewRecord(id, int64(n), -1))
			want[id] = n
		}
	}
	if x.Len() != len(want) || len(x.Copy()) != len(want) {
		t.Errorf("%d records, %d copied, want %d", x.Len(), len(x.Copy()), len(want))
	}
	for id, birth := range want {
		if r := x.Get(id); r == nil || r.ID != id || r.Birth != birth {
			t.Fatalf("%d: %+v, want birth %d", id, r, birth)
		}
	}
	for r := range x.All() {
		if want[r.ID] != r.Birth {
			t.Fatalf("%+v should not be there", r)
		}
	}
}

func TestMeter(t *testing.T) {
	var m Meter
	const now = 1_000_000
	m.Arrived(now - 3700) // too long ago
	m.Arrived(now - 3599)
	m.Delivery(now-100, 'Z')
	m.Delivery(now-59, 'K')
	m.Delivery(now-59, 'D')
	m.Delivery(now, 'X') // mangled reports defer
	m.Ended(now)
	if r, want := m.Rates(now, 60), (steer.Rates{Ended: 1, Delivered: 1, Failed: 1, Deferred: 1}); r != want {
		t.Errorf("minute: %+v", r)
	}
	if r, want := m.Rates(now, 3600), (steer.Rates{Arrived: 1, Ended: 1, Delivered: 1, Failed: 1, Deferred: 2}); r != want {
		t.Errorf("hour: %+v", r)
	}
	if r := m.Rates(now+4000, 3600); r != (steer.Rates{}) {
		t.Errorf("an hour later: %+v", r)
	}
	m.Arrived(now + 3990) // the clock was set back
	if r := m.Rates(now+3990, 60); r.Arrived != 1 {
		t.Errorf("after the clock was set back: %+v", r)
	}
}

// message writes the files of a message, born at a time.
func message(t testing.TB, id queue.ID, birth int64, sender, local, remote string) {
	t.Helper()
	for path, text := range map[string]string{
		id.Info(): "F" + sender + "\x00", id.Recipients(queue.Local): local, id.Recipients(queue.Remote): remote,
	} {
		if text == "" {
			continue
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		tv := syscall.Timeval{Sec: birth}
		if err := syscall.Utimes(path, []syscall.Timeval{tv, tv}); err != nil {
			t.Fatal(err)
		}
	}
}

const now = 5000

// sample is a snapshot of a queue with a message in every state.
func sample(t *testing.T) *Snapshot {
	t.Helper()
	t.Chdir(t.TempDir())
	s := &Snapshot{
		Now:    now,
		Active: map[queue.ID]int{3: 1},
		Orders: map[queue.ID]orders.Order{
			1: {Birth: 1001, Held: true, Frozen: true, Since: 4000},
			2: {Birth: 1002, Held: true, Until: 9000, Reason: "why"},
			4: {Birth: 1004, NotBefore: 6000},
			6: {Birth: 7777, Held: true}, // for an earlier message of that number
			8: {Birth: 1008, Remove: orders.Silently},
		},
	}
	for id := queue.ID(1); id <= 8; id++ {
		r := Record{ID: id, Birth: 1000 + uint32(id), Size: 100 * uint32(id)}
		switch id {
		case 5:
			r.Rule = 9
		case 6:
			r.Tries[queue.Local] = 2
		}
		s.Records = append(s.Records, r)
		s.Due[queue.Local] = append(s.Due[queue.Local], Due{id, 5000 + int64(id)})
		message(t, id, int64(r.Birth), "s@a.example", "Dx@b.example\x00Ty@c.example\x00", "")
	}
	return s
}

func ids(t *testing.T, s *Snapshot, q steer.Query) (found []uint64, total int) {
	t.Helper()
	total, err := s.List(nil, q, func(m *steer.Message) error {
		found = append(found, m.ID)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found, total
}

func TestStates(t *testing.T) {
	s := sample(t)
	for id, want := range map[queue.ID]steer.State{
		1: steer.Frozen, 2: steer.Held, 3: steer.Active, 4: steer.Postponed, 5: steer.Suspended, 6: steer.Deferred, 7: steer.Fresh,
	} {
		m, ok := s.Find(id)
		if !ok || m.State != want {
			t.Errorf("message %d: %q, want %q", id, m.State, want)
		}
	}
	for id, want := range map[queue.ID]int64{1: 0, 2: 9000, 4: 6000, 7: 5007} {
		if m, _ := s.Find(id); m.NextTry != want {
			t.Errorf("message %d: next try at %d, want %d", id, m.NextTry, want)
		}
	}
	if _, ok := s.Find(8); ok {
		t.Error("a message that is being removed is found")
	}
	m, _ := s.Find(7)
	if m.Sender != "s@a.example" || m.Count != 2 || m.Left != 1 || m.Recipients[0].Address != "y@c.example" || !m.Recipients[1].Done {
		t.Errorf("message %+v", m)
	}
}

func TestList(t *testing.T) {
	s := sample(t)
	for _, test := range []struct {
		name  string
		query steer.Query
		want  []uint64
		total int
	}{
		{"all, held ones without end last", steer.Query{}, []uint64{3, 5, 6, 7, 4, 2, 1}, 7},
		{"limited", steer.Query{Limit: 2, Sort: steer.ByAge}, []uint64{1, 2}, 7},
		{"by files", steer.Query{Filter: steer.Filter{Domain: "c.*"}, Sort: steer.BySize, Limit: 2}, []uint64{7, 6}, -1},
		{"by files, all", steer.Query{Filter: steer.Filter{Sender: "s@*"}, Sort: "-age"}, []uint64{7, 6, 5, 4, 3, 2, 1}, 7},
		{"none", steer.Query{Filter: steer.Filter{Sender: "t@*"}}, nil, 0},
		{"by number", steer.Query{Filter: steer.Filter{IDs: []uint64{7, 99, 2, 7, 8}}}, []uint64{7, 2}, 2},
		{"by state", steer.Query{Filter: steer.Filter{States: []steer.State{steer.Held, steer.Frozen}}}, []uint64{2, 1}, 2},
	} {
		if got, total := ids(t, s, test.query); !slices.Equal(got, test.want) || total != test.total {
			t.Errorf("%s: %v, %d; want %v, %d", test.name, got, total, test.want, test.total)
		}
	}
	if n := s.Flushable(""); n != 4 { // neither held nor postponed
		t.Errorf("%d are flushable", n)
	}
	if n := s.Flushable(steer.Remote); n != 0 {
		t.Errorf("%d are flushable on a channel without mail", n)
	}
}

// A message that ends while it is listed is said to have ended; another one of
// its number is not taken for it.
func TestEndedMeanwhile(t *testing.T) {
	s := sample(t)
	if err := os.Remove(queue.ID(7).Info()); err != nil {
		t.Fatal(err)
	}
	message(t, 6, 9999, "other@b.example", "Tz@z\x00", "")
	for _, id := range []queue.ID{6, 7} {
		if m, _ := s.Find(id); m.Trouble != "it has ended" || m.Sender != "" || len(m.Recipients) != 0 {
			t.Errorf("message %+v", m)
		}
	}
}

func TestUnder(t *testing.T) {
	s := sample(t)
	plain := func(address string) string { return address }
	for destination, want := range map[string]int{"c.example": 7, "b.example": 0 /* done */, "y@*": 7} {
		names, err := s.Under(nil, &steer.Rule{Destination: destination}, plain)
		if err != nil || len(names) != want {
			t.Errorf("%s: %d, %v", destination, len(names), err)
		}
	}
}

func TestCount(t *testing.T) {
	s := sample(t)
	if err := os.MkdirAll("todo", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("todo/77", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s.Records[6].Size = Unsized
	s.Waits[queue.Local] = 5003
	var st steer.Status
	s.Count(&st)
	if st.Messages != 8 || st.Bytes != 2900 || st.Unsized != 1 || st.Held != 2 || st.Frozen != 1 || st.Todo != 1 ||
		st.Oldest.ID != 1 || st.Local.Messages != 8 || st.Local.NextTry != 5003 {
		t.Errorf("status %+v", st)
	}
}

// A queue of 200 000 messages is no reason to wait: about a quarter of a second
// of processor time. The limit leaves room for the race detector.
func TestMany(t *testing.T) {
	t.Chdir(t.TempDir())
	s := many(200_000)
	before := processorTime(t)
	if _, total := ids(t, s, steer.Query{Limit: 50}); total != 200_000 {
		t.Errorf("total %d", total)
	}
	var st steer.Status
	s.Count(&st)
	if took := processorTime(t) - before; took > 10*time.Second {
		t.Errorf("it takes %v", took)
	}
}

func processorTime(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func many(n int) *Snapshot {
	s := &Snapshot{Now: now}
	for id := range queue.ID(n) {
		s.Records = append(s.Records, Record{ID: id, Birth: uint32(id) % 3000, Size: 1000})
		s.Due[queue.Remote] = append(s.Due[queue.Remote], Due{id, now + int64(id*7919)%3000})
	}
	return s
}

// TestListMany: a list of more messages than are kept at a time has each once, in
// order.
func TestListMany(t *testing.T) {
	t.Chdir(t.TempDir())
	const n = 2*manyCandidates + 77
	for _, q := range []steer.Query{{}, {Sort: "-size"}, {Limit: manyCandidates + 5}, {Filter: steer.Filter{States: []steer.State{steer.Fresh}}}} {
		var last *steer.Message
		sent := 0
		total, err := many(n).List(nil, q, func(m *steer.Message) error {
			if last != nil && q.Sort.Compare(q.Sort.Key(last), q.Sort.Key(m)) >= 0 {
				t.Fatalf("%+v: %d after %d", q, m.ID, last.ID)
			}
			last = m
			sent++
			return nil
		})
		want := n
		if q.Limit > 0 {
			want = q.Limit
		}
		if err != nil || total != n || sent != want {
			t.Errorf("%+v: %d of %d, %v", q, sent, total, err)
		}
	}
	none := steer.Query{Filter: steer.Filter{Domain: "nowhere.example"}}
	if total, err := many(n).List(nil, none, func(*steer.Message) error { t.Fatal("found"); return nil }); total != 0 || err != nil {
		t.Errorf("%d, %v", total, err)
	}
}

func BenchmarkList50(b *testing.B) {
	b.Chdir(b.TempDir())
	for b.Loop() {
		s := many(200_000)
		if _, err := s.List(nil, steer.Query{Limit: 50}, func(*steer.Message) error { return nil }); err != nil {
			b.Fatal(err)
		}
	}
}

func TestFromFiles(t *testing.T) {
	t.Chdir(t.TempDir())
	for n := range queue.Split() {
		message(t, queue.ID(n), 0, "s", "Tx@y\x00", "") // makes the folders
		for _, path := range []string{queue.ID(n).Info(), queue.ID(n).Recipients(queue.Local)} {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		}
	}
	message(t, 7, 1007, "s@a", "Tx@y\x00", "")
	message(t, 8, 1008, "s@b", "", "Tx@z\x00Ty@z\x00")
	directories(t)
	if err := os.WriteFile(orders.File, []byte(`{"id":8,"order":{"birth":1008,"held":true}}`+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for heed, want := range map[bool]steer.State{true: steer.Held, false: steer.Fresh} {
		s, err := FromFiles(now, heed, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := ids(t, s, steer.Query{Sort: steer.ByAge}); !slices.Equal(got, []uint64{7, 8}) {
			t.Errorf("listed %v", got)
		}
		if m, _ := s.Find(8); m.State != want || m.Sender != "s@b" || m.Left != 2 || m.Remote != 1008 {
			t.Errorf("message %+v", m)
		}
	}
}

// What the log of a qmail-send that has ended does not have was tried if its
// next try is behind the first one; how often is not known.
func TestTriesByFiles(t *testing.T) {
	t.Chdir(t.TempDir())
	for n := range queue.Split() {
		message(t, queue.ID(n+23), 0, "s", "Tx@y\x00", "")
		if err := os.Remove(queue.ID(n + 23).Info()); err != nil {
			t.Fatal(err)
		}
	}
	for id := queue.ID(7); id <= 9; id++ {
		message(t, id, 1000, "s@a", "Tx@y\x00", "")
	}
	later := syscall.Timeval{Sec: 1400}
	if err := syscall.Utimes(queue.ID(8).Recipients(queue.Local), []syscall.Timeval{later, later}); err != nil {
		t.Fatal(err)
	}
	directories(t)
	log, err := reasons.Open()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := log.Add(reasons.Record{ID: 9, Birth: 1000, Tries: 3, Text: "why"}, 0, 1); err != nil {
		t.Fatal(err)
	}
	log.Close()
	if log, err = reasons.Read(); err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	type seen struct {
		state  steer.State
		tries  int
		reason string
	}
	for _, test := range []struct {
		log  *reasons.Log
		want map[queue.ID]seen
	}{
		{log, map[queue.ID]seen{7: {steer.Fresh, 0, ""}, 8: {steer.Deferred, steer.TriesUnknown, ""}, 9: {steer.Deferred, 3, "why"}}},
		{nil, map[queue.ID]seen{7: {steer.Fresh, steer.TriesUnknown, ""}, 8: {steer.Deferred, steer.TriesUnknown, ""}}},
	} {
		s, err := FromFiles(now, true, test.log)
		if err != nil {
			t.Fatal(err)
		}
		for id, want := range test.want {
			if m, _ := s.Find(id); (seen{m.State, m.Tries, m.Reason}) != want {
				t.Errorf("message %d: %s, %d tries, %q; want %+v", id, m.State, m.Tries, m.Reason, want)
			}
		}
	}
}

// directories makes those of a queue that are not there yet.
func directories(t *testing.T) {
	t.Helper()
	for _, p := range queue.Built().Layout() {
		if p.Type == syscall.S_IFDIR {
			if err := os.MkdirAll(p.Path, 0o700); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := os.MkdirAll("lock/send", 0o700); err != nil {
		t.Fatal(err)
	}
}
