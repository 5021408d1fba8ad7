package check

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/reqmail/reqmail/compat/ids"
	"github.com/reqmail/reqmail/queue"
)

// options are those for a queue all of which is the test's own.
func options() Options {
	uid := uint32(os.Getuid())
	return Options{
		Tree: queue.Tree{Split: 23},
		Accounts: Accounts{
			User:  map[string]uint32{ids.Queue: uid, ids.Send: uid, ids.Remote: uid},
			Group: uint32(os.Getgid()),
		},
		Pause: time.Millisecond, Stopped: true,
	}
}

// inQueue makes the working directory an empty queue.
func inQueue(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	for _, p := range options().Tree.Layout() {
		must(t, p.Make(dir, func(path string, p queue.Place) error {
			return os.Chmod(path, os.FileMode(p.Mode))
		}))
	}
	must(t, os.Chown(dir, os.Getuid(), os.Getgid()))
	t.Chdir(dir)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func put(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	must(t, os.WriteFile(path, []byte(text), mode))
	must(t, os.Chmod(path, mode))
}

// text makes a message's text and returns its number.
func text(t *testing.T) queue.ID {
	t.Helper()
	put(t, "pid/1", "Received: (qmail 1 invoked by uid 1)\n\nhello\n", 0o644)
	var st syscall.Stat_t
	must(t, syscall.Stat("pid/1", &st))
	id := queue.ID(st.Ino)
	must(t, os.Rename("pid/1", id.Mess()))
	return id
}

// queued makes a message in state S4.
func queued(t *testing.T) queue.ID {
	t.Helper()
	id := text(t)
	put(t, id.Intd(), "u1\x00p2\x00Fs@x\x00Tr@y\x00", 0o644)
	must(t, os.Link(id.Intd(), id.Todo()))
	return id
}

// preprocessed makes a message in state S5, with all files that it can have.
func preprocessed(t *testing.T) queue.ID {
	t.Helper()
	id := text(t)
	put(t, id.Info(), "Fs@x\x00", 0o600)
	put(t, id.Recipients(queue.Local), "Dl@x\x00Tm@x\x00", 0o600)
	put(t, id.Recipients(queue.Remote), "Tr@y\x00", 0o600)
	put(t, id.Bounce(), "<l@x>:\nno\n\n", 0o600)
	return id
}

func old(t *testing.T, path string) {
	t.Helper()
	at := time.Now().Add(-100 * time.Hour)
	must(t, os.Chtimes(path, at, at))
}

func codes(found []Finding) (all []Code) {
	for _, f := range found {
		if !slices.Contains(all, f.Code) {
			all = append(all, f.Code)
		}
	}
	slices.Sort(all)
	return all
}

// mail reads everything that is mail in the queue: the contents of its files.
func mail(t *testing.T) (all []string) {
	t.Helper()
	must(t, filepath.WalkDir(".", func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() || strings.HasPrefix(path, "lock/") || path == report || !e.Type().IsRegular() {
			return err
		}
		f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOATIME, 0) // what is old stays so
		if err != nil {
			return err
		}
		defer f.Close()
		data, err := io.ReadAll(f)
		if len(data) > 0 {
			all = append(all, string(data))
		}
		return err
	}))
	slices.Sort(all)
	return slices.Compact(all)
}

