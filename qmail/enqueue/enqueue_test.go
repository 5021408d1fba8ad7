package enqueue

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/reqmail/reqmail/queue"
)

func inQueue(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	for _, p := range queue.Layout() {
		if err := p.Make(dir, func(path string, p queue.Place) error { return os.Chmod(path, os.FileMode(p.Mode)|0o600) }); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

var who = Invoker{PID: 12, UID: 34}

func enqueue(message io.Reader, envelope string) int {
	return Run(message, strings.NewReader(envelope), who, time.Unix(1e9, 0))
}

func left(t *testing.T) string {
	t.Helper()
	var dirs []string
	for _, dir := range []string{"pid", "mess/*", "intd", "todo"} {
		files, _ := filepath.Glob(dir + "/*")
		for _, f := range files {
			if st, err := os.Stat(f); err == nil && !st.IsDir() {
				dirs = append(dirs, strings.SplitN(f, "/", 2)[0])
			}
		}
	}
	return strings.Join(dirs, " ")
}

func TestExitCodes(t *testing.T) {
	long := strings.Repeat("x", 1002)
	for _, test := range []struct {
		name, envelope string
		message        io.Reader
		code           int
		left           string
	}{
		{"one", "Fs\x00Tr\x00\x00", strings.NewReader("m"), 0, "mess intd todo"},
		{"nobody", "F\x00\x00", strings.NewReader(""), 0, "mess intd todo"},
		{"longest", "F" + long + "\x00T" + long + "\x00\x00", strings.NewReader("m"), 0, "mess intd todo"},
		{"sender too long", "F" + long + "x\x00\x00", strings.NewReader("m"), 11, "mess intd"},
		{"recipient too long", "F\x00T" + long + "x\x00\x00", strings.NewReader("m"), 11, "mess intd"},
		{"no F", "Ts\x00\x00", strings.NewReader("m"), 91, "mess intd"},
		{"no T", "Fs\x00Xr\x00\x00", strings.NewReader("m"), 91, "mess intd"},
		{"empty envelope", "", strings.NewReader("m"), 54, ""},
		{"envelope ends early", "Fs\x00Tr\x00", strings.NewReader("m"), 54, ""},
		{"address ends early", "Fs\x00Tr", strings.NewReader("m"), 54, ""},
		{"message unreadable", "Fs\x00\x00", iotest.ErrReader(errors.New("disk")), 54, ""},
		{"NUL first", "\x00", strings.NewReader("m"), 91, "mess intd"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Chdir(inQueue(t))
			if got := enqueue(test.message, test.envelope); got != test.code {
				t.Errorf("exit %d, want %d", got, test.code)
			}
			if got := left(t); got != test.left {
				t.Errorf("left in %q, want %q", got, test.left)
			}
		})
	}
}

func TestContent(t *testing.T) {
	t.Chdir(inQueue(t))
	message := "a\x00b\r\n" + strings.Repeat("line\n", 20000) + "no end"
	if code := enqueue(iotest.HalfReader(strings.NewReader(message)), "Fs@x\x00Tr@y\x00T\x00\x00behind is not read"); code != 0 {
		t.Fatalf("exit %d", code)
	}
	files, _ := filepath.Glob("mess/*/*")
	got, _ := os.ReadFile(files[0])
	if want := "Received: (qmail 12 invoked by uid 34); 9 Sep 2001 01:46:40 -0000\n" + message; string(got) != want {
		t.Errorf("%d bytes, want %d and the Received line %q", len(got), len(want), got[:80])
	}
	todo, _ := filepath.Glob("todo/*")
	if got, _ := os.ReadFile(todo[0]); string(got) != "u34\x00p12\x00Fs@x\x00Tr@y\x00T\x00" {
		t.Errorf("envelope %q", got)
	}
}

func TestReceived(t *testing.T) {
	roles := &Roles{Alias: 1, Daemon: 2, Send: 3}
	for uid, want := range map[int]string{1: "by alias", 2: "from network", 3: "for bounce", 4: "by uid 4", 0: "by uid 0"} {
		got := Invoker{PID: 7, UID: uid, Roles: roles}.received(time.Unix(0, 0))
		if want := "Received: (qmail 7 invoked " + want + "); 1 Jan 1970 00:00:00 -0000\n"; got != want {
			t.Errorf("uid %d: got %q, want %q", uid, got, want)
		}
	}
}

func TestMissingDirectories(t *testing.T) {
	for dir, code := range map[string]int{"pid": 63, "mess": 64, "intd": 65, "todo": 66} {
		t.Chdir(inQueue(t))
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
		if got := enqueue(strings.NewReader("m"), "F\x00\x00"); got != code {
			t.Errorf("without %s: exit %d, want %d", dir, got, code)
		}
	}
}

func FuzzEnvelope(f *testing.F) {
	for _, seed := range []string{"", "F\x00\x00", "Fs\x00Ta\x00Tb\x00\x00", "F\x00T"} {
		f.Add([]byte(seed))
	}
	dir := inQueue(f)
	if err := os.Chdir(dir); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, envelope []byte) {
		code := Run(strings.NewReader(""), bytes.NewReader(envelope), who, time.Unix(1e9, 0))
		todo, _ := filepath.Glob("todo/*")
		if (code == 0) != (len(todo) == 1) {
			t.Errorf("%q: exit %d, and %d envelopes", envelope, code, len(todo))
		}
		for _, pattern := range []string{"todo/*", "intd/*", "mess/*/*"} {
			files, _ := filepath.Glob(pattern)
			for _, file := range files {
				os.Remove(file)
			}
		}
	})
}
