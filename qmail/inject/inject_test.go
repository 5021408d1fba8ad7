package inject

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// home makes a home with control files and an environment without surprises.
func home(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "control"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "control/me"), []byte("mx.test.example\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"QMAILINJECT", "QMAILMFTFILE", "QMAILHOST", "MAILHOST", "QMAILSHOST", "QMAILUSER", "MAILUSER",
		"USER", "LOGNAME", "QMAILSUSER", "QMAILNAME", "MAILNAME", "NAME", "QMAILDEFAULTDOMAIN", "QMAILDEFAULTHOST", "QMAILPLUSDOMAIN", "QMAILIDHOST"} {
		if _, set := os.LookupEnv(name); set {
			if s, ok := t.(*testing.T); ok {
				s.Setenv(name, "")
			}
			os.Unsetenv(name)
		}
	}
	return dir
}

// printed runs a message through qmail-inject -n.
func printed(t testing.TB, dir, message string, operands ...string) (string, *Failure) {
	t.Helper()
	config, f := ReadConfig(dir)
	if f != nil {
		return "", f
	}
	var out bytes.Buffer
	m := New(config, time.Unix(1e9, 0), 42)
	m.Print(&out)
	if f := m.SetRecipients(FromOperandsElseHeader, operands); f != nil {
		return "", f
	}
	f = m.Run(strings.NewReader(message))
	return out.String(), f
}

const added = "Date: 9 Sep 2001 01:46:40 -0000\nMessage-ID: <20010909014640.42.qmail@mx.test.example>\n"

func TestHeader(t *testing.T) {
	for _, test := range []struct {
		name, message, want string
		env                 []string
	}{
		{"empty", "", "Return-Path: <anonymous@mx.test.example>\n" + added + "From: anonymous@mx.test.example\nCc: recipient list not shown: ;\n", nil},
		{"from", "To: a\n\nbody", "Return-Path: <bob@h.example>\n" + added + "From: \"Bob B\" <bob@h.example>\nTo: a@mx.test.example\n\nbody\n",
			[]string{"USER=bob", "MAILHOST=h.example", "NAME=Bob B"}},
		{"comment style", "To: a\n", "Return-Path: <bob@mx.test.example>\n" + added + "From: bob@mx.test.example (Bob)\nTo: a@mx.test.example\n",
			[]string{"USER=bob", "QMAILINJECT=c", "NAME=Bob"}},
		{"per message", "To: a\n", "Return-Path: <bob-1000000000.42@mx.test.example>\n" + added + "From: bob@mx.test.example\nTo: a@mx.test.example\n",
			[]string{"USER=bob", "QMAILINJECT=m"}},
		{"per recipient", "To: a\n", "Return-Path: <\"bob-@mx.test.example-\"@[]>\n" + added + "From: bob@mx.test.example\nTo: a@mx.test.example\n",
			[]string{"USER=bob", "QMAILINJECT=r"}},
		{"removed and kept", "Return-Path: x\nBcc: secret\nContent-Length: 7\nSubject: s\nX: y\n z\n\n",
			"Return-Path: <x@mx.test.example>\n" + added + "From: anonymous@mx.test.example\nCc: recipient list not shown: ;\nSubject: s\nX: y\n z\n\n", nil},
		{"resent", "Resent-To: a\nDate: d\nTo: b\n", "Return-Path: <anonymous@mx.test.example>\nResent-" + strings.Replace(added, "Message", "Resent-Message", 1) +
			"Resent-From: anonymous@mx.test.example\nResent-To: a@mx.test.example\nDate: d\nTo: b@mx.test.example\n", nil},
		{"mbox line", "From x y\nTo: a\n", "Return-Path: <anonymous@mx.test.example>\n" + added + "From: anonymous@mx.test.example\nMBOX-Line: From x y\nTo: a@mx.test.example\n", nil},
		{"no header at all", "just text\nmore", "Return-Path: <anonymous@mx.test.example>\n" + added + "From: anonymous@mx.test.example\nCc: recipient list not shown: ;\n\njust text\nmore\n", nil},
		{"unparsable To stays", "To: \"a\n\n", "Return-Path: <anonymous@mx.test.example>\n" + added + "From: anonymous@mx.test.example\nTo: \"a\n\n", nil},
		{"all kinds", "To: a, \"B C\" <b.c@d>, grp: m1, m2@foo.;, plus@foo+, joe@[1.2.3.4]\n", "Return-Path: <anonymous@mx.test.example>\n" + added + "From: anonymous@mx.test.example\n" +
			"To: a@mx.test.example, \"B C\" <b.c@d.mx.test.example>, grp: m1@mx.test.example,\n  m2@foo.mx.test.example;, plus@foo.mx.test.example, joe@[1.2.3.4]\n", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := home(t)
			for _, e := range test.env {
				name, value, _ := strings.Cut(e, "=")
				t.Setenv(name, value)
			}
			got, f := printed(t, dir, test.message)
			if f != nil || got != test.want {
				t.Errorf("got  %q, %v\nwant %q", got, f, test.want)
			}
		})
	}
}

