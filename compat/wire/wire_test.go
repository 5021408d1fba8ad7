package wire

import (
	"bytes"
	"strings"
	"testing"
)

func TestCommand(t *testing.T) {
	c := Command{Slot: 0, Mess: "7/30", Sender: "s@x", Recipient: "r@y"}
	sent := c.Append(nil)
	if want := "\x007/30\x00s@x\x00r@y\x00"; string(sent) != want {
		t.Fatalf("sent %q, want %q", sent, want)
	}
	var p CommandParser
	p.Add(append(sent, sent[:3]...))
	if got, ok := p.Next(); !ok || got != c {
		t.Errorf("got %+v, %v", got, ok)
	}
	if got, ok := p.Next(); ok {
		t.Errorf("half a command is one: %+v", got)
	}
	p.Add(sent[3:])
	if got, ok := p.Next(); !ok || got != c {
		t.Errorf("in two pieces: got %+v, %v", got, ok)
	}
}

func reports(data []byte) (all []Report) {
	var p ReportParser
	for _, c := range data {
		if r, ok := p.Feed(c); ok {
			all = append(all, r)
		}
	}
	return all
}

func TestReports(t *testing.T) {
	long := strings.Repeat("x", 20000)
	for _, test := range []struct {
		name, data string
		want       []Report
	}{
		{"slot 0", "\x00Kok\x00", []Report{{0, 'K', []byte("ok")}}}, // the slot number is a NUL, and no end
		{"two", "\x01Z\x00\x02Dno\x00", []Report{{1, 'Z', []byte{}}, {2, 'D', []byte("no")}}},
		{"nothing but a slot", "\x05\x00", []Report{{5, 0, nil}}},
		{"cut", "\x01K" + long + "\x00", []Report{{1, 'K', []byte(long[:MaxReport-2])}}},
		{"unfinished", "\x01Kok", nil},
	} {
		got := reports([]byte(test.data))
		if len(got) != len(test.want) {
			t.Errorf("%s: got %d reports, want %d", test.name, len(got), len(test.want))
			continue
		}
		for i, r := range got {
			w := test.want[i]
			if r.Slot != w.Slot || r.Status != w.Status || !bytes.Equal(r.Text, w.Text) {
				t.Errorf("%s: got %d %c %.20q, want %d %c %.20q", test.name, r.Slot, r.Status, r.Text, w.Slot, w.Status, w.Text)
			}
		}
	}
}

func TestCleanRequest(t *testing.T) {
	for _, test := range []struct {
		line string
		want CleanRequest
		ok   bool
	}{
		{"foop/1", CleanRequest{CleanMess, 1}, true},
		{"todo/12345678901", CleanRequest{CleanTodo, 12345678901}, true},
		{"foop/", CleanRequest{}, false},
		{"foop/1a2b", CleanRequest{}, false}, // qmail runs a part of it
		{"mess/1", CleanRequest{}, false},
		{"foop1", CleanRequest{}, false},
		{"", CleanRequest{}, false},
		{"todo/" + strings.Repeat("1", 95), CleanRequest{}, false},
	} {
		got, ok := ParseCleanRequest([]byte(test.line))
		if ok != test.ok || ok && got != test.want {
			t.Errorf("%q: got %v, %v, want %v, %v", test.line, got, ok, test.want, test.ok)
		}
		if ok && got.String() != test.line {
			t.Errorf("%q is written as %q", test.line, got)
		}
	}
}

func FuzzReports(f *testing.F) {
	f.Add([]byte("\x00K\x00"))
	f.Add([]byte{0, 0, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, r := range reports(data) {
			if len(r.Text) > MaxReport {
				t.Errorf("%d bytes kept", len(r.Text))
			}
			if bytes.IndexByte(r.Text, 0) >= 0 {
				t.Errorf("a NUL in %q", r.Text)
			}
		}
	})
}

func FuzzCleanRequest(f *testing.F) {
	f.Add([]byte("foop/1"))
	f.Fuzz(func(t *testing.T, line []byte) {
		if r, ok := ParseCleanRequest(line); ok && (r.Kind != CleanMess && r.Kind != CleanTodo || len(line) < MinCleanRequest-1) {
			t.Errorf("%q: %+v", line, r)
		}
	})
}
