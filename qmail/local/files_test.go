package local

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/reqmail/reqmail/compat/fdio"
)

func makeMaildir(t *testing.T) {
	t.Helper()
	for _, dir := range []string{"Maildir", "Maildir/tmp", "Maildir/new", "Maildir/cur"} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
}

func TestParseLine(t *testing.T) {
	for _, test := range []struct {
		line string
		want instruction
	}{
		{"./Mailbox", instruction{toMbox, "./Mailbox"}},
		{"/home/x/Maildir/ \t", instruction{toMaildir, "/home/x/Maildir/"}},
		{"./a b", instruction{toMbox, "./a b"}},
		{"|cat > x ", instruction{toProgram, "cat > x"}},
		{"|", instruction{toProgram, ""}},
		{"&joe@x", instruction{toAddress, "joe@x"}},
		{"& joe@x", instruction{toAddress, " joe@x"}}, // not ours to correct
		{"joe@x", instruction{toAddress, "joe@x"}},
		{" ./Mailbox", instruction{toAddress, " ./Mailbox"}}, // blanks in front are no blanks behind
		{"# ./Mailbox", instruction{}},
		{"+list", instruction{kind: listMode}},
		{"+list\x00x", instruction{kind: listMode}},
		{"+lists", instruction{}},
		{"", instruction{}},
		{"\x00./Mailbox", instruction{}},
		{"./a\x00/", instruction{toMaildir, "./a\x00/"}}, // its last byte decides, delivery is to ./a
	} {
		if got, err := parseLine(test.line, false); got != test.want || err != nil {
			t.Errorf("%q: got %+v, %v, want %+v", test.line, got, err, test.want)
		}
	}
	for _, line := range []string{"", " \t", "\x00x"} {
		if _, err := parseLine(line, true); err != errBlank {
			t.Errorf("%q as first line: %v", line, err)
		}
	}
}

// Several deliveries of one message to the same Maildir, by whatever name,
// must neither collide nor wait for the next second.
func TestSeveralMaildirs(t *testing.T) {
	d := delivery(t, "", "", "")
	makeMaildir(t)
	write(t, ".qmail", "./Maildir/\n"+d.HomeDir+"/Maildir/\n./Maildir/\n", 0o600)
	if code, out, complaints := deliver(d); code != 0 || out != "did 3+0+0\n" {
		t.Fatalf("exit %d, %q, %q", code, out, complaints)
	}
	if files, _ := filepath.Glob("Maildir/new/*"); len(files) != 3 {
		t.Errorf("%q, want three files", files)
	}
}

func TestMaildirThatCannotBeRead(t *testing.T) {
	d := delivery(t, "", "", "./Maildir/")
	makeMaildir(t)
	// Writing and searching is all that a delivery may need.
	for _, dir := range []string{"Maildir", "Maildir/new", "Maildir/tmp"} {
		if err := os.Chmod(dir, 0o300); err != nil {
			t.Fatal(err)
		}
	}
	code, _, complaints := deliver(d)
	for _, dir := range []string{"Maildir", "Maildir/new", "Maildir/tmp"} {
		_ = os.Chmod(dir, 0o700) // for the clean-up
	}
	if code != 0 {
		t.Errorf("exit %d, %q", code, complaints)
	}
}

func TestMaildirThatCannotBeSearched(t *testing.T) {
	if os.Getuid() == 0 {
		t.Skip("root may search every directory")
	}
	d := delivery(t, "", "", "./Maildir/")
	makeMaildir(t)
	if err := os.Chmod("Maildir", 0o600); err != nil {
		t.Fatal(err)
	}
	code, _, complaints := deliver(d)
	_ = os.Chmod("Maildir", 0o700)
	if want := "Unable to chdir to maildir. (#4.2.1)\n"; code != 111 || complaints != want {
		t.Errorf("exit %d, %q, want 111, %q", code, complaints, want)
	}
}

func TestMaildirThatIsFull(t *testing.T) {
	d := delivery(t, "", "", "./Maildir/")
	makeMaildir(t)
	var code int
	var complaints string
	withFileLimit(t, 20, func() { code, _, complaints = deliver(d) })
	if want := "Temporary error on maildir delivery. (#4.3.0)\n"; code != 111 || complaints != want {
		t.Errorf("exit %d, %q, want 111, %q", code, complaints, want)
	}
	if left, _ := filepath.Glob("Maildir/*/*"); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
}

// withFileLimit runs do while files cannot grow beyond a number of bytes.
func withFileLimit(t *testing.T, limit uint64, do func()) {
	t.Helper()
	var old syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &old); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: limit, Max: old.Max}); err != nil {
		t.Fatal(err)
	}
	do()
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &old); err != nil {
		t.Fatal(err)
	}
}

