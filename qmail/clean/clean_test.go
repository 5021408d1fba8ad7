package clean

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/reqmail/reqmail/queue"
)

// serve runs requests in an empty queue with files, and returns the answers
// and what is left.
func serve(t *testing.T, requests string, files ...string) (answers, left string) {
	t.Helper()
	dir := t.TempDir()
	for _, p := range queue.Layout() {
		if err := p.Make(dir, func(path string, p queue.Place) error { return os.Chmod(path, os.FileMode(p.Mode)|0o600) }); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
	for _, f := range files {
		if err := os.WriteFile(f, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var out bytes.Buffer
	if code := Run(strings.NewReader(requests), &out, time.Now); code != ExitDone {
		t.Errorf("exit %d", code)
	}
	var rest []string
	for _, f := range files {
		if _, err := os.Stat(f); err == nil {
			rest = append(rest, f)
		}
	}
	return out.String(), strings.Join(rest, " ")
}

func TestRequests(t *testing.T) {
	for _, test := range []struct{ name, requests, answers, left string }{
		{"message", "foop/1\x00", "+", "todo/1"},
		{"envelope", "todo/1\x00", "+", "mess/1/1"},
		{"not there", "foop/2\x00todo/2\x00", "++", "intd/1 todo/1 mess/1/1"},
		// qmail answers each odd byte and then runs what it understood.
		{"malformed", "foop/1a2b\x00", "x", "intd/1 todo/1 mess/1/1"},
		{"other word", "mess/1\x00", "x", "intd/1 todo/1 mess/1/1"},
		{"empty", "\x00", "x", "intd/1 todo/1 mess/1/1"},
		{"too long", "foop/" + strings.Repeat("1", 200) + "\x00foop/1\x00", "x+", "todo/1"},
		{"unfinished", "foop/1", "", "intd/1 todo/1 mess/1/1"},
	} {
		answers, left := serve(t, test.requests, "intd/1", "todo/1", "mess/1/1")
		if answers != test.answers || left != test.left {
			t.Errorf("%s: answers %q, left %q, want %q, %q", test.name, answers, left, test.answers, test.left)
		}
	}
}

func TestCannotRemove(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	if err := os.MkdirAll("intd/1", 0o700); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	Run(strings.NewReader("foop/1\x00"), &out, time.Now)
	if out.String() != "!" {
		t.Errorf("answer %q", out.String())
	}
}

func TestNobodyReadsAnswers(t *testing.T) {
	t.Chdir(t.TempDir())
	if code := Run(strings.NewReader("foop/1\x00"), failing{}, time.Now); code != ExitNoAnswer {
		t.Errorf("exit %d, want %d", code, ExitNoAnswer)
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, os.ErrClosed }

func TestSweepsPid(t *testing.T) {
	old := time.Now().Add(-37 * time.Hour)
	requests := strings.Repeat("todo/5\x00", sweepEvery)
	t.Chdir(t.TempDir())
	if err := os.Mkdir("pid", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("pid/1.1.1", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes("pid/1.1.1", old, old); err != nil {
		t.Fatal(err)
	}
	Run(strings.NewReader(requests), &bytes.Buffer{}, time.Now)
	if files, _ := filepath.Glob("pid/*"); len(files) > 0 {
		t.Errorf("left in pid: %q", files)
	}
}