// TestDamage makes damage by hand. Each kind is found under its code; a repair
// mends it, loses no file's contents, and leaves nothing for another repair.
// Where the wording says so, the message goes to lost+found.
func TestDamage(t *testing.T) {
	remove := func(path string) func(*testing.T, queue.ID, queue.ID) {
		return func(t *testing.T, _, _ queue.ID) { must(t, os.RemoveAll(path)) }
	}
	mode := func(path string, mode os.FileMode) func(*testing.T, queue.ID, queue.ID) {
		return func(t *testing.T, _, _ queue.ID) { must(t, os.Chmod(path, mode)) }
	}
	move := func(t *testing.T, from, to string) { t.Helper(); must(t, os.Rename(from, to)) }
	for _, test := range []struct {
		name   string
		damage func(t *testing.T, q, p queue.ID) // q is in S4, p in S5
		code   Code
		left   int  // messages in the queue afterwards, of two
		loses  bool // contents that are no mail
	}{
		{"a directory is missing", remove("bounce"), MissingDirectory, 2, true},
		{"a split directory is missing", func(t *testing.T, q, p queue.ID) {
			for n := range 23 {
				if dir := fmt.Sprintf("remote/%d", n); uint64(n) != uint64(p)%23 {
					must(t, os.Remove(dir))
				}
			}
		}, MissingDirectory, 2, false},
		{"the trigger is missing", remove("lock/trigger"), MissingFile, 2, false},
		{"the mutex is missing", remove("lock/sendmutex"), MissingFile, 2, false},
		{"tcpto is missing", remove("lock/tcpto"), MissingFile, 2, false},
		{"tcpto is cut", func(t *testing.T, _, _ queue.ID) { must(t, os.Truncate("lock/tcpto", 100)) }, WrongSize, 2, false},
		{"the trigger is a file", func(t *testing.T, _, _ queue.ID) {
			must(t, os.Remove("lock/trigger"))
			put(t, "lock/trigger", "", 0o622)
		}, WrongType, 2, false},
		{"pid is a file", func(t *testing.T, _, _ queue.ID) {
			must(t, os.Remove("pid"))
			put(t, "pid", "", 0o700)
		}, WrongType, 2, false},
		{"a mode of a directory", mode("todo", 0o700), WrongMode, 2, false},
		{"a mode of the trigger", mode("lock/trigger", 0o600), WrongMode, 2, false},
		{"a mode of a message", func(t *testing.T, q, _ queue.ID) { must(t, os.Chmod(q.Mess(), 0o600)) }, WrongMode, 2, false},
		{"a mode of an info file", func(t *testing.T, _, p queue.ID) { must(t, os.Chmod(p.Info(), 0o644)) }, WrongMode, 2, false},
		{"a file with another name", func(t *testing.T, _, _ queue.ID) { put(t, "mess/3/core", "x", 0o644) }, UnknownFile, 2, false},
		{"a number with a leading zero", func(t *testing.T, _, _ queue.ID) { put(t, "todo/007", "x", 0o644) }, UnknownFile, 2, false},
		{"a directory instead of a file", func(t *testing.T, _, _ queue.ID) { must(t, os.Mkdir("bounce/17", 0o700)) }, NotRegular, 2, false},
		{"a link instead of a file", func(t *testing.T, _, _ queue.ID) { must(t, os.Symlink("/etc/passwd", "info/17/17")) }, NotRegular, 2, false},
		{"another file of the same number", func(t *testing.T, _, p queue.ID) {
			put(t, fmt.Sprintf("info/%d/%v", (p+1)%23, p), "Fother\x00", 0o600)
		}, Duplicate, 2, false},
		{"a file in another split directory", func(t *testing.T, _, p queue.ID) {
			move(t, p.Recipients(queue.Local), fmt.Sprintf("local/%d/%v", (p+1)%23, p))
		}, WrongSplit, 2, false},
		{"a message in other split directories", func(t *testing.T, _, p queue.ID) {
			for _, kind := range []string{"mess", "info", "local", "remote"} {
				move(t, kind+"/"+p.Sub(), fmt.Sprintf("%s/%d/%v", kind, (p+1)%23, p))
			}
		}, WrongSplit, 2, false},
		{"a split of another build", func(t *testing.T, _, p queue.ID) {
			for _, kind := range []string{"mess", "info", "local", "remote"} {
				must(t, os.Mkdir(kind+"/40", 0o700))
				move(t, kind+"/"+p.Sub(), kind+"/40/"+p.String())
			}
		}, SurplusDirectory, 2, false},
		{"a big-todo layout", func(t *testing.T, q, _ queue.ID) {
			for _, kind := range []string{"todo", "intd"} {
				must(t, os.Mkdir(kind+"/5", 0o750))
				move(t, kind+"/"+q.String(), kind+"/5/"+q.String())
			}
		}, BigTodo, 2, false},
		{"names that are no inode numbers", func(t *testing.T, q, p queue.ID) { renumbered(t, q, p) }, WrongInode, 2, true},
		{"the text of a queued message is away", func(t *testing.T, q, _ queue.ID) { must(t, os.Remove(q.Mess())) }, LostText, 1, false},
		{"the text of a preprocessed message is away", func(t *testing.T, _, p queue.ID) { must(t, os.Remove(p.Mess())) }, LostText, 1, false},
		{"an empty text", func(t *testing.T, q, _ queue.ID) { must(t, os.Truncate(q.Mess(), 0)) }, TornText, 1, false},
		{"a text of zeros", func(t *testing.T, _, p queue.ID) { put(t, p.Mess(), "\x00\x00\x00", 0o644) }, TornText, 1, false},
		{"a torn envelope", func(t *testing.T, q, _ queue.ID) { put(t, q.Todo(), "u1\x00p2\x00Fs@x\x00Tr@", 0o644) }, TornEnvelope, 1, false},
		{"an envelope without a sender", func(t *testing.T, q, _ queue.ID) { put(t, q.Todo(), "u1\x00p2\x00", 0o644) }, TornEnvelope, 1, false},
		{"an unknown record in an envelope", func(t *testing.T, q, _ queue.ID) { put(t, q.Todo(), "u1\x00p2\x00Fs@x\x00X\x00", 0o644) }, UnknownRecord, 1, false},
		{"an empty info file", func(t *testing.T, _, p queue.ID) { must(t, os.Truncate(p.Info(), 0)) }, TornInfo, 1, false},
		{"an info file with more", func(t *testing.T, _, p queue.ID) { put(t, p.Info(), "Fa\x00Fb\x00", 0o600) }, TornInfo, 1, false},
		{"a torn recipient file", func(t *testing.T, _, p queue.ID) { must(t, os.Truncate(p.Recipients(queue.Remote), 3)) }, TornRecipients, 1, false},
		{"an unknown record in a recipient file", func(t *testing.T, _, p queue.ID) { put(t, p.Recipients(queue.Local), "X\x00", 0o600) }, UnknownRecord, 1, false},
		{"an envelope under construction that is another", func(t *testing.T, q, _ queue.ID) {
			must(t, os.Remove(q.Intd()))
			put(t, q.Intd(), "u1\x00", 0o644)
		}, IntdDiffers, 2, false},
		{"an envelope of a preprocessed message", func(t *testing.T, _, p queue.ID) { put(t, p.Intd(), "u1\x00", 0o644) }, StaleIntd, 2, false},
		{"a bounce of a message not yet tried", func(t *testing.T, q, _ queue.ID) { put(t, q.Bounce(), "<a>:\n", 0o600) }, StaleBounce, 2, false},
		{"an old text of no message", func(t *testing.T, _, _ queue.ID) { old(t, text(t).Mess()) }, OrphanText, 2, false},
		{"an envelope of no message", func(t *testing.T, _, _ queue.ID) { put(t, "intd/7", "u1\x00", 0o644) }, OrphanIntd, 2, false},
		{"recipients of no message", func(t *testing.T, _, _ queue.ID) { put(t, "local/7/7", "Ta\x00", 0o600) }, OrphanRecipients, 2, false},
		{"a bounce of no message", func(t *testing.T, _, _ queue.ID) { put(t, "bounce/7", "x", 0o600) }, OrphanBounce, 2, false},
		{"an old file in pid", func(t *testing.T, _, _ queue.ID) { put(t, "pid/1.2.3", "x", 0o644); old(t, "pid/1.2.3") }, OrphanPid, 2, false},
		{"a repair was interrupted", func(t *testing.T, q, p queue.ID) {
			renumbered(t, q, p)
			r := &repair{Options: options()}
			must(t, makeLost(r.Accounts))
			var err error
			r.view, err = look(r.Tree)
			must(t, err)
			for id := range r.view.messages {
				must(t, r.number(Finding{ID: id}))
			}
		}, Unfinished, 2, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			inQueue(t)
			q, p := queued(t), preprocessed(t)
			test.damage(t, q, p)
			before := mail(t)
			found, err := Check(options())
			must(t, err)
			if !slices.Contains(codes(found), test.code) {
				t.Fatalf("found %v, not %s", found, test.code)
			}
			dry := options()
			dry.DryRun = true
			_, err = Repair(dry)
			must(t, err)
			if again, err := Check(options()); err != nil || !slices.Equal(codes(found), codes(again)) {
				t.Errorf("a dry run has changed something: %v, %v", again, err)
			}
			told, err := Repair(options())
			must(t, err)
			for _, f := range told {
				if f.Error != "" || f.Mended == "" {
					t.Errorf("not mended: %v", f)
				}
			}
			sound(t)
			if after := mail(t); !test.loses && !slices.Equal(before, after) {
				t.Errorf("contents before: %q\nafter: %q", before, after)
			}
			if n := len(known(t)); n != test.left {
				t.Errorf("%d messages are left, want %d", n, test.left)
			}
		})
	}
}