// A message that cannot be read (here a directory stands for a bad disk) must
// leave no part of it anywhere.
func TestUnreadableMessage(t *testing.T) {
	for _, test := range []struct{ instruction, want string }{
		{"./Mailbox", "Unable to read message: is a directory. (#4.3.0)"},
		{"./Maildir/", "Unable to read message. (#4.3.0)"},
	} {
		d := delivery(t, "", "", test.instruction)
		makeMaildir(t)
		write(t, "Mailbox", "old\n", 0o600)
		f, err := fdio.Open("/", syscall.O_RDONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		d.Message = f
		err = d.carryOut(test.instruction, false)
		f.Close()
		if err == nil || err.Error() != test.want {
			t.Errorf("%s: %v, want %s", test.instruction, err, test.want)
		}
		if got, _ := os.ReadFile("Mailbox"); string(got) != "old\n" {
			t.Errorf("%s: the mbox has become %q", test.instruction, got)
		}
		if left, _ := filepath.Glob("Maildir/*/*"); len(left) > 0 {
			t.Errorf("%s: left: %q", test.instruction, left)
		}
	}
}

func TestMboxBehindLinks(t *testing.T) {
	d := delivery(t, "", "", "./a")
	for _, dir := range []string{"x", "x/y"} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for name, target := range map[string]string{"a": "x/b", "x/b": "y/../y/c", "x/y/c": d.HomeDir + "/x/y/mbox"} {
		if err := os.Symlink(target, name); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := directoryOf("./a"), d.HomeDir+"/x/y/"; got != want {
		t.Errorf("directory %s, want %s", got, want)
	}
	if code, _, complaints := deliver(d); code != 0 {
		t.Errorf("exit %d, %q", code, complaints)
	}
	if _, err := os.Stat("x/y/mbox"); err != nil {
		t.Error(err)
	}
	if got := directoryOf(".mbox"); got != "." {
		t.Errorf("directory %s, want .", got)
	}
}

func TestLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mbox")
	write(t, path, "", 0o600)
	var f [2]fdio.FD
	for i := range f {
		var err error
		if f[i], err = fdio.Open(path, syscall.O_WRONLY, 0); err != nil {
			t.Fatal(err)
		}
		defer f[i].Close()
	}
	if locked, err := lock(f[0], time.Minute); !locked || err != nil {
		t.Fatal(locked, err)
	}
	_, err := lock(f[1], time.Millisecond)
	if want := "File has been locked for 30 seconds straight. (#4.3.0)"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	if err := syscall.Flock(int(f[0]), syscall.LOCK_UN); err != nil {
		t.Fatal(err)
	}
	if locked, err := lock(f[1], time.Minute); !locked || err != nil {
		t.Error(locked, err)
	}
	r, w, err := fdio.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	w.Close()
	r.Close()
	if locked, err := lock(r, time.Minute); locked || err != nil {
		t.Errorf("what has no lock: %v, %v, want to go on without", locked, err)
	}
}

func TestQuoteFrom(t *testing.T) {
	many := strings.Repeat(">", bufferSize+3) // more than is looked at at once
	long := strings.Repeat("x", 3*bufferSize)
	for _, test := range []struct{ text, want string }{
		{"", "\n"},
		{"a", "a\n\n"},
		{"From", "From\n\n"}, // no blank behind it
		{"From ", ">From \n\n"},
		{"from x\n", "from x\n\n"},
		{" From x\n", " From x\n\n"},
		{"a From x\nFrom y\n", "a From x\n>From y\n\n"},
		{">From x\n>>From y\n> From z\n", ">>From x\n>>>From y\n> From z\n\n"},
		{"\nFrom x\r\n\x00From y", "\n>From x\r\n\x00From y\n\n"},
		{many + "From x\n" + many + "Fro", ">" + many + "From x\n" + many + "Fro\n\n"},
		{long + "From x\n" + long, long + "From x\n" + long + "\n\n"},
	} {
		var out bytes.Buffer
		d := &Delivery{Process: &Process{}}
		if readErr, writeErr := d.writeMbox(&out, strings.NewReader(test.text)); readErr != nil || writeErr != nil {
			t.Fatal(readErr, writeErr)
		}
		if out.String() != test.want {
			t.Errorf("%.40q: got %.60q, want %.60q", test.text, out.String(), test.want)
		}
	}
}

// A message that a crash has torn must not swallow the next one.
func TestTornMbox(t *testing.T) {
	for before, want := range map[string]string{
		"From a\nhalf a li": "From a\nhalf a li\n\nFrom ",
		"From a\nwhole\n\n": "From a\nwhole\n\nFrom ",
	} {
		d := delivery(t, "", "", "./mbox")
		if err := os.WriteFile("mbox", []byte(before), 0o600); err != nil {
			t.Fatal(err)
		}
		if code, _, complaints := deliver(d); code != 0 {
			t.Errorf("exit %d, %q", code, complaints)
		}
		if got, _ := os.ReadFile("mbox"); !strings.HasPrefix(string(got), want) {
			t.Errorf("%q: %q", before, got)
		}
	}
}