func TestFailures(t *testing.T) {
	dir := home(t)
	for _, test := range []struct {
		message  string
		operands []string
		want     Failure
	}{
		{"From: \"a\n\n", nil, Failure{100, "unable to parse this line:\nFrom: \"a\n"}},
		{"", []string{"a@("}, Failure{100, "unable to parse address: a@(\n"}},
	} {
		_, f := printed(t, dir, test.message, test.operands...)
		if f == nil || *f != test.want {
			t.Errorf("%q %q: got %v, want %v", test.message, test.operands, f, test.want)
		}
	}
	if err := os.Remove(filepath.Join(dir, "control/me")); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "control/idhost"), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, f := printed(t, dir, ""); f == nil || *f != *temporary("read error") {
		t.Errorf("control file that is a directory: got %v", f)
	}
}

// TestEnvelope: recipients and sender as a queue program gets them.
func TestEnvelope(t *testing.T) {
	dir := home(t)
	target := filepath.Join(dir, "queued")
	script := "#!/bin/sh\nexec 3<&1\ncat > /dev/null\ncat <&3 > " + target + "\n"
	if err := os.WriteFile(filepath.Join(dir, "queue"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("QMAILQUEUE", filepath.Join(dir, "queue"))
	t.Setenv("REQMAIL_HOME", dir)
	const header = "To: a, b\nCc: c\nBcc: d\nResent-To: r\n\n"
	for _, test := range []struct {
		name     string
		from     Recipients
		operands []string
		message  string
		want     string
	}{
		{"header", FromHeader, []string{"x"}, "To: a, b\nBcc: c\n\n", "b a c"},
		{"operands", FromOperands, []string{"x", "y z"}, header, "x y z"},
		{"both", FromBoth, []string{"x"}, "To: a\n\n", "x a"},
		{"resent", FromHeader, nil, header, "r"},
		{"none", FromHeader, nil, "Subject: s\n", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			config, f := ReadConfig(dir)
			if f != nil {
				t.Fatal(f)
			}
			m := New(config, time.Now(), 1)
			if f := m.SetSender("s+"); f != nil {
				t.Fatal(f)
			}
			if f := m.SetRecipients(test.from, test.operands); f != nil {
				t.Fatal(f)
			}
			if f := m.Run(strings.NewReader(test.message)); f != nil {
				t.Fatal(f)
			}
			got, _ := os.ReadFile(target)
			want := "Fs+@mx.test.example\x00"
			if test.want != "" {
				for name := range strings.SplitSeq(strings.ReplaceAll(test.want, "y z", "y_z"), " ") {
					want += "T" + strings.ReplaceAll(name, "_", " ") + "@mx.test.example\x00"
				}
			}
			if string(got) != want+"\x00" {
				t.Errorf("got %q, want %q", got, want+"\x00")
			}
		})
	}
}

func FuzzMessage(f *testing.F) {
	dir := home(f)
	for _, seed := range []string{"", "To: a\n\nb", "From x\n y\n", "Resent-Bcc: <@a:b>\n", "Return-Path: <>\n\n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, message string) {
		out, failure := printed(t, dir, message)
		if failure == nil && !strings.HasSuffix(out, "\n") {
			t.Errorf("%q: %q has no newline at its end", message, out)
		}
	})
}
