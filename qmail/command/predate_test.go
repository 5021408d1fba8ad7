package command

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/reqmail/reqmail/compat/fdio"
)

// instead names the command that the test program is, instead of the tests:
// some commands become another program.
const instead = "REQMAIL_TEST_COMMAND"

func TestMain(m *testing.M) {
	switch home := os.Getenv("REQMAIL_HOME"); os.Getenv(instead) {
	case "datemail":
		os.Exit(DateMail(home, os.Args[1:]))
	case "elq":
		os.Exit(ReadMail("elq", home, "elm", os.Args[1:]))
	}
	os.Exit(m.Run())
}

// become runs a command in a process of its own and returns its exit code and
// what it says.
func become(t *testing.T, command string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), instead+"="+command)
	cmd.Stdin = strings.NewReader(message)
	var out, errors bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errors
	if err := cmd.Run(); cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errors.String()
}

// programs makes a home whose bin has shell scripts, and returns it.
func programs(t *testing.T, scripts map[string]string) string {
	t.Helper()
	home := t.TempDir()
	if err := os.Mkdir(filepath.Join(home, "bin"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, script := range scripts {
		if err := os.WriteFile(filepath.Join(home, "bin", name), []byte("#!/bin/sh\n"+script+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("REQMAIL_HOME", home)
	return home
}

func TestPredate(t *testing.T) {
	winter := time.Date(2026, 1, 5, 23, 4, 9, 0, time.UTC)
	for _, test := range []struct {
		zone string
		now  time.Time
		want string
	}{
		{"XYZ0", winter, "5 Jan 2026 23:04:09 +0000"},
		{"CET-1CEST,M3.5.0,M10.5.0/3", winter, "6 Jan 2026 00:04:09 +0100"},
		{"CET-1CEST,M3.5.0,M10.5.0/3", winter.AddDate(0, 6, 10), "16 Jul 2026 01:04:09 +0200"},
		{"NST3:30", winter, "5 Jan 2026 19:34:09 -0330"},
		{"LMT0:00:40", winter, "5 Jan 2026 23:03:29 -0001"}, // seconds are rounded
	} {
		t.Setenv("TZ", test.zone)
		f := files(t)
		if code := Predate(f, []string{"cat", "-"}, test.now); code != 0 {
			t.Fatalf("%s: exit %d, %q", test.zone, code, written(t, f[2]))
		}
		if got, want := written(t, f[1]), "Date: "+test.want+"\n"+message; got != want {
			t.Errorf("%s: the program read %q, want %q", test.zone, got, want)
		}
	}
}

func TestPredateEnds(t *testing.T) {
	for _, test := range []struct {
		name string
		argv []string
		code int
		want string
	}{
		{"nothing to run", nil, 100, "predate: usage: predate child\n"},
		{"its program's code", []string{"sh", "-c", "cat >/dev/null; exit 17"}, 17, ""},
		{"a crash", []string{"sh", "-c", "cat >/dev/null; kill -9 $$"}, 111, "predate: fatal: child crashed\n"},
		{"no such program", []string{"/none"}, 111, "predate: fatal: unable to run /none: file does not exist\n"},
		{"no such program in PATH", []string{"no-such-program"}, 111,
			"predate: fatal: unable to run no-such-program: file does not exist\n"},
	} {
		f := files(t)
		if code := Predate(f, test.argv, time.Now()); code != test.code || written(t, f[2]) != test.want {
			t.Errorf("%s: exit %d, %q, want %d, %q", test.name, code, written(t, f[2]), test.code, test.want)
		}
	}
}

// A program that does not want the message, or a message that cannot be read,
// is the program's business.
func TestPredateIsNoJudge(t *testing.T) {
	f := files(t)
	if err := syscall.Ftruncate(int(f[0]), 1<<20); err != nil {
		t.Fatal(err)
	}
	if code := Predate(f, []string{"sh", "-c", "exit 17"}, time.Now()); code != 17 || written(t, f[2]) != "" {
		t.Errorf("unread: exit %d, %q", code, written(t, f[2]))
	}
	f = files(t)
	dir, err := fdio.Open(t.TempDir(), syscall.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	f[0] = dir
	if code := Predate(f, []string{"wc", "-l"}, time.Now()); code != 0 || strings.TrimSpace(written(t, f[1])) != "1" {
		t.Errorf("unreadable: exit %d, %q, %q", code, written(t, f[1]), written(t, f[2]))
	}
}

func TestDateMail(t *testing.T) {
	home := programs(t, map[string]string{"predate": `printf '%s|' "$@"; cat; exit 7`})
	code, out, _ := become(t, "datemail", "-t", "a b", "")
	if want := home + "/bin/sendmail|-t|a b||" + message; code != 7 || out != want {
		t.Errorf("exit %d, predate got %q, want 7, %q", code, out, want)
	}
	home = programs(t, nil)
	code, _, said := become(t, "datemail")
	if want := "datemail: fatal: unable to run " + home + "/bin/predate: file does not exist\n"; code != 111 || said != want {
		t.Errorf("without predate: exit %d, %q, want 111, %q", code, said, want)
	}
}

func TestMailSubj(t *testing.T) {
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"a  subject", "a@x", "b@x"}, "Subject: a  subject\nTo: a@x b@x\n\n"},
		{[]string{"s", "a@x"}, "Subject: s\nTo: a@x\n\n"},
		{[]string{"s"}, "Subject: s\nTo:\n\n"},
		{nil, "Subject: \nTo:\n\n"},
	} {
		home := programs(t, map[string]string{"qmail-inject": `echo "$#"; cat`})
		f := files(t)
		if code := MailSubj(f, home, test.args); code != 0 {
			t.Fatalf("%q: exit %d, %q", test.args, code, written(t, f[2]))
		}
		if got, want := written(t, f[1]), "0\n"+test.want+message; got != want {
			t.Errorf("%q: qmail-inject got %q, want %q", test.args, got, want)
		}
	}
	home := programs(t, map[string]string{"qmail-inject": "cat >/dev/null; exit 100"})
	if code := MailSubj(files(t), home, []string{"s"}); code != 100 {
		t.Errorf("exit %d, want that of qmail-inject", code)
	}
}

// delivery puts the variables that qsmhook reads into the environment.
func delivery(t *testing.T) {
	t.Helper()
	setLines(t)
	t.Setenv("LOCAL", "List-joe")
	t.Setenv("HOST", "y")
	t.Setenv("SENDER", "s@x")
}

func TestQSMHook(t *testing.T) {
	const show = `printf '%s|' "$@"; cat`
	for _, test := range []struct{ name, options, arg, want string }{
		{"sender, host, user", "", "%g,%h,%u", "s@x,y,List-joe|From s\n"},
		{"a percent", "", "100%%", "100%|From s\n"},
		{"other letters, and none", "", "a%zb%", "ab|From s\n"},
		{"not expanded twice", "", "%%u", "%u|From s\n"},
		{"no From_ line", "-n", "x", "x|"},
		{"Return-Path", "-P", "x", "x|From s\nReturn-Path: <s>\n"},
		{"Delivered-To", "-l", "x", "x|From s\nDelivered-To: r\n"},
		{"all, in the order of an mbox", "-lP", "x", "x|From s\nReturn-Path: <s>\nDelivered-To: r\n"},
		{"options for sendmail alone", "-DFMms", "x", "x|From s\n"},
		{"a prefix of the user", "-x list-", "%u", "joe|From s\n"},
		{"a prefix he does not have", "-xjoe", "%u", "List-joe|From s\n"},
		{"a prefix of the user alone", "-xs", "%g", "s@x|From s\n"},
	} {
		delivery(t)
		f := files(t)
		args := append([]string{"qsmhook"}, strings.Fields(test.options)...)
		if code := QSMHook(f, append(args, "sh", "-c", strings.ReplaceAll(show, "%", "%%"), "sh", test.arg)); code != 0 {
			t.Fatalf("%s: exit %d, %q", test.name, code, written(t, f[2]))
		}
		if got := written(t, f[1]); got != test.want+message {
			t.Errorf("%s: the mailer got %q, want %q", test.name, got, test.want+message)
		}
	}
}

func TestQSMHookFails(t *testing.T) {
	cat := []string{"cat"}
	without := func(name string) func(t *testing.T, f *Files) {
		return func(t *testing.T, _ *Files) { unset(t, name) }
	}
	const usage = "fatal: incorrect usage"
	for _, test := range []struct {
		name    string
		args    []string
		prepare func(t *testing.T, f *Files)
		code    int
		want    string
	}{
		{"no command", nil, nil, 100, usage},
		{"unknown option", []string{"-z", "cat"}, nil, 100, "illegal option -- z"},
		{"no UFLINE", cat, without("UFLINE"), 100, usage},
		{"no RPLINE", cat, without("RPLINE"), 100, usage},
		{"no DTLINE", cat, without("DTLINE"), 100, usage},
		{"no LOCAL", cat, without("LOCAL"), 100, usage},
		{"no HOST", cat, without("HOST"), 100, usage},
		{"no SENDER", cat, without("SENDER"), 100, usage},
		{"no such command", []string{"/none"}, nil, 100, "fatal: command not found"},
		{"a crash", []string{"sh", "-c", "kill -9 $$"}, nil, 111, "fatal: temporary problem"},
		{"unreadable", cat, func(t *testing.T, f *Files) { f[0] = open(t, "/", syscall.O_RDONLY) }, 111,
			"fatal: unable to read message"},
	} {
		t.Run(test.name, func(t *testing.T) {
			delivery(t)
			f := files(t)
			if test.prepare != nil {
				test.prepare(t, &f)
			}
			if code := QSMHook(f, append([]string{"qsmhook"}, test.args...)); code != test.code {
				t.Errorf("exit %d, want %d", code, test.code)
			}
			if got := written(t, f[2]); got != "qsmhook: "+test.want+"\n" {
				t.Errorf("said %q, want %q", got, test.want)
			}
		})
	}
	delivery(t)
	if code := QSMHook(files(t), []string{"qsmhook", "sh", "-c", "cat >/dev/null; exit 17"}); code != 17 {
		t.Errorf("exit %d, want the command's", code)
	}
}

func TestReadMail(t *testing.T) {
	const reader = `printf '%s|' elm "$@"; exit 5`
	for _, test := range []struct {
		name, fill, reader string
		code               int
		out, said          string
	}{
		{"mail", "echo filled", reader, 5, "filled\nelm|-f|a b|", ""},
		{"the mbox is locked", "echo busy >&2; exit 111", reader, 111, "", "busy\n"},
		{"a crash", "kill -9 $$", reader, 111, "", ""},
		{"no reader", "true", "", 111, "", "elq: fatal: unable to run elm: file does not exist\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			scripts := map[string]string{"maildir2mbox": test.fill}
			if test.reader != "" {
				scripts["elm"] = test.reader
			}
			t.Setenv("PATH", programs(t, scripts)+"/bin")
			code, out, said := become(t, "elq", "-f", "a b")
			if code != test.code || out != test.out || said != test.said {
				t.Errorf("exit %d, %q, %q, want %d, %q, %q", code, out, said, test.code, test.out, test.said)
			}
		})
	}
}
