package reasons

import (
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/reqmail/reqmail/compat/steer"
	"github.com/reqmail/reqmail/queue"
)

func inQueue(t *testing.T) {
	t.Helper()
	t.Chdir(t.TempDir())
	if err := os.MkdirAll(steer.Folder, 0o700); err != nil {
		t.Fatal(err)
	}
}

func openLog(t *testing.T) *Log {
	t.Helper()
	l, err := Open()
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func add(t *testing.T, l *Log, r Record, before int64) int64 {
	t.Helper()
	pos, err := l.Add(r, before, 0)
	if err != nil {
		t.Fatal(err)
	}
	return pos
}

func texts(records []Record) string {
	var all []string
	for _, r := range records {
		all = append(all, r.Text)
	}
	return strings.Join(all, ",")
}

func TestLog(t *testing.T) {
	inQueue(t)
	l := openLog(t)
	seven := Record{ID: 7, Birth: 100, Channel: queue.Remote, Pos: 12, Time: 200, Tries: 1, Text: "first\n"}
	pos := add(t, l, seven, 0)
	other := add(t, l, Record{ID: 8, Birth: 100, Text: "other, \x00with NUL and long " + strings.Repeat("x", 2*steer.MaxReason)}, 0)
	seven.Text, seven.Tries = "second", 2
	last := add(t, l, seven, pos)

	name := steer.Name{ID: 7, Birth: 100}
	got := l.Of(name, last, 9)
	if texts(got) != "second,first\n" || got[0].Tries != 2 || got[0].Channel != queue.Remote || got[0].Pos != 12 || got[0].Time != 200 {
		t.Errorf("got %+v", got)
	}
	if n := len(l.Of(name, last, 1)); n != 1 {
		t.Errorf("%d records, want 1", n)
	}
	if got := l.Of(name, other, 9); got != nil {
		t.Errorf("another message's record: %+v", got)
	}
	if got := l.Of(name, last+1, 9); len(got) > 0 && got[0].Text != "second" {
		t.Errorf("from the middle of a record: %+v", got)
	}
	if got := l.Of(steer.Name{ID: 8, Birth: 100}, other, 9); len(got) != 1 || len(got[0].Text) > steer.MaxReason {
		t.Errorf("long text: %d records", len(got))
	}

	// A torn record is not in the way of the next qmail-send's.
	f, err := os.OpenFile(File, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString("7 100 1 12 2"); err != nil {
		t.Fatal(err)
	}
	f.Close()
	again := openLog(t)
	seven.Text = "third"
	add(t, again, seven, 0)
	var all []Record
	var at int64
	again.Each(func(r Record, pos int64) {
		all = append(all, r)
		at = pos
	})
	if len(all) != 4 || all[3].Text != "third" || texts(again.Of(name, at, 9)) != "third" {
		t.Errorf("after a crash: %d records", len(all))
	}
}

// The oldest half is dropped; what pointed there ends.
func TestTurn(t *testing.T) {
	inQueue(t)
	l := openLog(t)
	text := strings.Repeat("x", steer.MaxReason)
	var pos int64
	const n = 5 * half / 2 / steer.MaxReason
	for i := range n {
		pos = add(t, l, Record{ID: 7, Birth: 100, Tries: i, Text: text}, pos)
	}
	for _, name := range []string{File, Old} {
		if st, err := os.Stat(name); err != nil || st.Size() > half+maxRecord {
			t.Errorf("%s: %v, %v", name, st, err)
		}
	}
	got := l.Of(steer.Name{ID: 7, Birth: 100}, pos, n)
	if len(got) < n/2 || len(got) >= n || got[0].Tries != n-1 {
		t.Errorf("%d records", len(got))
	}
	count, last := 0, int64(0)
	openLog(t).Each(func(_ Record, pos int64) { count, last = count+1, pos })
	if count != len(got) || last == 0 {
		t.Errorf("%d records are read, %d are there", count, len(got))
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("7 100 1 12 200 1 0 a text"))
	f.Fuzz(func(t *testing.T, line []byte) {
		r, ok := parse(line)
		if !ok || len(r.Text) > steer.MaxReason || strings.Contains(r.Text, "\x00") {
			return
		}
		b := r.encode()
		if again, ok := parse(b[:len(b)-1]); !ok || again != r {
			t.Errorf("%q: %+v, then %+v, %v", line, r, again, ok)
		}
	})
}

func TestOverflow(t *testing.T) {
	if r, ok := parse([]byte(strconv.FormatUint(1<<63, 10) + " 1 2 1 1 1 1 x")); ok {
		t.Errorf("a channel 2: %+v", r)
	}
}
