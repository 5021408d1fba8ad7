package transfer

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/reqmail/reqmail/compat/ids"
	"github.com/reqmail/reqmail/compat/steer"
	"github.com/reqmail/reqmail/queue"
	"github.com/reqmail/reqmail/queue/check"
)

func target(tree queue.Tree) Target {
	uid := uint32(os.Getuid())
	return Target{Tree: tree, Accounts: check.Accounts{
		User:  map[string]uint32{ids.Queue: uid, ids.Send: uid, ids.Remote: uid},
		Group: uint32(os.Getgid()),
	}}
}

// inQueue makes the working directory an empty queue of a shape.
func inQueue(t testing.TB, tree queue.Tree) string {
	t.Helper()
	dir := t.TempDir()
	for _, p := range tree.Layout() {
		must(t, p.Make(dir, func(path string, p queue.Place) error { return os.Chmod(path, os.FileMode(p.Mode)) }))
	}
	must(t, os.Chown(dir, os.Getuid(), os.Getgid()))
	must(t, os.Chdir(dir))
	return dir
}

// back goes back to where the tests began when one ends.
func back(t testing.TB) {
	t.Helper()
	dir, err := os.Getwd()
	must(t, err)
	t.Cleanup(func() { must(t, os.Chdir(dir)) })
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// births are in the past, so that nothing takes them for new.
const (
	birth   = 1_790_000_000
	nextTry = 1_790_009_999
)

// add makes a message of files, "text" and the others by kind.
func add(t testing.TB, text string, files map[queue.Kind]string) queue.ID {
	t.Helper()
	must(t, os.WriteFile("pid/1", []byte(text), 0o644))
	var st syscall.Stat_t
	must(t, syscall.Stat("pid/1", &st))
	id := queue.ID(st.Ino)
	must(t, os.Rename("pid/1", id.Mess()))
	for k, data := range files {
		path, mode, at := queue.Built().Path(k, id), os.FileMode(0o600), time.Unix(nextTry, 0)
		if k == queue.InfoFile {
			at = time.Unix(birth, 0)
		}
		if k == queue.TodoFile {
			mode = 0o644
		}
		must(t, os.WriteFile(path, []byte(data), mode))
		must(t, os.Chtimes(path, at, at))
	}
	return id
}

// sample makes a queue with messages in several states.
func sample(t testing.TB) (queued, tried, remote queue.ID) {
	t.Helper()
	inQueue(t, queue.Built())
	queued = add(t, "Received: one\n\n", map[queue.Kind]string{queue.TodoFile: "u1\x00p2\x00Fs@x\x00Tr@y\x00"})
	tried = add(t, "Received: two\n\n", map[queue.Kind]string{
		queue.InfoFile: "Fs@x\x00", queue.LocalFile: "Da@x\x00Tb@x\x00", queue.RemoteFile: "Tr@z\x00", queue.BounceFile: "<c@x>:\nno\n\n",
	})
	remote = add(t, "Received: three\n\n", map[queue.Kind]string{queue.InfoFile: "F\x00", queue.RemoteFile: "Tr@y\x00Dq@y\x00"})
	return
}

func export(t testing.TB, f steer.Filter) []byte {
	t.Helper()
	var out bytes.Buffer
	r, err := Export(context.Background(), &out, f)
	if err != nil || len(r.Notes) > 0 {
		t.Fatalf("export: %v, %v", r, err)
	}
	return out.Bytes()
}

// content describes a queue without numbers: a line for each message.
func content(t testing.TB, tree queue.Tree) (all []string) {
	t.Helper()
	paths, err := filepath.Glob("mess/*/*")
	must(t, err)
	for _, path := range paths {
		id, ok := queue.ParseID(filepath.Base(path))
		if !ok {
			t.Fatal(path)
		}
		var line strings.Builder
		for _, k := range queue.Kinds() {
			data, err := os.ReadFile(tree.Path(k, id))
			if err != nil {
				continue
			}
			st, err := os.Stat(tree.Path(k, id))
			must(t, err)
			fmt.Fprintf(&line, "%s %q %d; ", k, data, st.ModTime().Unix())
		}
		all = append(all, line.String())
	}
	slices.Sort(all)
	return all
}

func sound(t testing.TB, to Target) {
	t.Helper()
	found, err := check.Check(check.Options{Tree: to.Tree, Accounts: to.Accounts})
	must(t, err)
	for _, f := range found {
		t.Errorf("%v", f)
	}
}

// TestThere takes a queue to queues of other shapes, and the same there again.
func TestThere(t *testing.T) {
	back(t)
	sample(t)
	want := content(t, queue.Built())
	stream := export(t, steer.Filter{})
	for _, tree := range []queue.Tree{queue.Built(), {Split: 151}, {Split: 7, BigTodo: true}} {
		inQueue(t, tree)
		for round, count := range []int{3, 0} {
			r, err := Import(context.Background(), bytes.NewReader(stream), target(tree))
			if err != nil || r.Messages != count || r.Messages+r.Skipped != 3 || len(r.Notes) > 0 {
				t.Fatalf("%v, round %d: %+v, %v", tree, round, r, err)
			}
			if got := content(t, tree); !slices.Equal(got, want) {
				t.Errorf("%v: got  %q\nwant %q", tree, got, want)
			}
			sound(t, target(tree))
		}
		stream = export(t, steer.Filter{}) // the next shape gets it from this one
	}
}

// TestSelection exports by number, address, domain and age.
func TestSelection(t *testing.T) {
	back(t)
	queued, tried, _ := sample(t)
	for _, test := range []struct {
		filter steer.Filter
		want   int
	}{
		{steer.Filter{IDs: []uint64{uint64(queued), uint64(tried)}}, 2},
		{steer.Filter{Sender: "s@*"}, 2},
		{steer.Filter{Sender: "<>"}, 1},
		{steer.Filter{Recipient: "r@y"}, 2},
		{steer.Filter{Domain: "z"}, 1},
		{steer.Filter{MinAge: 3600}, 2}, // what is in todo is new
	} {
		var out bytes.Buffer
		r, err := Export(context.Background(), &out, test.filter)
		if err != nil || r.Messages != test.want {
			t.Errorf("%+v: %+v, %v", test.filter, r, err)
		}
	}
}

// TestCut cuts a stream everywhere: what arrives is whole, and the whole
// stream brings the rest.
func TestCut(t *testing.T) {
	back(t)
	sample(t)
	want := content(t, queue.Built())
	stream := export(t, steer.Filter{})
	for n := 0; n < len(stream); n += 512 {
		inQueue(t, queue.Built())
		first, _ := Import(context.Background(), bytes.NewReader(stream[:n+100]), target(queue.Built()))
		sound(t, target(queue.Built()))
		for _, line := range content(t, queue.Built()) {
			if !slices.Contains(want, line) {
				t.Errorf("cut at %d: %q", n, line)
			}
		}
		second, err := Import(context.Background(), bytes.NewReader(stream), target(queue.Built()))
		if err != nil || first.Messages+second.Messages != 3 {
			t.Errorf("cut at %d: %+v, then %+v, %v", n, first, second, err)
		}
		if got := content(t, queue.Built()); !slices.Equal(got, want) {
			t.Errorf("cut at %d: got %q", n, got)
		}
	}
}

// TestCrash puts the queue into the states that a crash leaves: behind the
// sync of the files, behind that of the journal, behind the rename.
func TestCrash(t *testing.T) {
	back(t)
	sample(t)
	want := content(t, queue.Built())
	stream := export(t, steer.Filter{})
	for _, test := range []struct {
		name      string
		journaled bool
		renamed   bool
		collected bool // qmail-send has had the text removed after 36 hours
	}{
		{name: "files"}, {name: "journal", journaled: true}, {name: "journal, text collected", journaled: true, collected: true},
		{name: "rename", journaled: true, renamed: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			inQueue(t, queue.Built())
			i := &importer{Target: target(queue.Built()), done: map[string]bool{}}
			must(t, i.open())
			must(t, i.read(context.Background(), tar.NewReader(bytes.NewReader(stream))))
			for _, a := range i.pending {
				if test.journaled {
					_, err := i.journal.WriteString(a.key + "\n")
					must(t, err)
				}
				if test.renamed {
					must(t, os.Rename(a.staged(a.last), i.Tree.Path(a.last, a.id)))
				}
				if test.collected {
					must(t, os.Remove(a.id.Mess()))
				}
			}
			must(t, i.journal.Close())
			_, err := Import(context.Background(), bytes.NewReader(stream), target(queue.Built()))
			must(t, err)
			if got := content(t, queue.Built()); !slices.Equal(got, want) {
				t.Errorf("got  %q\nwant %q", got, want)
			}
			sound(t, target(queue.Built()))
			if left, _ := filepath.Glob(folder + "/*.*"); len(left) > 0 {
				t.Errorf("left: %v", left)
			}
		})
	}
}

