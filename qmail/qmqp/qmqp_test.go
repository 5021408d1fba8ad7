package qmqp

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/reqmail/reqmail/compat/status"
	"github.com/reqmail/reqmail/qmail/intake"
	"github.com/reqmail/reqmail/qmail/netstring"
)

func queueProgram(t *testing.T) (target string) {
	t.Helper()
	dir := t.TempDir()
	target = filepath.Join(dir, "queued")
	if err := os.WriteFile(dir+"/queue", []byte("#!/bin/sh\nexec 3<&1\n{ cat; cat <&3; } > "+target+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("QMAILQUEUE", dir+"/queue")
	t.Setenv("REQMAIL_HOME", dir)
	return target
}

func TestServe(t *testing.T) {
	request := func(parts ...string) string {
		all := ""
		for _, p := range parts {
			all += netstring.Encode(p)
		}
		return netstring.Encode(all)
	}
	for _, test := range []struct {
		name, input, stored, answer string
		code                        int
	}{
		{"one", request("text\n", "s@x", "r@y", "q@z"), "text\nFs@x\x00Tr@y\x00Tq@z\x00\x00", "Kok ", ExitDone},
		{"nobody", request("text", ""), "textF\x00\x00", "Kok ", ExitDone},
		{"NUL in an address", request("text", "s", "a\x00b"), "", answerAddress, ExitDone},
		{"long address", request("text", strings.Repeat("x", 1000), "r"), "", answerAddress, ExitDone},
		{"cut off", "9:4:text", "", "", ExitDone},
		{"no netstring", "what", "", "", ExitProtocol},
		{"inner longer than outer", "5:9:abc,", "", "", ExitProtocol},
		{"endless number", strings.Repeat("0", 200) + ":", "", "", ExitProtocol},
	} {
		t.Run(test.name, func(t *testing.T) {
			target := queueProgram(t)
			var out bytes.Buffer
			code := Serve(intake.Peer{RemoteIP: "192.0.2.1"}, strings.NewReader(test.input), &out)
			if code != test.code || !strings.Contains(out.String(), test.answer) || (test.answer == "") != (out.Len() == 0) {
				t.Errorf("exit %d, %q, want %d, %q", code, out.String(), test.code, test.answer)
			}
			queued, _ := os.ReadFile(target)
			_, text, _ := strings.Cut(string(queued), "with QMQP; ")
			_, text, _ = strings.Cut(text, "\n")
			if test.stored != "" && text != test.stored || test.stored == "" && strings.HasSuffix(text, "\x00\x00") {
				t.Errorf("queued %q, want %q", text, test.stored)
			}
		})
	}
}

func TestEncode(t *testing.T) {
	request, code := encode(strings.NewReader("text"), strings.NewReader("Fs@x\x00Tr@y\x00\x00"))
	if want := "19:4:text,3:s@x,3:r@y,,"; code != 0 || strings.Join(request, "") != want {
		t.Errorf("got %q, %d, want %q", request, code, want)
	}
	for _, envelope := range []string{"", "Ts\x00\x00", "Fs\x00Xr\x00\x00", "Fs\x00Tr\x00", "Fs"} {
		if _, code := encode(strings.NewReader(""), strings.NewReader(envelope)); code != status.BadEnvelope {
			t.Errorf("%q: exit %d, want %d", envelope, code, status.BadEnvelope)
		}
	}
}

func TestAddress4(t *testing.T) {
	for entry, want := range map[string]string{"192.0.2.1": "192.0.2.1", "192.0.2.1:x": "192.0.2.1", "192.0.2.1.": "192.0.2.1", "host": "", "1.2.3": ""} {
		addr, ok := address4(entry)
		if ok != (want != "") || ok && addr.String() != want {
			t.Errorf("%q: got %v, %v, want %q", entry, addr, ok, want)
		}
	}
}

func TestNoServers(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(dir+"/control", 0o755); err != nil {
		t.Fatal(err)
	}
	if code := Submit(dir, strings.NewReader(""), strings.NewReader("")); code != status.Unreadable {
		t.Errorf("exit %d, want %d", code, status.Unreadable)
	}
}

func FuzzRequest(f *testing.F) {
	f.Add("Fs\x00Tr\x00\x00")
	f.Fuzz(func(t *testing.T, envelope string) {
		request, code := encode(strings.NewReader("m"), strings.NewReader(envelope))
		if code != 0 {
			return
		}
		whole := strings.Join(request, "")
		size, rest, _ := strings.Cut(whole, ":")
		if n := len(rest) - 1; size != itoa(n) {
			t.Errorf("%q: %q says %s, has %d", envelope, whole, size, n)
		}
	})
}

func itoa(n int) string {
	s, _, _ := strings.Cut(netstring.Encode(strings.Repeat("x", n)), ":")
	return s
}
