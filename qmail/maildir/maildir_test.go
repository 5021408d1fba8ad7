package maildir

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"
)

// inMaildir makes a Maildir the current directory, beside where an mbox may
// be.
func inMaildir(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for _, sub := range []string{"", "/tmp", "/new", "/cur"} {
		if err := os.Mkdir(dir+"/Maildir"+sub, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	at := time.Unix(1e9, 0)
	for name, text := range files {
		path := dir + "/Maildir/" + name
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
		at = at.Add(time.Hour)
	}
	t.Chdir(dir + "/Maildir")
	return dir
}

func environment(dir string) func(string) (string, bool) {
	env := map[string]string{"MAILDIR": dir + "/Maildir", "MAIL": dir + "/mbox", "MAILTMP": dir + "/mbox.tmp"}
	return func(name string) (string, bool) { v, ok := env[name]; return v, ok }
}

func TestToMbox(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{"Return-Path: <a b@c>\nFrom x\n", "From a-b@c Sun Sep 09 01:46:40 2001\nReturn-Path: <a b@c>\n>From x\n\n"},
		{"Return-Path: <>\n", "From MAILER-DAEMON Sun Sep 09 01:46:40 2001\nReturn-Path: <>\n\n"},
		{"no return path\nlast", "From XXX Sun Sep 09 01:46:40 2001\nno return path\nlast\n\n"}, // qmail loses that line
		{"", "From XXX Sun Sep 09 01:46:40 2001\n\n"},
	} {
		dir := inMaildir(t, map[string]string{"new/1": test.text})
		if err := os.WriteFile(dir+"/mbox", []byte("old\n\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := ToMbox(environment(dir), time.Now(), func(w string) { t.Error(w) }); err != nil {
			t.Fatal(err)
		}
		if got, _ := os.ReadFile(dir + "/mbox"); string(got) != "old\n\n"+test.want {
			t.Errorf("%q: got %q, want %q", test.text, got, test.want)
		}
		if left, _ := os.ReadDir("new"); len(left) > 0 {
			t.Errorf("still in new: %v", left)
		}
	}
}

func TestToMboxTrouble(t *testing.T) {
	dir := inMaildir(t, map[string]string{"new/1": "x\n"})
	env := environment(dir)
	if err := os.Mkdir(dir+"/mbox.tmp", 0o700); err != nil {
		t.Fatal(err)
	}
	err := ToMbox(env, time.Now(), func(string) {})
	if err == nil || !strings.HasPrefix(err.Error(), "unable to create "+dir+"/mbox.tmp: ") {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat("new/1"); err != nil {
		t.Error("the message is gone")
	}
	if err := ToMbox(func(string) (string, bool) { return "", false }, time.Now(), nil); err == nil || err.Error() != "MAIL not set" {
		t.Errorf("got %v", err)
	}
}

func TestScanAndClean(t *testing.T) {
	inMaildir(t, map[string]string{"new/b": "", "cur/a": "12", "tmp/old": "", "new/.hidden": ""})
	if err := os.WriteFile("new/now", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	soon := time.Now().Add(time.Minute)
	if err := os.Chtimes("new/now", soon, soon); err != nil {
		t.Fatal(err)
	}
	Clean(time.Now().Unix())
	if left, _ := os.ReadDir("tmp"); len(left) > 0 {
		t.Error("an old file is still in tmp")
	}
	messages, err := Scan(time.Now().Unix(), "new", "cur")
	if err != nil || len(messages) != 2 {
		t.Fatalf("got %v, %v", messages, err)
	}
	if messages[0].Mtime > messages[1].Mtime {
		t.Error("the oldest comes first")
	}
	os.RemoveAll("cur")
	if _, err := Scan(time.Now().Unix(), "new", "cur"); err == nil {
		t.Error("no error for a directory that is not there")
	}
}

func TestShow(t *testing.T) {
	inMaildir(t, map[string]string{"new/1": "Return-Path: <s@x>\nDelivered-To: r@y\nFrom: me\x1b[31m\nSubject: hi\n\nbody\n"})
	var out bytes.Buffer
	if err := Show(&out, time.Now()); err != nil {
		t.Fatal(err)
	}
	want := clearScreen + "FROM <s@x> TO <r@y>\n" + bold + "From: me/[31m" + plain + "\nhi//body/\n\n"
	if out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
}
