package qlist

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/reqmail/reqmail/queue"
)

// emptyQueue makes an empty queue below a new home, enters it, and returns the
// home.
func emptyQueue(t testing.TB) string {
	t.Helper()
	home := t.TempDir()
	for _, dir := range []string{"mess", "info", "local", "remote"} {
		for n := range queue.Split() {
			if err := os.MkdirAll(home+"/queue/"+dir+"/"+strconv.FormatUint(n, 10), 0o700); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, dir := range []string{"bounce", "todo"} {
		if err := os.Mkdir(home+"/queue/"+dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(home + "/queue")
	return home
}

// write puts files into the queue; those of info get their age.
func write(t testing.TB, files map[string]string) {
	t.Helper()
	birth := time.Unix(1_000_000_000, 0)
	for path, text := range files {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, birth, birth); err != nil {
			t.Fatal(err)
		}
	}
}

func TestList(t *testing.T) {
	const head = "9 Sep 2001 01:46:40 GMT  #24  18  "
	const mess = "Subject: s\n\nhello\n"
	long := strings.Repeat("y", 5000)
	tests := []struct {
		name  string
		files map[string]string
		want  string
	}{
		{"empty", nil, ""},
		{"both channels", map[string]string{"mess/1/24": mess, "info/1/24": "Fa@x\x00",
			"local/1/24": "Dbob@y\x00Tcarol@y\x00", "remote/1/24": "Tdan@z\x00Deve@z\x00"},
			head + "<a@x> \n  done\tlocal\tbob@y\n\tlocal\tcarol@y\n\tremote\tdan@z\n  done\tremote\teve@z\n"},
		{"bouncing", map[string]string{"mess/1/24": mess, "info/1/24": "F\x00", "remote/1/24": "Ddan@z\x00", "bounce/24": "no\n"},
			head + "<>  bouncing\n  done\tremote\tdan@z\n"},
		{"not preprocessed", map[string]string{"mess/1/24": mess, "todo/24": "u0\x00p1\x00Fa@x\x00Tb@y\x00"}, ""},
		{"text is gone", map[string]string{"info/1/24": "Fa@x\x00"}, "warning: trouble with #24: file does not exist\n"},
		{"odd names are no messages", map[string]string{"info/1/abc": "Fa\x00", "info/1/24x": "Fa\x00", "info/1/-": "Fa\x00"}, ""},
		{"unprintable", map[string]string{"mess/1/24": mess, "info/1/24": "Fa\n\xe4 @x\x00", "local/1/24": "Tb\x07\x7f\x00"},
			head + "<a__ @x> \n\tlocal\tb__\n"},
		// A crash of the host may leave these.
		{"empty info", map[string]string{"mess/1/24": mess, "info/1/24": ""}, head + "<> \n"},
		{"sender without end", map[string]string{"mess/1/24": mess, "info/1/24": "Fa@x"}, head + "<a@x> \n"},
		{"recipient without end", map[string]string{"mess/1/24": mess, "info/1/24": "Fa@x\x00", "local/1/24": "Tb@y\x00Tc@"},
			head + "<a@x> \n\tlocal\tb@y\n"},
		{"other and empty records", map[string]string{"mess/1/24": mess, "info/1/24": "Fa@x\x00", "local/1/24": "Xb\x00\x00T\x00D\x00"},
			head + "<a@x> \n\tlocal\t\n  done\tlocal\t\n"},
		{"record larger than the buffer", map[string]string{"mess/1/24": mess, "info/1/24": "F" + long + "\x00", "local/1/24": "T" + long + "\x00Tz\x00"},
			head + "<" + long + "> \n\tlocal\t" + long + "\n\tlocal\tz\n"},
	}
	for _, test := range tests {
		emptyQueue(t)
		write(t, test.files)
		var out bytes.Buffer
		if err := List(&out); err != nil || out.String() != test.want {
			t.Errorf("%s: %v, %q", test.name, err, out.String())
		}
	}
}

func TestListOrderAndTrouble(t *testing.T) {
	emptyQueue(t)
	write(t, map[string]string{
		"mess/1/24": "x", "info/1/24": "Fa\x00", "local/1/24": "Tb\x00",
		"mess/2/25": "x", "info/2/25": "Fb\x00"})
	if err := os.Symlink("25", "local/2/25"); err != nil { // cannot be opened by anybody
		t.Fatal(err)
	}
	if err := os.Remove("info/22"); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	err := List(&out)
	want := "9 Sep 2001 01:46:40 GMT  #24  1  <a> \n\tlocal\tb\n" +
		"9 Sep 2001 01:46:40 GMT  #25  1  <b> \nwarning: trouble with #25: symbolic link loop\n"
	if out.String() != want {
		t.Errorf("%q", out.String())
	}
	var dir *queue.FileError
	if !errors.As(err, &dir) || dir.File != "info/22" || dir.Err != syscall.ENOENT {
		t.Errorf("%v", err)
	}
}

func TestListEndsAtUnreadableFile(t *testing.T) {
	emptyQueue(t)
	write(t, map[string]string{"mess/1/24": "x", "info/1/24": "Fa\x00"})
	if err := os.Mkdir("local/1/24", 0o700); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := List(&out); !errors.Is(err, ErrRead) || !strings.HasSuffix(out.String(), "<a> \n") {
		t.Errorf("%v, %q", err, out.String())
	}
}

// TestListOfManyBounces: what tells of a few bouncing messages tells of many.
func TestListOfManyBounces(t *testing.T) {
	emptyQueue(t)
	const count = 1600
	files := map[string]string{"bounce/0101": ""} // not the name of 101
	for n := range count {
		id := queue.ID(100 + n)
		files[id.Mess()], files[id.Info()] = "x", "Fa\x00"
	}
	for n := 2; n < count; n += 2 {
		files[queue.ID(100+n).Bounce()] = ""
		if n != 2 && n != 1000 && n != count-2 {
			continue
		}
		write(t, files)
		var out bytes.Buffer
		if err := List(&out); err != nil || bytes.Count(out.Bytes(), []byte("\n")) != count {
			t.Fatalf("%v, %d lines", err, bytes.Count(out.Bytes(), []byte("\n")))
		}
		for line := range strings.Lines(out.String()) {
			var id int
			_, rest, _ := strings.Cut(line, "#")
			if _, err := fmt.Sscanf(rest, "%d", &id); err != nil {
				t.Fatal(err)
			}
			want := id > 100 && id%2 == 0 && id <= 100+n
			if got := strings.HasSuffix(line, "  1  <a>  bouncing\n"); got != want {
				t.Fatalf("up to %d: %q", 100+n, line)
			}
		}
	}
}

// TestListAsOwner: who looks at the queue as root sees all of it, whoever owns
// what is in it.
func TestListAsOwner(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	const owner = 12345
	all := map[string]string{"mess/1/24": "x", "info/1/24": "Fa\x00", "local/1/24": "Tb\x00", "remote/1/24": "Dc\x00", "bounce/24": ""}
	const want = "9 Sep 2001 01:46:40 GMT  #24  1  <a>  bouncing\n\tlocal\tb\n  done\tremote\tc\n"
	for _, foreign := range []string{"", "mess/1", "info/1/24", "local/1", "local/1/24", "remote/1", "remote/1/24", "bounce"} {
		emptyQueue(t)
		write(t, all)
		err := filepath.WalkDir(".", func(path string, _ os.DirEntry, err error) error {
			if err != nil || path == foreign {
				return err
			}
			return os.Chown(path, owner, owner)
		})
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if err := List(&out); err != nil || out.String() != want {
			t.Errorf("%q is root's: %v, %q", foreign, err, out.String())
		}
	}
}

// TestListedLocals: what a directory told some time ago hides no recipients.
func TestListedLocals(t *testing.T) {
	emptyQueue(t)
	write(t, map[string]string{"local/1/24": ""})
	l := listLocals("local/1")
	for _, test := range []struct {
		id    queue.ID
		birth int64
		may   bool
	}{{24, 10, true}, {47, 10, false}, {47, l.at - 1, false}, {47, l.at, true}, {47, time.Now().Unix(), true}} {
		if got := l.may(test.id, test.birth); got != test.may {
			t.Errorf("%d of %d: %v", test.id, test.birth, got)
		}
	}
	if !listLocals("local/none").may(47, 10) {
		t.Error("a directory that cannot be read counts as empty")
	}
}

// TestListWhileMessageBounces: a recipient that is done because he could not be
// served is never listed as if he had been.
func TestListWhileMessageBounces(t *testing.T) {
	emptyQueue(t)
	for range 300 {
		_ = os.Remove("bounce/24")
		write(t, map[string]string{"mess/1/24": "x", "info/1/24": "Fa\x00", "remote/1/24": "Tb@y\x00"})
		failed := make(chan error)
		go func() {
			failed <- errors.Join(os.WriteFile("bounce/24", []byte("no\n"), 0o600), queue.MarkDone(24, queue.Remote, 0))
		}()
		var out bytes.Buffer
		if err := errors.Join(List(&out), <-failed); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(out.String(), "\tremote\tb@y\n") ||
			strings.Contains(out.String(), "done") && !strings.Contains(out.String(), "bouncing") {
			t.Fatalf("%q", out.String())
		}
	}
}

// full takes nothing.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, syscall.EPIPE }

func TestListEndsWithItsReader(t *testing.T) {
	emptyQueue(t)
	write(t, map[string]string{"mess/1/24": "x", "info/1/24": "Fa\x00", "local/1/24": strings.Repeat("Tbob@example.org\x00", 10000)})
	if err := List(full{}); err != syscall.EPIPE {
		t.Error(err)
	}
}

func TestCount(t *testing.T) {
	home := emptyQueue(t)
	for _, dir := range []string{"mess/.x", "mess/1/deep/er", "todo/d"} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	write(t, map[string]string{"mess/1/24": "", "mess/7/30": "", "todo/30": "",
		"mess/f": "", "mess/1/.h": "", "mess/1/deep/er/f": "", "todo/d/1": "", // whatever find(1) finds
		"mess/.x/1": ""}) // not in the shell's "*"
	for _, link := range []string{"mess/1/l", "todo/l"} {
		if err := os.Symlink("24", link); err != nil {
			t.Fatal(err)
		}
	}
	got := Count(home, func(line string) { t.Error(line) })
	if want := (Counts{Messages: 5, Todo: 2}); got != want {
		t.Errorf("%+v", got)
	}
}

func TestCountComplains(t *testing.T) {
	tests := []struct {
		name   string
		change func(home string) error
		want   string // HOME stands for the home
	}{
		{"no queue", func(home string) error { return os.RemoveAll(home + "/queue") },
			"find: 'HOME/queue/mess/*': No such file or directory\nfind: 'HOME/queue/todo': No such file or directory\n"},
		{"no todo", func(home string) error { return os.Remove(home + "/queue/todo") },
			"find: 'HOME/queue/todo': No such file or directory\n"},
		{"mess is a file", func(home string) error {
			return errors.Join(os.RemoveAll(home+"/queue/mess"), os.WriteFile(home+"/queue/mess", nil, 0o600))
		}, "find: 'HOME/queue/mess/*': Not a directory\n"},
	}
	for _, test := range tests {
		home := emptyQueue(t)
		if err := test.change(home); err != nil {
			t.Fatal(err)
		}
		var said strings.Builder
		got := Count(home, func(line string) { said.WriteString(line + "\n") })
		if got != (Counts{}) || said.String() != strings.ReplaceAll(test.want, "HOME", home) {
			t.Errorf("%s: %+v, %q", test.name, got, said.String())
		}
	}
}

func TestCountWithoutPermission(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root may read everything")
	}
	home := emptyQueue(t)
	write(t, map[string]string{"mess/1/24": "", "mess/2/25": ""})
	if err := os.Chmod(home+"/queue/mess/1", 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(home+"/queue/mess/1", 0o700) })
	var said string
	got := Count(home, func(line string) { said += line })
	if got.Messages != 1 || said != "find: '"+home+"/queue/mess/1': Permission denied" {
		t.Errorf("%+v, %q", got, said)
	}
}

// FuzzRecipients: no recipient file breaks a line of the list or ends it.
func FuzzRecipients(f *testing.F) {
	f.Add([]byte("Ta@b\x00Dc@d\x00"), []byte("Fx@y\x00"))
	f.Add([]byte("T\x00\x00X\nT\n\x00Tunended"), []byte("F\xff"))
	emptyQueue(f)
	f.Fuzz(func(t *testing.T, recipients, info []byte) {
		write(t, map[string]string{"mess/1/24": "x", "info/1/24": string(info), "remote/1/24": string(recipients)})
		var out bytes.Buffer
		if err := List(&out); err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
		want := 0
		for _, r := range bytes.SplitAfter(recipients, []byte{0}) {
			if len(r) > 1 && r[len(r)-1] == 0 && (r[0] == 'T' || r[0] == 'D') {
				want++
			}
		}
		if len(lines) != 1+want || !strings.Contains(lines[0], "  #24  1  <") {
			t.Fatalf("%d recipients: %q", want, out.String())
		}
		for _, line := range lines[1:] {
			if !strings.HasPrefix(strings.TrimPrefix(line, "  done"), "\tremote\t") {
				t.Fatalf("%q", line)
			}
		}
	})
}

func BenchmarkList(b *testing.B) {
	emptyQueue(b)
	files := map[string]string{}
	for n := range 1000 {
		id := queue.ID(n)
		files[id.Mess()], files[id.Info()], files[id.Recipients(queue.Remote)] = "x", "Fa@x.example\x00", "Tb@y.example\x00"
	}
	write(b, files)
	for b.Loop() {
		if err := List(&bytes.Buffer{}); err != nil {
			b.Fatal(err)
		}
	}
}
