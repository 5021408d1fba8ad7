package queue

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// inQueue makes the current directory an empty queue.
func inQueue(t testing.TB) {
	t.Helper()
	dir := t.TempDir()
	for _, p := range Layout() {
		if err := p.Make(dir, func(path string, p Place) error { return os.Chmod(path, os.FileMode(p.Mode)|0o600) }); err != nil {
			t.Fatal(err)
		}
	}
	if s, ok := t.(*testing.T); ok {
		s.Chdir(dir)
	}
}

func put(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func age(t *testing.T, path string, seconds int64) {
	t.Helper()
	at := time.Now().Add(-time.Duration(seconds) * time.Second)
	if err := os.Chtimes(path, at, at); err != nil {
		t.Fatal(err)
	}
}

// files lists the files of messages.
func files(t *testing.T) (found []string) {
	t.Helper()
	for _, dir := range []string{"pid", "intd", "todo", "bounce", "mess", "info", "local", "remote"} {
		err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
			if err == nil && !e.IsDir() {
				found = append(found, path)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return found
}

// TestNextTry walks along the schedule of qmail-send(8).
func TestNextTry(t *testing.T) {
	for _, test := range []struct {
		channel Channel
		tries   []int64 // seconds after birth
	}{
		{Local, []int64{0, 100, 400, 900, 1600, 2500, 3600, 4900, 6400, 8100, 10000}},
		{Remote, []int64{0, 400, 1600, 3600, 6400, 10000, 14400, 19600, 25600, 32400, 40000, 48400, 57600, 67600, 78400, 90000}},
	} {
		const birth = 1e9
		now := int64(birth)
		for i, want := range test.tries {
			if now != birth+want {
				t.Errorf("%v: try %d at %d, want %d", test.channel, i+1, now-birth, want)
			}
			now = NextTry(birth, now, test.channel)
		}
	}
	if got := NextTry(1000, 10, Local); got != 1100 {
		t.Errorf("born in the future: next try at %d, want as if born now", got)
	}
	if got := NextTry(0, 101, Local); got != 400 {
		t.Errorf("a try that starts late: next at %d, want 400", got)
	}
}

func TestRoot(t *testing.T) {
	for x := int64(0); x < 100000; x++ {
		r := root(x)
		if r*r > x || (r+1)*(r+1) <= x {
			t.Fatalf("root of %d is %d", x, r)
		}
	}
	if got := root(1 << 62); got != 65535 {
		t.Errorf("the largest root is %d, want 65535", got)
	}
}

func TestExpired(t *testing.T) {
	if Expired(1000, 1100, 100) || !Expired(1000, 1101, 100) {
		t.Error("the lifetime is off by one")
	}
}

func TestNames(t *testing.T) {
	id := ID(9979901)
	got := []string{id.Mess(), id.Info(), id.Recipients(Local), id.Recipients(Remote), id.Intd(), id.Todo(), id.Bounce()}
	want := []string{"mess/17/9979901", "info/17/9979901", "local/17/9979901", "remote/17/9979901", "intd/9979901", "todo/9979901", "bounce/9979901"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	for name, want := range map[string]bool{"1": true, "18446744073709551615": true, "18446744073709551616": false, "": false, "1a": false, "-1": false, ".": false} {
		if _, ok := ParseID(name); ok != want {
			t.Errorf("%q is a number: %v, want %v", name, ok, want)
		}
	}
}

func TestDraft(t *testing.T) {
	inQueue(t)
	d, err := NewDraft(7, time.Unix(1e9, 0))
	if err != nil {
		t.Fatal(err)
	}
	st, err := os.Stat(d.ID.Mess())
	if err != nil || ID(st.Sys().(*syscall.Stat_t).Ino) != d.ID {
		t.Fatalf("%v: the message is not named by its inode", err)
	}
	if err := d.WriteText([]byte("text")); err != nil {
		t.Fatal(err)
	}
	if err := d.OpenEnvelope(); err != nil {
		t.Fatal(err)
	}
	if err := d.WriteEnvelope([]byte("Fs\x00")); err != nil {
		t.Fatal(err)
	}
	if got, want := files(t), []string{d.ID.Intd(), d.ID.Mess()}; !reflect.DeepEqual(got, want) {
		t.Errorf("S3: %q, want %q", got, want)
	}
	if err := d.Commit(); err != nil {
		t.Fatal(err)
	}
	if got, want := files(t), []string{d.ID.Intd(), d.ID.Todo(), d.ID.Mess()}; !reflect.DeepEqual(got, want) {
		t.Errorf("S4: %q, want %q", got, want)
	}
}

// TestDraftStaleEnvelope: an envelope that a crash left of a message that is
// no more does not keep its number from being used.
func TestDraftStaleEnvelope(t *testing.T) {
	inQueue(t)
	d, err := NewDraft(7, time.Unix(1e9, 0))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	put(t, d.ID.Intd(), "of another message")
	if err := d.OpenEnvelope(); err != nil {
		t.Fatal(err)
	}
	if err := d.WriteEnvelope([]byte("Fs\x00")); err != nil {
		t.Fatal(err)
	}
	if err := d.Commit(); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(d.ID.Todo()); string(got) != "Fs\x00" || err != nil {
		t.Errorf("todo has %q, %v", got, err)
	}
}

func TestDraftDiscard(t *testing.T) {
	inQueue(t)
	for _, envelope := range []bool{false, true} {
		d, err := NewDraft(7, time.Unix(1e9, 0))
		if err != nil {
			t.Fatal(err)
		}
		if envelope {
			if err := d.OpenEnvelope(); err != nil {
				t.Fatal(err)
			}
		}
		d.Discard()
		if left := files(t); len(left) > 0 {
			t.Errorf("left: %q", left)
		}
	}
}

func TestDraftSteps(t *testing.T) {
	for _, test := range []struct {
		remove string // directory that is missing
		want   Step
	}{{"pid", StepPid}, {"mess", StepMess}, {"intd", StepIntd}, {"todo", StepTodo}} {
		inQueue(t)
		if err := os.RemoveAll(test.remove); err != nil {
			t.Fatal(err)
		}
		d, err := NewDraft(7, time.Unix(1e9, 0))
		if err == nil {
			err = d.OpenEnvelope()
		}
		if err == nil {
			err = d.Commit()
		}
		var step *StepError
		if !errors.As(err, &step) || step.Step != test.want {
			t.Errorf("without %s: got %v", test.remove, err)
		}
	}
}

// TestPidNames: names that are taken are passed over, up to nine of them.
func TestPidNames(t *testing.T) {
	inQueue(t)
	for n := range maxPidNames {
		if _, err := NewDraft(7, time.Unix(1e9, 0)); err != nil {
			t.Fatalf("with %d names taken: %v", n, err)
		}
		put(t, "pid/7.1000000000."+string(rune('1'+n)), "")
	}
	var step *StepError
	if _, err := NewDraft(7, time.Unix(1e9, 0)); !errors.As(err, &step) || step.Step != StepPid {
		t.Errorf("with all names taken: %v", err)
	}
}

func preprocess(id ID, log *[]string) ([Channels]bool, error) {
	p := Preprocessor{
		Commits: NewCommits(),
		Route: func(r string) (Channel, string) {
			if strings.HasSuffix(r, "@here") {
				return Local, "v-" + r
			}
			return Remote, r
		},
		Began: func(ID) { *log = append(*log, "new") },
		Sender: func(_ ID, size uint64, sender string, qp, uid uint64) {
			*log = append(*log, "info "+sender)
			if size != 4 || qp != 12 || uid != 34 {
				*log = append(*log, "wrong size, qp or uid")
			}
		},
	}
	w, err := p.Write(id, "")
	if err != nil {
		return [Channels]bool{}, err
	}
	return w.Used, p.Commits.Keep([]*Written{w})[0]
}

func TestPreprocess(t *testing.T) {
	const id = ID(30)
	for _, test := range []struct {
		name, todo    string
		local, remote string // "" for no file
	}{
		{"both", "u34\x00p12\x00Fs@x\x00Ta@here\x00Tb@there\x00Tc@here\x00", "Tv-a@here\x00Tv-c@here\x00", "Tb@there\x00"},
		{"nobody", "u34\x00p12\x00F\x00", "", ""},
		{"any order", "Tb@there\x00p12\x00u34\x00F\x00", "", "Tb@there\x00"},
		{"torn end", "u34\x00p12\x00F\x00Tb@there\x00Tc@th", "", "Tb@there\x00"},
	} {
		inQueue(t)
		put(t, id.Mess(), "text")
		put(t, id.Todo(), test.todo)
		for _, stale := range []string{id.Info(), id.Recipients(Local), id.Recipients(Remote)} {
			put(t, stale, "stale")
		}
		var log []string
		used, err := preprocess(id, &log)
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
		}
		if len(log) != 2 || log[0] != "new" || !strings.HasPrefix(log[1], "info ") {
			t.Errorf("%s: told %q", test.name, log)
		}
		for c, want := range []string{test.local, test.remote} {
			got, err := os.ReadFile(id.Recipients(Channel(c)))
			if string(got) != want || used[c] != (want != "") || (err == nil) != (want != "") {
				t.Errorf("%s: %v has %q, used %v, want %q", test.name, Channel(c), got, used[c], want)
			}
		}
		if info, err := ReadInfo(id); err != nil || info.Sender != strings.TrimPrefix(log[1], "info ") {
			t.Errorf("%s: info %+v, %v", test.name, info, err)
		}
	}
}

func TestPreprocessTrouble(t *testing.T) {
	const id = ID(30)
	for _, test := range []struct {
		name    string
		prepare func()
		doing   string
		file    string
	}{
		{"no envelope", func() { os.Remove(id.Todo()) }, "unable to open", id.Todo()},
		{"no message", func() { os.Remove(id.Mess()) }, "unable to stat", id.Mess()},
		{"stale is a directory", func() { os.Mkdir(id.Recipients(Local), 0o700) }, "unable to unlink", id.Recipients(Local)},
		{"no place for info", func() { os.RemoveAll("info") }, "unable to create", id.Info()},
		{"no place for recipients", func() { os.RemoveAll("remote") }, "unable to create", id.Recipients(Remote)},
		{"unknown record", func() { put(t, id.Todo(), "Fs\x00Xy\x00") }, "unknown record type in", id.Todo()},
		{"empty record", func() { put(t, id.Todo(), "Fs\x00\x00") }, "unknown record type in", id.Todo()},
	} {
		inQueue(t)
		put(t, id.Mess(), "text")
		put(t, id.Todo(), "Fs\x00Tr@there\x00")
		test.prepare()
		var log []string
		_, err := preprocess(id, &log)
		var e *FileError
		if !errors.As(err, &e) || e.Doing != test.doing || e.File != test.file {
			t.Errorf("%s: got %v, want %s %s", test.name, err, test.doing, test.file)
		}
	}
}

func TestRecordsAndMarks(t *testing.T) {
	inQueue(t)
	const id = ID(7)
	put(t, id.Recipients(Remote), "Ta@x\x00Db@x\x00T\x00\x00Tc@x")
	f, err := OpenRecipients(id, Remote)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var got []string
	for {
		letter, text, pos, err := f.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, string([]byte{letter})+text)
		if letter == 'T' && text == "" {
			if err := MarkDone(id, Remote, pos); err != nil {
				t.Fatal(err)
			}
		}
	}
	if want := []string{"Ta@x", "Db@x", "T", "\x00"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if data, _ := os.ReadFile(id.Recipients(Remote)); string(data) != "Ta@x\x00Db@x\x00D\x00\x00Tc@x" {
		t.Errorf("marked: %q", data)
	}
}

func TestAppendBounce(t *testing.T) {
	inQueue(t)
	const id = ID(7)
	for _, text := range []string{"one\n", "two\n"} {
		if err := AppendBounce(id, text); err != nil {
			t.Fatal(err)
		}
	}
	if data, _ := os.ReadFile(id.Bounce()); string(data) != "one\ntwo\n" {
		t.Errorf("got %q", data)
	}
	var old syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &old); err != nil {
		t.Fatal(err)
	}
	limit := syscall.Rlimit{Cur: 10, Max: old.Max}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		t.Fatal(err)
	}
	err := AppendBounce(id, strings.Repeat("x", 100))
	if setErr := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &old); setErr != nil {
		t.Fatal(setErr)
	}
	if data, _ := os.ReadFile(id.Bounce()); err == nil || string(data) != "one\ntwo\n" {
		t.Errorf("a paragraph that does not fit: %v, and the file is %q", err, data)
	}
}