// renumbered makes the two messages look as a copy by ordinary tools does:
// each has the inode number that is the other's name.
func renumbered(t *testing.T, q, p queue.ID) {
	t.Helper()
	for _, id := range []queue.ID{q, p} {
		must(t, os.Rename(id.Mess(), "pid/"+id.String()))
	}
	must(t, os.Rename("pid/"+q.String(), p.Mess()))
	must(t, os.Rename("pid/"+p.String(), q.Mess()))
}

// sound checks that nothing is found.
func sound(t *testing.T) {
	t.Helper()
	found, err := Check(options())
	must(t, err)
	for _, f := range found {
		t.Errorf("still: %v", f)
	}
}

// known lists the messages that qmail-send knows of.
func known(t *testing.T) []string {
	t.Helper()
	info, err := filepath.Glob("info/*/*")
	must(t, err)
	todo, err := filepath.Glob("todo/*")
	must(t, err)
	return append(info, todo...)
}

// TestHealthy: a message may be in any state, and files on their way are young.
func TestHealthy(t *testing.T) {
	inQueue(t)
	queued(t)
	preprocessed(t)
	id := text(t) // S2
	put(t, text(t).Mess(), "", 0o644)
	put(t, id.Intd(), "u1\x00", 0o644) // S3
	id = queued(t)                     // preprocessed and not cleaned up yet
	put(t, id.Info(), "Fs", 0o600)
	put(t, id.Recipients(queue.Local), "Tx", 0o600)
	id = preprocessed(t) // about to end
	must(t, os.Remove(id.Recipients(queue.Local)))
	must(t, os.Remove(id.Recipients(queue.Remote)))
	put(t, "pid/1.2.3", "", 0o644)
	sound(t)
	must(t, os.Remove("lock/tcpto6")) // C's queues have neither
	must(t, os.RemoveAll("lock/send"))
	sound(t)
	told, err := Repair(options())
	if err != nil || len(told) > 0 {
		t.Errorf("a repair of a sound queue: %v, %v", told, err)
	}
}

