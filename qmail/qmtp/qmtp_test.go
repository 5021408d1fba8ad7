package qmtp

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/reqmail/reqmail/qmail/netstring"
)

// home makes a qmail home whose queue program leaves what it gets in the file
// it returns.
func home(t *testing.T) (dir, target string) {
	t.Helper()
	dir = t.TempDir()
	target = filepath.Join(dir, "queued")
	if err := os.Mkdir(dir+"/control", 0o755); err != nil {
		t.Fatal(err)
	}
	script := "#!/bin/sh\nexec 3<&1\n{ cat; cat <&3; } > " + target + "\n"
	for name, text := range map[string]string{"control/me": "me\n", "control/rcpthosts": "here\n", "queue": script} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("QMAILQUEUE", dir+"/queue")
	t.Setenv("REQMAIL_HOME", dir)
	return dir, target
}

func serve(t *testing.T, dir, input string, env ...string) (answers string, code int) {
	t.Helper()
	lookup := func(name string) (string, bool) {
		for _, e := range env {
			if v, ok := strings.CutPrefix(e, name+"="); ok {
				return v, true
			}
		}
		return "", false
	}
	var out bytes.Buffer
	s, err := New(dir, lookup, strings.NewReader(input), &out)
	if err != nil {
		t.Fatal(err)
	}
	code = s.Serve()
	return out.String(), code
}

func pack(message, sender string, recipients ...string) string {
	list := ""
	for _, r := range recipients {
		list += netstring.Encode(r)
	}
	return netstring.Encode(message) + netstring.Encode(sender) + netstring.Encode(list)
}

func TestServe(t *testing.T) {
	for _, test := range []struct {
		name, input string
		env         []string
		stored      string // text and envelope; "" for nothing queued
		answers     []string
		code        int
	}{
		{"unix", pack("\nSubject: x\r\n\ntext", "s@x", "r@here"), nil, "Subject: x\r\n\ntextFs@x\x00Tr@here\x00\x00", []string{"Kok "}, ExitDone},
		{"dos", pack("\rA: b\r\n\r\nx\ry\r", "s@x", "r@here"), nil, "A: b\n\nx\ry\rFs@x\x00Tr@here\x00\x00", []string{"Kok "}, ExitDone},
		{"some refused", pack("\nx", "", "r@here", "r@there", "b\x00d@here", strings.Repeat("a", 1000)), nil, "xF\x00Tr@here\x00\x00",
			[]string{"Kok ", answerDomain, answerRecipient, answerRecipient}, ExitDone},
		{"relay client", pack("\nx", "s", "r@there"), []string{"RELAYCLIENT=@via"}, "xFs\x00Tr@there@via\x00\x00", []string{"Kok "}, ExitDone},
		{"too big", pack("\n12345678901", "s", "r@here"), []string{"DATABYTES=10"}, "", []string{answerTooBig}, ExitDone},
		{"too big, dos", pack("\r123456789\r\nx", "s", "r@here"), []string{"DATABYTES=10"}, "", []string{answerTooBig}, ExitDone},
		{"bad sender", pack("\nx", "a\x00b", "r@here"), nil, "", []string{answerSender}, ExitDone},
		{"empty message", "0:,", nil, "", nil, ExitProtocol},
		{"no netstring", "x", nil, "", nil, ExitProtocol},
		{"neither LF nor CR", "1:x,", nil, "", nil, ExitProtocol},
		{"cut off", "5:\nab", nil, "", nil, ExitDone},
		{"inner longer than outer", "2:\nx,0:,3:9:a,", nil, "", nil, ExitProtocol},
		{"far too long", "99999999999:", nil, "", nil, ExitResources},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir, target := home(t)
			answers, code := serve(t, dir, test.input, test.env...)
			if code != test.code {
				t.Errorf("exit %d, want %d", code, test.code)
			}
			for _, want := range test.answers {
				_, after, ok := strings.Cut(answers, ":"+want)
				if !ok {
					t.Fatalf("answers %q, want %q", answers, test.answers)
				}
				answers = after
			}
			queued, _ := os.ReadFile(target)
			_, text, _ := strings.Cut(string(queued), "with QMTP; ")
			_, text, _ = strings.Cut(text, "\n")
			if test.stored != "" && text != test.stored || test.stored == "" && strings.HasSuffix(text, "\x00\x00") {
				t.Errorf("queued %q, want %q", text, test.stored)
			}
		})
	}
}