func TestLook(t *testing.T) {
	inQueue(t)
	const id = ID(46)
	if s, err := Look(id); err != nil || s.Info {
		t.Errorf("nothing there: %+v, %v", s, err)
	}
	put(t, id.Info(), "F\x00")
	put(t, id.Recipients(Local), "Ta\x00")
	if err := SetNextTry(id, Local, 2e9); err != nil {
		t.Fatal(err)
	}
	s, err := Look(id)
	if err != nil || !s.Info || s.Todo || !s.Recipients[Local] || s.Recipients[Remote] || s.NextTry[Local] != 2e9 {
		t.Errorf("got %+v, %v", s, err)
	}
	if Gone(id) {
		t.Error("gone, although there is info")
	}
	os.Remove(id.Info())
	os.Remove(id.Recipients(Local))
	if !Gone(id) {
		t.Error("not gone, although nothing is there")
	}
	os.RemoveAll("mess")
	if Gone(id) {
		t.Error("gone, although the queue itself is away")
	}
	os.RemoveAll("info")
	put(t, "info", "a file")
	if _, err := Look(id); err == nil {
		t.Error("no error where info is no directory")
	}
}

func TestCleanUp(t *testing.T) {
	inQueue(t)
	now := time.Now().Unix()
	for name, seconds := range map[string]int64{"pid/old": Ossified + 10, "pid/new": Ossified - 100} {
		put(t, name, "")
		age(t, name, seconds)
	}
	for _, name := range []string{"intd/46", "intd/47", ID(47).Mess()} { // 46 has lost its text
		put(t, name, "")
		age(t, name, Ossified+10)
	}
	SweepPid(now)
	SweepIntd(now)
	if got := files(t); !slices.Equal(got, []string{"pid/new", "intd/47", ID(47).Mess()}) {
		t.Errorf("swept: %q", got)
	}
	for _, test := range []struct {
		id    ID
		age   int64
		other func(ID) string
		want  bool
	}{
		{1, Ossified + 10, nil, true},
		{2, Ossified - 100, nil, false},
		{3, Ossified + 10, ID.Info, false},
		{4, Ossified + 10, ID.Todo, false},
		{5, Ossified + 10, ID.Intd, true},
	} {
		put(t, test.id.Mess(), "")
		age(t, test.id.Mess(), test.age)
		if test.other != nil {
			put(t, test.other(test.id), "")
		}
		if got := Abandoned(test.id, now); got != test.want {
			t.Errorf("%v: abandoned %v, want %v", test.id, got, test.want)
		}
	}
	var remover Remover
	defer remover.Release()
	for range 2 { // what is not there any more is no error
		if err := remover.RemoveMess(5); err != nil {
			t.Error(err)
		}
		if err := remover.RemoveTodo(4); err != nil {
			t.Error(err)
		}
	}
	if there, _ := exists(ID(5).Mess()); there {
		t.Error("the message is still there")
	}
	if err := os.Mkdir(ID(6).Todo(), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := remover.RemoveTodo(6); err == nil {
		t.Error("no error for what cannot be removed")
	}
}

func TestScan(t *testing.T) {
	inQueue(t)
	for _, name := range []string{"todo/1", "todo/x", "todo/22", "info/1/24", "info/0/23"} {
		put(t, name, "")
	}
	numbers := func(s *Scan) (ids []ID) {
		for {
			id, ok, more, err := s.Next()
			if err != nil {
				t.Fatal(err)
			}
			if !more {
				slices.Sort(ids)
				return ids
			}
			if ok {
				ids = append(ids, id)
			}
		}
	}
	todo, err := ScanTodo()
	if err != nil {
		t.Fatal(err)
	}
	if got := numbers(todo); !slices.Equal(got, []ID{1, 22}) {
		t.Errorf("todo: %v", got)
	}
	if got := numbers(ScanPart("info", 1)); !slices.Equal(got, []ID{24}) {
		t.Errorf("info/1: %v", got)
	}
	os.RemoveAll("info")
	s := ScanSuspects()
	if _, _, more, err := s.Next(); err == nil || !more {
		t.Error("no error for a directory that is not there")
	}
	os.MkdirAll("info/0", 0o700)
	if _, _, _, err := s.Next(); err == nil || !strings.Contains(err.Error(), "info/1") {
		t.Errorf("the walk goes on where it stopped: got %v", err)
	}
}

// Whatever may have been left of a message is looked at, and few others.
func TestScanSuspects(t *testing.T) {
	inQueue(t)
	const id = ID(46)
	whole := []string{id.Mess(), id.Info(), id.Recipients(Remote)}
	for _, test := range []struct {
		name  string
		files []string
		want  int // times
	}{
		{"whole", whole, 0},
		{"a text", []string{id.Mess()}, 1},
		{"a text with recipients", []string{id.Mess(), id.Recipients(Local)}, 2},
		{"no text", []string{id.Info()}, 1},
		{"recipients", []string{id.Recipients(Remote)}, 2},
		{"a bounce", []string{id.Bounce()}, 1},
		{"an envelope", []string{id.Todo()}, 1},
	} {
		for _, n := range []ID{1, 2, 23, 69, 92, 500} { // whole ones around it
			for _, name := range []string{n.Mess(), n.Info(), n.Recipients(Local), n.Recipients(Remote)} {
				put(t, name, "")
			}
		}
		for _, name := range test.files {
			put(t, name, "")
		}
		got := 0
		for s, more := ScanSuspects(), true; more; {
			var suspect ID
			var ok bool
			var err error
			if suspect, ok, more, err = s.Next(); err != nil || ok && suspect != id {
				t.Errorf("%s: %v, %v", test.name, suspect, err)
			}
			if ok {
				got++
			}
		}
		if got != test.want {
			t.Errorf("%s: comes %d times, want %d", test.name, got, test.want)
		}
		for _, name := range test.files {
			if err := os.Remove(name); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// What the directories list of a message, and what is found when it is looked at.
func TestLister(t *testing.T) {
	inQueue(t)
	for _, name := range []string{"info/1/47", "info/1/24", "info/1/024", "info/1/x", "info/1/70", "info/1/25", "info/1/93",
		"local/1/24", "local/1/48", "remote/1/1", "remote/1/47", "remote/1/93"} {
		put(t, name, "")
	}
	age(t, "info/1/24", 100)
	want := []Listed{{24, [Channels]bool{true, false}}, {47, [Channels]bool{false, true}}, {70, [Channels]bool{}}, {93, [Channels]bool{false, true}}}
	var l Lister
	got, err := l.List(1)
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, %v, want %v", got, err, want)
	}
	if got, err := l.List(2); err != nil || len(got) != 0 {
		t.Errorf("2: %v, %v", got, err)
	}

	os.Remove("remote/1/47")
	os.Remove("info/1/93")
	var near Near
	defer near.Close()
	for _, m := range want {
		state, err := near.Look(m)
		full, fullErr := Look(m.ID)
		if err != nil || fullErr != nil || state != full {
			t.Errorf("%d: %+v, %v, want %+v, %v", m.ID, state, err, full, fullErr)
		}
		tries, err := near.LookAtTries(m)
		if err != nil || state.Info && (tries.Recipients != state.Recipients || tries.NextTry != state.NextTry) {
			t.Errorf("tries of %d: %+v, %v, want %+v", m.ID, tries, err, state)
		}
	}

	os.RemoveAll("local/1") // who knows what was in it
	if got, err := l.List(1); err != nil || len(got) != 3 || !got[0].Recipients[Local] || !got[2].Recipients[Local] {
		t.Errorf("without local: %v, %v", got, err)
	}
	os.RemoveAll("info/1")
	var missing *FileError
	if _, err := l.List(1); !errors.As(err, &missing) || missing.File != "info/1" {
		t.Errorf("without info: %v", err)
	}
}

// A glance tells the same of a directory with few files and with many.
func TestGlance(t *testing.T) {
	inQueue(t)
	g := Glance{Kind: TodoFile}
	for _, count := range []ID{0, 1, 300, 2000} {
		for id := range count {
			put(t, id.Todo(), "")
		}
		put(t, "todo/0123456", "") // not the name of 123456
		g.Look()
		for _, id := range []ID{0, count - 1, count, 123456} {
			if has, err := g.Has(id); err != nil || has != (id < count) {
				t.Errorf("%d of %d: %v, %v", id, count, has, err)
			}
		}
	}
	os.RemoveAll("todo")
	put(t, "todo", "")
	g.Look()
	if _, err := g.Has(7); err == nil {
		t.Error("no error for a directory that cannot be read")
	}
}

func TestTriggerAndLock(t *testing.T) {
	inQueue(t)
	Pull() // nobody listens: no error, no waiting
	f, err := OpenTrigger()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	Pull()
	var b [1]byte
	if n, err := f.Read(b[:]); n != 1 || err != nil {
		t.Errorf("the pull did not arrive: %d, %v", n, err)
	}
	if taken, err := LockSend(); !taken || err != nil {
		t.Errorf("first: %v, %v", taken, err)
	}
	if taken, err := LockSend(); taken || err != nil {
		t.Errorf("second: %v, %v", taken, err)
	}
}

func FuzzRecords(f *testing.F) {
	f.Add([]byte("Fa\x00Tb\x00"))
	f.Add([]byte("\x00\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		r := NewRecords(bytes.NewReader(data))
		end := int64(0)
		for {
			letter, text, pos, err := r.Next()
			if err != nil {
				return
			}
			if pos != end {
				t.Fatalf("%q: a record at %d, want %d", data, pos, end)
			}
			end += int64(len(text)) + 1
			if letter != 0 {
				end++
				if data[pos] != letter {
					t.Fatalf("%q: %c at %d", data, letter, pos)
				}
			}
		}
	})
}

func TestOrphaned(t *testing.T) {
	inQueue(t)
	const id = ID(46)
	now := time.Now().Unix()
	for _, test := range []struct {
		name  string
		files map[string]int64 // age in seconds
		want  bool
	}{
		{"nothing", nil, false},
		{"all its names but the text are back", map[string]int64{id.Info(): Ossified + 10, id.Recipients(Local): Ossified + 10}, true},
		{"an envelope", map[string]int64{id.Todo(): Ossified + 10}, true},
		{"one is young", map[string]int64{id.Info(): Ossified + 10, id.Bounce(): 60}, false},
		{"the text is there", map[string]int64{id.Info(): Ossified + 10, id.Mess(): Ossified + 10}, false},
	} {
		for name, seconds := range test.files {
			put(t, name, "")
			age(t, name, seconds)
		}
		if got := Orphaned(id, now); got != test.want {
			t.Errorf("%s: %v", test.name, got)
		}
		for name := range test.files {
			if err := os.Remove(name); err != nil {
				t.Fatal(err)
			}
		}
	}
	put(t, id.Info(), "")
	age(t, id.Info(), Ossified+10)
	if err := os.RemoveAll("mess"); err != nil {
		t.Fatal(err)
	}
	if Orphaned(id, now) {
		t.Error("a text out of sight with its directory is taken for gone")
	}
}
