package orders

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"reflect"
	"strings"
	"testing"
	"testing/quick"

	"github.com/reqmail/reqmail/compat/jsonl"
	"github.com/reqmail/reqmail/compat/steer"
	"github.com/reqmail/reqmail/queue"
)

func inQueue(t testing.TB) {
	t.Helper()
	t.Chdir(t.TempDir())
	if err := os.MkdirAll(steer.Folder, 0o700); err != nil {
		t.Fatal(err)
	}
}

func all(queue.ID, Order) bool { return true }

func open(t testing.TB, keep func(queue.ID, Order) bool) *Journal {
	t.Helper()
	j, err := Open(keep)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.file.Close() })
	return j
}

func TestJournal(t *testing.T) {
	inQueue(t)
	j := open(t, all)
	hold := Order{Birth: 10, Held: true, Since: 20, Reason: "odd\n\x1b\"text"}
	for _, set := range []map[queue.ID]Order{
		{1: hold, 2: {Birth: 11, NotBefore: 30}},
		{2: {Birth: 11}}, // asks for nothing any more
		{3: {Birth: 12, ExpireAt: 40}, 4: {Birth: 13, Remove: Bouncing}},
	} {
		if err := j.Set(set); err != nil {
			t.Fatal(err)
		}
	}
	first, err := j.AddRule(steer.Rule{Verb: steer.Suspend, Destination: "a.example"})
	if err != nil {
		t.Fatal(err)
	}
	second, err := j.AddRule(steer.Rule{Verb: steer.Suspend, Channel: steer.Local})
	if err != nil || second != first+1 {
		t.Fatal(first, second, err)
	}
	if err := j.Cancel(first); err != nil {
		t.Fatal(err)
	}
	j.Drop(3)
	if err := j.Sync(); err != nil {
		t.Fatal(err)
	}
	if _, ok := j.Get(1, 9); ok {
		t.Error("an order for a message of another birth is in force")
	}

	// A crash tears the last line.
	f, err := os.OpenFile(File, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(`{"id":1,"order":{"birth":10,"he`); err != nil {
		t.Fatal(err)
	}
	f.Close()
	if n, err := Held("."); n != 1 || err != nil {
		t.Errorf("%d held, %v", n, err)
	}
	again := open(t, func(id queue.ID, _ Order) bool { return id != 4 }) // 4 has ended meanwhile
	if want := map[queue.ID]Order{1: hold}; !reflect.DeepEqual(again.All(), want) {
		t.Errorf("got %+v, want %+v", again.All(), want)
	}
	if len(again.Rules()) != 1 || again.Rules()[0].Number != second {
		t.Errorf("rules %+v", again.Rules())
	}
	if number, _ := again.AddRule(steer.Rule{Verb: steer.Suspend, Channel: steer.Local}); number != second+1 {
		t.Errorf("a rule gets number %d", number)
	}
}

// The journal does not grow without bound.
func TestGrowth(t *testing.T) {
	inQueue(t)
	j := open(t, all)
	reason := strings.Repeat("x", 900)
	for n := range 3 * growth / 900 {
		if err := j.Set(map[queue.ID]Order{7: {Birth: 1, Held: true, Since: int64(n), Reason: reason}}); err != nil {
			t.Fatal(err)
		}
	}
	if st, err := os.Stat(File); err != nil || st.Size() > growth {
		t.Errorf("%v, %v", st.Size(), err)
	}
	if o, ok := open(t, all).Get(7, 1); !ok || !o.Held {
		t.Errorf("got %+v", o)
	}
}

// Where no new journal can be written the old one goes on.
func TestNoRoom(t *testing.T) {
	inQueue(t)
	if err := open(t, all).Set(map[queue.ID]Order{7: {Birth: 1, Held: true}}); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(fresh, 0o700); err != nil { // cannot be opened for writing
		t.Fatal(err)
	}
	j := open(t, all)
	if err := j.Set(map[queue.ID]Order{8: {Birth: 2, Held: true}}); err != nil {
		t.Fatal(err)
	}
	if got := open(t, all).All(); len(got) != 2 {
		t.Errorf("got %+v", got)
	}
	if err := os.Remove(File); err != nil {
		t.Fatal(err)
	}
	j = open(t, all)
	if err := j.Set(map[queue.ID]Order{8: {Birth: 2, Held: true}}); err == nil || j.Len() != 0 {
		t.Errorf("an order that is nowhere is taken: %v", err)
	}
}

// What a crash has torn, however long, hides no order behind it.
func TestLongLine(t *testing.T) {
	inQueue(t)
	torn := strings.Repeat("\x00", 100<<10) + "\n"
	if err := os.WriteFile(File, []byte(torn+`{"id":7,"order":{"birth":1,"held":true}}`+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if n, err := Held("."); n != 1 || err != nil {
		t.Errorf("held: %d, %v", n, err)
	}
	if o, ok := open(t, all).Get(7, 1); !ok || !o.Held {
		t.Errorf("got %+v", o)
	}
}

func TestUnreadable(t *testing.T) {
	inQueue(t)
	if err := os.Mkdir(File, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(all); err == nil {
		t.Error("orders that cannot be read are taken for none")
	}
	if n, err := Held(t.TempDir()); n != 0 || err != nil {
		t.Errorf("without a journal: %d, %v", n, err)
	}
}

func FuzzReplay(f *testing.F) {
	f.Add(`{"id":1,"order":{"birth":10,"held":true}}` + "\n" + `{"rule":{"number":3,"verb":"suspend","channel":"local"}}` + "\n" + `{"cancel":3}`)
	f.Fuzz(func(t *testing.T, text string) {
		j := &Journal{messages: map[queue.ID]Order{}}
		j.replay([]byte(text))
		for id, o := range j.messages {
			if o.void() {
				t.Errorf("message %d has an order for nothing", id)
			}
		}
	})
}

// A journal is read and written as encoding/json does it.
func TestLines(t *testing.T) {
	same := func(l line) bool {
		want, err := json.Marshal(l)
		if err != nil {
			t.Fatal(err)
		}
		if got := jsonl.Append(nil, &l); !bytes.Equal(got, want) {
			t.Errorf("got  %s\nwant %s", got, want)
			return false
		}
		var ours, standard line
		if err := errors.Join(jsonl.Decode(want, &ours), json.Unmarshal(want, &standard)); err != nil {
			t.Error(err)
		}
		return reflect.DeepEqual(ours, standard)
	}
	if err := quick.Check(same, nil); err != nil {
		t.Error(err)
	}
}
