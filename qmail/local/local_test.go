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

const message = "Received: by test\nSubject: x\n\nbody\n>From me\nFrom you\nlast"

// delivery returns a delivery of message to joe-ext@host.example in a home
// directory of its own.
func delivery(t *testing.T, dash, ext, defaultDelivery string) *Delivery {
	t.Helper()
	home := t.TempDir()
	if err := os.Chmod(home, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Chdir(home)
	old := syscall.Umask(0o077) // as the command sets it
	t.Cleanup(func() { syscall.Umask(old) })
	d, ok := New([]string{"joe", home, "joe" + dash + ext, dash, ext, "host.example", "s@x.example", defaultDelivery})
	if !ok {
		t.Fatal("operands refused")
	}
	d.Message = file(t, message)
	for _, name := range []string{"DEFAULT", "QMAILQUEUE"} {
		t.Setenv(name, "")
		os.Unsetenv(name)
	}
	return d
}

// file returns a descriptor that reads text.
func file(t *testing.T, text string) fdio.FD {
	t.Helper()
	path := filepath.Join(t.TempDir(), "message")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := fdio.Open(path, syscall.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// deliver runs it and returns exit code, standard output and complaints.
func deliver(d *Delivery) (code int, out, complaints string) {
	var o, e bytes.Buffer
	d.Out = &o
	code = d.Run(&e)
	return code, o.String(), e.String()
}

func write(t *testing.T, name, text string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(name, mode); err != nil {
		t.Fatal(err)
	}
}

func TestOperands(t *testing.T) {
	for _, test := range []struct {
		name     string
		operands []string
		ok       bool
	}{
		{"eight", []string{"u", "/h", "l", "", "", "d", "", "./Mailbox"}, true},
		{"seven", []string{"u", "/h", "l", "", "", "d", ""}, false},
		{"nine", []string{"u", "/h", "l", "", "", "d", "", "a", "b"}, false},
		{"relative home", []string{"u", "h", "l", "", "", "d", "", "a"}, false},
	} {
		if _, ok := New(test.operands); ok != test.ok {
			t.Errorf("%s: accepted %v, want %v", test.name, ok, test.ok)
		}
	}
}

func TestMbox(t *testing.T) {
	d := delivery(t, "", "", "./Mailbox")
	code, out, complaints := deliver(d)
	if code != 0 || out != "did 1+0+0\n" || complaints != "" {
		t.Fatalf("exit %d, %q, %q", code, out, complaints)
	}
	got, err := os.ReadFile("Mailbox")
	if err != nil {
		t.Fatal(err)
	}
	want := "Return-Path: <s@x.example>\nDelivered-To: joe@host.example\n" +
		"Received: by test\nSubject: x\n\nbody\n>>From me\n>From you\nlast\n\n"
	from, rest, _ := strings.Cut(string(got), "\n")
	if !strings.HasPrefix(from, "From s@x.example ") || rest != want {
		t.Errorf("mbox is %q", got)
	}
	if st, _ := os.Stat("Mailbox"); st.Mode() != 0o600 {
		t.Errorf("mode %v, want 0600", st.Mode())
	}
}

func TestMboxThatCannotGrowIsCutBack(t *testing.T) {
	d := delivery(t, "", "", "./Mailbox")
	write(t, "Mailbox", "old\n", 0o600)
	var code int
	var complaints string
	withFileLimit(t, 20, func() { code, _, complaints = deliver(d) })
	if code != 111 || complaints != "Unable to write ./Mailbox: file too big. (#4.3.0)\n" {
		t.Errorf("exit %d, %q", code, complaints)
	}
	if got, _ := os.ReadFile("Mailbox"); string(got) != "old\n" {
		t.Errorf("the mbox has become %q", got)
	}
}

func TestMaildir(t *testing.T) {
	d := delivery(t, "", "", "./Maildir/")
	makeMaildir(t)
	if code, out, complaints := deliver(d); code != 0 || out != "did 1+0+0\n" {
		t.Fatalf("exit %d, %q, %q", code, out, complaints)
	}
	files, _ := filepath.Glob("Maildir/*/*")
	if len(files) != 1 || !strings.HasPrefix(files[0], "Maildir/new/") {
		t.Fatalf("files: %q, want one in new", files)
	}
	got, _ := os.ReadFile(files[0])
	if want := "Return-Path: <s@x.example>\nDelivered-To: joe@host.example\n" + message; string(got) != want {
		t.Errorf("got %q, want the message unchanged behind two lines: %q", got, want)
	}
	if st, _ := os.Stat(files[0]); st.Mode() != 0o600 {
		t.Errorf("mode %v, want 0600", st.Mode())
	}
}

func TestMaildirTrouble(t *testing.T) {
	for _, test := range []struct {
		name, want string
		prepare    func(t *testing.T)
	}{
		{"missing", "Unable to chdir to maildir. (#4.2.1)\n", func(*testing.T) {}},
		{"a file", "Unable to chdir to maildir. (#4.2.1)\n", func(t *testing.T) { write(t, "Maildir", "", 0o600) }},
		{"no tmp", "Temporary error on maildir delivery. (#4.3.0)\n", func(t *testing.T) { os.Mkdir("Maildir", 0o700) }},
		{"no new", "Temporary error on maildir delivery. (#4.3.0)\n", func(t *testing.T) { os.MkdirAll("Maildir/tmp", 0o700) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := delivery(t, "", "", "./Maildir/")
			test.prepare(t)
			if code, _, complaints := deliver(d); code != 111 || complaints != test.want {
				t.Errorf("exit %d, %q, want 111, %q", code, complaints, test.want)
			}
			if left, _ := filepath.Glob("Maildir/tmp/*"); len(left) > 0 {
				t.Errorf("left in tmp: %q", left)
			}
		})
	}
}

func TestProgramExitCodes(t *testing.T) {
	for _, test := range []struct {
		command string
		code    int
		out     string
	}{
		{"exit 0", 0, "did 1+0+1\n"},
		{"exit 99", 0, "did 0+0+1\n"}, // and the rest is not wanted
		{"exit 100", 100, ""}, {"exit 64", 100, ""}, {"exit 65", 100, ""}, {"exit 70", 100, ""},
		{"exit 76", 100, ""}, {"exit 77", 100, ""}, {"exit 78", 100, ""}, {"exit 112", 100, ""},
		{"exit 111", 111, ""}, {"exit 1", 111, ""}, {"exit 75", 111, ""}, {"kill -9 $$", 111, ""},
	} {
		d := delivery(t, "", "", "|"+test.command+"\n./Mailbox\n")
		if code, out, _ := deliver(d); code != test.code || out != test.out {
			t.Errorf("%s: exit %d, %q, want %d, %q", test.command, code, out, test.code, test.out)
		}
	}
}

func TestProgramEnvironment(t *testing.T) {
	d := delivery(t, "-", "A-b.c-d", "")
	write(t, ".qmail-a-default", "|for v in EXT EXT2 EXT3 EXT4 HOST HOST2 HOST3 LOCAL DEFAULT NEWSENDER RECIPIENT USER; do eval echo \\$$v; done > env; cat > stdin\n", 0o644)
	if code, _, complaints := deliver(d); code != 0 {
		t.Fatalf("exit %d, %q", code, complaints)
	}
	got, _ := os.ReadFile("env")
	want := "A-b.c-d\nb.c-d\nd\n\nhost.example\nhost\nhost\njoe-A-b.c-d\nb.c-d\ns@x.example\njoe-A-b.c-d@host.example\njoe\n"
	if string(got) != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, _ := os.ReadFile("stdin"); string(got) != message {
		t.Errorf("the program read %q", got)
	}
}

func TestWhichFile(t *testing.T) {
	for _, test := range []struct {
		ext, files, want string // want is the file, and behind it DEFAULT
	}{
		{"a-b-c", "a-b-c a-b-default default", "a-b-c"},
		{"a-b-c", "a-b-default a-default default", "a-b-default c"},
		{"a-b-c", "a-default default", "a-default b-c"},
		{"A-b-C", "default", "default A-b-C"},
		{"a.b", "a:b", "a:b"}, // a dot in the address is a colon in the name
		{"default", "default", "default default"},
		{"my-default", "my-default", "my-default default"},
		{"a-", "a-default", "a-default "},
		{"none", "a default-x", ""},
	} {
		d := delivery(t, "-", test.ext, "")
		for name := range strings.FieldsSeq(test.files) {
			write(t, ".qmail-"+name, "|echo "+name+" ${DEFAULT-unset}\n", 0o600)
		}
		file, err := d.findDotQmail()
		if err != nil {
			t.Fatal(err)
		}
		got := strings.TrimSuffix(strings.TrimPrefix(file.text, "|echo "), " ${DEFAULT-unset}\n")
		if file.hasDefault {
			got += " " + file.defaultExt
		}
		if got != test.want {
			t.Errorf("%s of %s: got %q, want %q", test.ext, test.files, got, test.want)
		}
	}
}

func TestRefusals(t *testing.T) {
	for _, test := range []struct {
		name, want string
		code       int
		prepare    func(t *testing.T, d *Delivery)
	}{
		{"no such file", "Sorry, no mailbox here by that name. (#5.1.1)\n", 100, func(*testing.T, *Delivery) {}},
		{"home writable", "Uh-oh: home directory is writable. (#4.7.0)\n", 111, func(t *testing.T, d *Delivery) { os.Chmod(d.HomeDir, 0o777) }},
		{"home sticky", "Home directory is sticky: user is editing his .qmail file. (#4.2.1)\n", 111,
			func(t *testing.T, d *Delivery) { os.Chmod(d.HomeDir, 0o755|os.ModeSticky) }},
		{"file writable", "Uh-oh: .qmail file is writable. (#4.7.0)\n", 111, func(t *testing.T, d *Delivery) { write(t, ".qmail-x", "#\n", 0o666) }},
		{"blank first line", "Uh-oh: first line of .qmail file is blank. (#4.2.1)\n", 111, func(t *testing.T, d *Delivery) { write(t, ".qmail-x", " \n", 0o600) }},
		{"executable", "Uh-oh: .qmail has file delivery but has x bit set. (#4.7.0)\n", 111, func(t *testing.T, d *Delivery) { write(t, ".qmail-x", "./m\n", 0o700) }},
		{"list", "Uh-oh: .qmail has prog delivery but has x bit set. (#4.7.0)\n", 111, func(t *testing.T, d *Delivery) { write(t, ".qmail-x", "+list\n|x\n", 0o600) }},
		{"loop", "This message is looping: it already has my Delivered-To line. (#5.4.6)\n", 100,
			func(t *testing.T, d *Delivery) { d.Message = file(t, "A: b\nDelivered-To: joe-x@host.example\n\n") }},
		{"a directory is no file", "Sorry, no mailbox here by that name. (#5.1.1)\n", 100, func(t *testing.T, d *Delivery) { os.Mkdir(".qmail-x", 0o700) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := delivery(t, "-", "x", "./Mailbox")
			test.prepare(t, d)
			if code, _, complaints := deliver(d); code != test.code || complaints != test.want {
				t.Errorf("exit %d, %q, want %d, %q", code, complaints, test.code, test.want)
			}
		})
	}
}

func TestNoLoop(t *testing.T) {
	for _, text := range []string{
		"\nDelivered-To: joe@host.example\n",                                         // in the body
		"Delivered-To: joe@host.example",                                             // not a whole line
		"Delivered-To: joe@host.example.org\n\n",                                     // somebody else
		"X: " + strings.Repeat("y", 9000) + "Delivered-To: joe@host.example\n\nbody", // inside a long line
	} {
		d := delivery(t, "", "", "#")
		d.Message = file(t, text)
		if code, _, complaints := deliver(d); code != 0 {
			t.Errorf("%.40q: exit %d, %q", text, code, complaints)
		}
	}
}

func TestForward(t *testing.T) {
	d := delivery(t, "-", "list", "")
	write(t, ".qmail-list", "&a@x\nb@y\n", 0o700)
	write(t, ".qmail-list-owner", "", 0o600)
	write(t, ".qmail-list-owner-default", "", 0o600)
	write(t, "queue", "#!/bin/sh\nexec 3<&1\n{ cat; echo ===; cat <&3; } > \"$TARGET\"\n", 0o755)
	target := filepath.Join(d.HomeDir, "queued")
	t.Setenv("TARGET", target)
	t.Setenv("QMAILQUEUE", filepath.Join(d.HomeDir, "queue"))
	t.Setenv("REQMAIL_HOME", d.HomeDir)
	code, out, complaints := deliver(d)
	if code != 0 || !strings.HasPrefix(out, "did 0+2+0\nqp ") {
		t.Fatalf("exit %d, %q, %q", code, out, complaints)
	}
	got, _ := os.ReadFile(target)
	want := "Delivered-To: joe-list@host.example\n" + message + "===\nFjoe-list-owner-@host.example-@[]\x00Ta@x\x00Tb@y\x00\x00"
	if string(got) != want {
		t.Errorf("queued %q, want %q", got, want)
	}
}

func TestDescribe(t *testing.T) {
	d := delivery(t, "", "", "# c\n./Maildir/\n/var/mbox \n|prog arg\n&a@b\nc@d\n+x\n")
	d.Describe = true
	code, out, _ := deliver(d)
	want := "maildir ./Maildir/\nmbox /var/mbox\nprogram prog arg\nforward a@b\nforward c@d\ndid 2+2+1\n"
	if code != 0 || out != want {
		t.Errorf("exit %d, %q, want %q", code, out, want)
	}
}

func TestHeaders(t *testing.T) {
	d := &Delivery{Local: "a\nb", Host: "h", Sender: "x y\n@z"}
	h := makeHeaders(d, time.Unix(1e9, 0))
	want := headers{
		deliveredTo: "Delivered-To: a_b@h\n",
		returnPath:  "Return-Path: <\"x y\\_\"@z>\n",
		from:        "From x-y-@z Sun Sep 09 01:46:40 2001\n",
	}
	if h != want {
		t.Errorf("got %+v, want %+v", h, want)
	}
}

// FuzzQuoteFrom: a reader that takes one ">" off each quoted line gets the
// message back, and never sees a From_ line in it.
func FuzzQuoteFrom(f *testing.F) {
	for _, seed := range []string{"", "From x\n", ">From x", "a\n>>From y\n\n", "Fro", "From", ">>>"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var out bytes.Buffer
		d := &Delivery{Process: &Process{}}
		if readErr, writeErr := d.writeMbox(&out, strings.NewReader(text)); readErr != nil || writeErr != nil {
			t.Fatal(readErr, writeErr)
		}
		got := strings.TrimSuffix(out.String(), "\n")
		var back strings.Builder
		for line := range strings.Lines(got) {
			if strings.HasPrefix(line, "From ") {
				t.Fatalf("%q has a From_ line in %q", text, got)
			}
			if strings.HasPrefix(strings.TrimLeft(line, ">"), "From ") {
				line = line[1:]
			}
			back.WriteString(line)
		}
		if text != "" && !strings.HasSuffix(text, "\n") {
			text += "\n"
		}
		if back.String() != text {
			t.Errorf("%q came back as %q", text, back.String())
		}
	})
}

func FuzzDotQmail(f *testing.F) {
	for _, seed := range []string{"", "\n", "./a\n", "|x\x00y\n", "+list\n./x\n", "&\n", "#"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d := &Delivery{Describe: true, Out: &bytes.Buffer{}}
		_ = d.carryOut(text, false)
		if c := d.counts; c.files+c.forwards+c.programs > strings.Count(text, "\n")+1 {
			t.Errorf("%q: more instructions than lines: %+v", text, c)
		}
	})
}