// TestFutureBirth: what is told and needs a decision stays.
func TestFutureBirth(t *testing.T) {
	inQueue(t)
	id := preprocessed(t)
	at := time.Now().Add(48 * time.Hour)
	must(t, os.Chtimes(id.Info(), at, at))
	told, err := Repair(options())
	if err != nil || len(told) != 1 || told[0].Code != FutureBirth || told[0].Error == "" {
		t.Errorf("told %v, %v", told, err)
	}
}

// TestRunning: what qmail-send would race with is left while it runs.
func TestRunning(t *testing.T) {
	inQueue(t)
	id := preprocessed(t)
	must(t, os.Chmod("todo", 0o777))
	must(t, os.Remove(id.Mess()))
	o := options()
	o.Stopped = false
	told, err := Repair(o)
	must(t, err)
	for _, f := range told {
		if want := f.Code == WrongMode; (f.Mended != "") != want {
			t.Errorf("told %v", f)
		}
	}
	if len(known(t)) != 1 {
		t.Error("the message was moved")
	}
}

// TestTree: a repair for another shape changes a queue to it and back.
func TestTree(t *testing.T) {
	inQueue(t)
	queued(t)
	preprocessed(t)
	for _, tree := range []queue.Tree{{Split: 211}, {Split: 3, BigTodo: true}, {Split: 23}} {
		o := options()
		o.Tree = tree
		told, err := Repair(o)
		must(t, err)
		for _, f := range told {
			if f.Error != "" {
				t.Errorf("%v: %v", tree, f)
			}
		}
		if found, err := Check(o); err != nil || len(found) > 0 {
			t.Errorf("%v: %v, %v", tree, found, err)
		}
		if got, err := queue.FindTree(); err != nil || got != tree {
			t.Errorf("found %v, %v, want %v", got, err, tree)
		}
	}
}
