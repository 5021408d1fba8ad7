package command

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/reqmail/reqmail/compat/fdio"
)

const message = "Subject: x\n\nFrom here\nlast"

// files opens a message and files that take output and complaints.
func files(t *testing.T) Files {
	t.Helper()
	return Files{file(t, message), file(t, ""), file(t, "")}
}

func file(t *testing.T, text string) fdio.FD {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return open(t, path, syscall.O_RDWR)
}

func open(t *testing.T, path string, flags int) fdio.FD {
	t.Helper()
	f, err := fdio.Open(path, flags, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// written returns what has been written to a file.
func written(t *testing.T, f fdio.FD) string {
	t.Helper()
	size, err := f.Seek(0, 1)
	if err != nil {
		t.Fatal(err)
	}
	text := make([]byte, size)
	if n, err := syscall.Pread(int(f), text, 0); err != nil || n != len(text) {
		t.Fatal(n, err)
	}
	return string(text)
}

// queue makes a queue program that keeps what it is given and then does as
// script says. It returns what will hold the message, "|" and the envelope.
func queue(t *testing.T, script string) string {
	t.Helper()
	dir := t.TempDir()
	program := filepath.Join(dir, "queue")
	text := "#!/bin/sh\nexec 3<&1\n{ cat; printf '|'; cat <&3; } > " + dir + "/queued\n" + script + "\n"
	if err := os.WriteFile(program, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("QMAILQUEUE", program)
	t.Setenv("REQMAIL_HOME", dir)
	t.Setenv("SENDER", "s@x")
	t.Setenv("NEWSENDER", "new@x")
	t.Setenv("DTLINE", "Delivered-To: r@x\n")
	return filepath.Join(dir, "queued")
}

func unset(t *testing.T, variable string) {
	t.Helper()
	t.Setenv(variable, "") // restores it at the end
	os.Unsetenv(variable)
}

// withoutPID takes the number off the line that ends in one.
func withoutPID(text string) string { return strings.TrimRight(text, "0123456789\n") }

func TestForward(t *testing.T) {
	queued := queue(t, "")
	f := files(t)
	if code := Forward(f, []string{"a@x", "b@x"}); code != 0 {
		t.Fatalf("exit %d, %q", code, written(t, f[2]))
	}
	if got := withoutPID(written(t, f[2])); got != "forward: qp " {
		t.Errorf("said %q", got)
	}
	got, _ := os.ReadFile(queued)
	if want := "Delivered-To: r@x\n" + message + "|Fnew@x\x00Ta@x\x00Tb@x\x00\x00"; string(got) != want {
		t.Errorf("queued %q, want %q", got, want)
	}
}

func TestForwardFails(t *testing.T) {
	for _, test := range []struct {
		name    string
		prepare func(t *testing.T, f *Files)
		code    int
		want    string
	}{
		{"no sender", func(t *testing.T, f *Files) { unset(t, "NEWSENDER") }, 100, "NEWSENDER not set"},
		{"no line", func(t *testing.T, f *Files) { unset(t, "DTLINE") }, 100, "DTLINE not set"},
		{"refused", func(t *testing.T, f *Files) { queue(t, "exit 31") }, 100,
			"mail server permanently rejected message (#5.3.0)"},
		{"disk full", func(t *testing.T, f *Files) { queue(t, "exit 53") }, 111, "qq write error or disk full (#4.3.0)"},
		{"no queue program", func(t *testing.T, f *Files) { t.Setenv("QMAILQUEUE", "none") }, 111, "unable to exec qq (#4.3.0)"},
		{"unreadable", func(t *testing.T, f *Files) { f[0] = open(t, "/", syscall.O_RDONLY) }, 111,
			"unable to read message: is a directory"},
	} {
		t.Run(test.name, func(t *testing.T) {
			queue(t, "")
			f := files(t)
			test.prepare(t, &f)
			if code := Forward(f, []string{"a@x"}); code != test.code {
				t.Errorf("exit %d, want %d", code, test.code)
			}
			if got := written(t, f[2]); got != "forward: fatal: "+test.want+"\n" {
				t.Errorf("said %q, want %q", got, test.want)
			}
		})
	}
}

// A message that cannot be read to its end must reach the queue program
// without an envelope, so that it is dropped.
func TestForwardOfHalfAMessage(t *testing.T) {
	queued := queue(t, "exit 54")
	f := files(t)
	f[0] = open(t, "/", syscall.O_RDONLY)
	Forward(f, []string{"a@x"})
	got, err := os.ReadFile(queued)
	if err != nil {
		t.Fatal(err)
	}
	if _, envelope, _ := strings.Cut(string(got), "|"); envelope != "" {
		t.Errorf("envelope %q, want none", envelope)
	}
}

func TestConditions(t *testing.T) {
	const child = "NAME: fatal: "
	for _, test := range []struct {
		program                   string
		except, bounce, condition int
		complaint                 string // NAME stands for the command
	}{
		{"exit 0", 100, 100, 99, ""},
		{"exit 1", 0, 0, 0, ""},
		{"exit 99", 0, 0, 0, ""},
		{"exit 100", 0, 0, 0, ""},
		{"exit 111", 111, 111, 111, child + "temporary child error\n"},
		{"kill -9 $$", 111, 111, 111, child + "child crashed\n"},
		{"cat > /dev/null", 100, 100, 99, ""}, // the message is still whole for condredirect
	} {
		t.Run(test.program, func(t *testing.T) {
			queued := queue(t, "")
			argv := []string{"sh", "-c", test.program}
			for _, command := range []struct {
				name  string
				run   func(Files, []string) int
				args  []string
				code  int
				holds string // said if the program exits 0
			}{
				{"except", Except, argv, test.except, ""},
				{"bouncesaying", BounceSaying, append([]string{"go away"}, argv...), test.bounce, "go away\n"},
				{"condredirect", CondRedirect, append([]string{"n@x"}, argv...), test.condition, "condredirect: qp "},
			} {
				f := files(t)
				if code := command.run(f, command.args); code != command.code {
					t.Errorf("%s: exit %d, want %d", command.name, code, command.code)
				}
				want := strings.ReplaceAll(test.complaint, "NAME", command.name)
				if command.code == 99 || command.code == 100 {
					want = command.holds
				}
				got := written(t, f[2])
				if got != want && withoutPID(got) != want {
					t.Errorf("%s: said %q, want %q", command.name, got, want)
				}
			}
			want := ""
			if test.condition == 99 {
				want = "Delivered-To: r@x\n" + message + "|Fs@x\x00Tn@x\x00\x00"
			}
			if got, _ := os.ReadFile(queued); string(got) != want {
				t.Errorf("queued %q, want %q", got, want)
			}
		})
	}
}

func TestProgramsThatCannotRun(t *testing.T) {
	for _, test := range []struct {
		name string
		run  func(Files) int
		code int
		said string
	}{
		{"except", func(f Files) int { return Except(f, []string{"/none"}) }, 0, ""},
		{"except by PATH", func(f Files) int { return Except(f, []string{"no-such-program"}) }, 0, ""},
		{"bouncesaying", func(f Files) int { return BounceSaying(f, []string{"x", "/none"}) }, 0, ""},
		{"condredirect", func(f Files) int { return CondRedirect(f, []string{"x", "/none"}) }, 0, ""},
		{"preline", func(f Files) int { return Preline(f, []string{"preline", "/none"}) }, 100,
			"preline: fatal: unable to run /none: file does not exist\n"},
		{"preline of nothing", func(f Files) int { return Preline(f, []string{"preline", ""}) }, 100,
			"preline: fatal: unable to run : file does not exist\n"},
	} {
		f := files(t)
		setLines(t)
		if code := test.run(f); code != test.code {
			t.Errorf("%s: exit %d, want %d", test.name, code, test.code)
		}
		if got := written(t, f[2]); got != test.said {
			t.Errorf("%s: said %q, want %q", test.name, got, test.said)
		}
	}
}

func TestUsage(t *testing.T) {
	for _, test := range []struct {
		want string
		run  func(Files) int
	}{
		{"except: usage: except program [ arg ... ]\n", func(f Files) int { return Except(f, nil) }},
		{"bouncesaying: usage: bouncesaying error [ program [ arg ... ] ]\n", func(f Files) int { return BounceSaying(f, nil) }},
		{"condredirect: usage: condredirect newaddress program [ arg ... ]\n",
			func(f Files) int { return CondRedirect(f, []string{"a"}) }},
		{"preline: usage: preline cmd [ arg ... ]\n", func(f Files) int { return Preline(f, []string{"preline", "-f"}) }},
		{"preline: illegal option -- x\npreline: usage: preline cmd [ arg ... ]\n",
			func(f Files) int { return Preline(f, []string{"preline", "-x", "cat"}) }},
	} {
		setLines(t)
		f := files(t)
		if code := test.run(f); code != 100 || written(t, f[2]) != test.want {
			t.Errorf("exit %d, %q, want 100, %q", code, written(t, f[2]), test.want)
		}
	}
}

func TestBounceSayingWithoutProgram(t *testing.T) {
	f := files(t)
	if code := BounceSaying(f, []string{"-x"}); code != 100 || written(t, f[2]) != "-x\n" {
		t.Errorf("exit %d, %q", code, written(t, f[2]))
	}
}

func TestCondRedirectNeedsAFile(t *testing.T) {
	queue(t, "")
	f := files(t)
	r, w, err := fdio.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	w.Close()
	f[0] = r
	want := "condredirect: fatal: unable to rewind: unseekable descriptor\n"
	if code := CondRedirect(f, []string{"a@x", "true"}); code != 111 || written(t, f[2]) != want {
		t.Errorf("exit %d, %q", code, written(t, f[2]))
	}
}

func setLines(t *testing.T) {
	t.Helper()
	t.Setenv("UFLINE", "From s\n")
	t.Setenv("RPLINE", "Return-Path: <s>\n")
	t.Setenv("DTLINE", "Delivered-To: r\n")
}

func TestPreline(t *testing.T) {
	for _, test := range []struct{ options, want string }{
		{"", "From s\nReturn-Path: <s>\nDelivered-To: r\n"},
		{"-f", "Return-Path: <s>\nDelivered-To: r\n"},
		{"-fd", "Return-Path: <s>\n"},
		{"-f -r -d", ""},
		{"-frdR", "Return-Path: <s>\n"}, // the last one counts
		{"-FRD --", "From s\nReturn-Path: <s>\nDelivered-To: r\n"},
	} {
		setLines(t)
		f := files(t)
		args := append([]string{"preline"}, strings.Fields(test.options)...)
		if code := Preline(f, append(args, "cat", "-")); code != 0 {
			t.Fatalf("%s: exit %d, %q", test.options, code, written(t, f[2]))
		}
		if got := written(t, f[1]); got != test.want+message {
			t.Errorf("%s: the program read %q", test.options, got)
		}
	}
}

func TestPrelineEnds(t *testing.T) {
	long := strings.Repeat("0123456789\n", 20000) // more than a pipe takes
	for _, test := range []struct {
		name, program, message string
		code                   int
		want                   string
	}{
		{"its program's code", "cat >&2; exit 17", "", 17, ""},
		{"a crash", "cat >/dev/null; kill -9 $$", "", 111, "child crashed"},
		{"a short message that nobody wants", "exit 3", "x", 3, ""},
		{"a long one", "exit 0", long, 111, "unable to copy input: broken pipe"},
	} {
		t.Setenv("UFLINE", "")
		t.Setenv("RPLINE", "")
		t.Setenv("DTLINE", "")
		f := files(t)
		f[0] = file(t, test.message)
		want := ""
		if test.want != "" {
			want = "preline: fatal: " + test.want + "\n"
		}
		if code := Preline(f, []string{"preline", "sh", "-c", test.program}); code != test.code || written(t, f[2]) != want {
			t.Errorf("%s: exit %d, %q, want %d, %q", test.name, code, written(t, f[2]), test.code, want)
		}
	}
}

func TestPrelineNeedsItsLines(t *testing.T) {
	for _, variable := range []string{"UFLINE", "RPLINE", "DTLINE"} {
		setLines(t)
		unset(t, variable)
		if code := Preline(files(t), []string{"preline", "cat"}); code != 100 {
			t.Errorf("without %s: exit %d", variable, code)
		}
	}
}