// TestEnded: a message that was imported and has ended does not come back.
func TestEnded(t *testing.T) {
	back(t)
	sample(t)
	stream := export(t, steer.Filter{})
	inQueue(t, queue.Built())
	for range 2 {
		_, err := Import(context.Background(), bytes.NewReader(stream), target(queue.Built()))
		must(t, err)
		for _, pattern := range []string{"mess/*/*", "info/*/*", "local/*/*", "remote/*/*", "bounce/*", "todo/*"} {
			paths, _ := filepath.Glob(pattern)
			for _, path := range paths {
				must(t, os.Remove(path))
			}
		}
	}
	r, err := Import(context.Background(), bytes.NewReader(stream), target(queue.Built()))
	if err != nil || r.Messages != 0 || len(content(t, queue.Built())) != 0 {
		t.Errorf("%+v, %v", r, err)
	}
}

// TestTorn: what qmail would not deliver is told and left out.
func TestTorn(t *testing.T) {
	back(t)
	_, tried, remote := sample(t)
	must(t, os.Truncate(tried.Info(), 2))
	must(t, os.Remove(remote.Mess()))
	var out bytes.Buffer
	r, err := Export(context.Background(), &out, steer.Filter{})
	if err != nil || r.Messages != 1 || r.Skipped != 2 || len(r.Notes) != 2 {
		t.Errorf("%+v, %v", r, err)
	}
}

// FuzzImport: no stream makes the queue unsound or is a panic.
func FuzzImport(f *testing.F) {
	back(f)
	sample(f)
	f.Add(export(f, steer.Filter{}))
	f.Fuzz(func(t *testing.T, stream []byte) {
		inQueue(t, queue.Built())
		to := target(queue.Built())
		_, _ = Import(context.Background(), bytes.NewReader(stream), to)
		found, err := check.Check(check.Options{Tree: to.Tree, Accounts: to.Accounts})
		must(t, err)
		for _, f := range found {
			if f.Code != check.FutureBirth && f.Code != check.TornText { // births and texts are the stream's
				t.Errorf("%v", f)
			}
		}
	})
}
