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

func TestWideCommand(t *testing.T) {
	var p CommandParser
	for _, test := range []struct {
		sent string
		want Command
	}{
		{"\xff0255:7/30\x00s\x00r\x00", Command{Slot: 255, Mess: "7/30", Sender: "s", Recipient: "r"}},
		{"\xff1999:7/30\x00s\x00r\x00", Command{Slot: 1999, Mess: "7/30", Sender: "s", Recipient: "r"}},
		{"\xffreqmail wide slots 1\x00\x00\x00", Probe()},
		{"\xff7/30\x00s\x00r\x00", Command{Slot: NoSlot, Mess: "7/30", Sender: "s", Recipient: "r"}},
		{"\xff0254:7\x00\x00\x00", Command{Slot: NoSlot, Mess: "0254:7"}}, // has a narrow number
		{"\xff2000:7\x00\x00\x00", Command{Slot: NoSlot, Mess: "2000:7"}},
		{"\xff 300:7\x00\x00\x00", Command{Slot: NoSlot, Mess: " 300:7"}},
		{"\xff0300\x00\x00\x00", Command{Slot: NoSlot, Mess: "0300"}},
	} {
		p.Add([]byte(test.sent))
		got, ok := p.Next()
		if !ok || got != test.want {
			t.Errorf("%q: got %+v, %v", test.sent, got, ok)
		}
		if again := string(got.Append(nil)); again != test.sent {
			t.Errorf("%q is sent as %q", test.sent, again)
		}
	}
}

func TestProbeAnswer(t *testing.T) {
	for _, test := range []struct {
		text  string
		slots int
	}{
		{"Kreqmail wide slots 1 2000", 2000},
		{"Kreqmail wide slots 1 2001", 0},
		{"Kreqmail wide slots 1 0", 0},
		{"Kreqmail wide slots 2 500", 0},
		{"Zreqmail wide slots 1 500", 0},
		{"ZInternal error: delnum too big. (#4.3.5)\n", 0},
	} {
		got := reports([]byte("\xff" + test.text + "\x00"))
		if len(got) != 1 || got[0].Slot != NoSlot {
			t.Fatalf("%q: %+v", test.text, got)
		}
		if slots, ok := got[0].ProbedSlots(); ok != (test.slots > 0) || ok && slots != test.slots {
			t.Errorf("%q: got %d, %v", test.text, slots, ok)
		}
	}
	if got := reports(ProbeAnswer(700).Append(nil)); len(got) != 1 {
		t.Errorf("got %+v", got)
	} else if slots, ok := got[0].ProbedSlots(); !ok || slots != 700 {
		t.Errorf("got %d, %v", slots, ok)
	}
}

func TestProgress(t *testing.T) {
	p := Progress{"sending", "mx.example [127.0.0.1]", 5, 1 << 40}
	got := reports(p.Report(1234).Append(nil))
	if len(got) != 1 || got[0].Slot != 1234 || got[0].Status != Progressing {
		t.Fatalf("got %+v", got)
	}
	if again, ok := ParseProgress(got[0].Text); !ok || again != p {
		t.Errorf("got %+v, %v", again, ok)
	}
	odd := Progress{Phase: "a\nb", Host: strings.Repeat("h\x00", 300)}
	got = reports(odd.Report(0).Append(nil))
	if again, ok := ParseProgress(got[0].Text); len(got) != 1 || !ok || again.Phase != "a b" || len(again.Host) != MaxProgressText {
		t.Errorf("got %+v, %v", again, ok)
	}
	for _, text := range []string{"", "sending", "s\n1\n2", "s\n-1\n2\nh", "s\n1\nx\nh"} {
		if p, ok := ParseProgress([]byte(text)); ok {
			t.Errorf("%q: %+v", text, p)
		}
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
		{"wide", "\xffK0300:ok\x00", []Report{{300, 'K', []byte("ok")}}},
		{"wide, cut at the same place", "\xffK0300:" + long + "\x00", []Report{{300, 'K', []byte(long[:MaxReport-2])}}},
		{"no slot", "\xffKok\x00", []Report{{NoSlot, 'K', []byte("ok")}}},
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
			if p, ok := ParseProgress(r.Text); ok && (len(p.Host) > MaxProgressText || p.Sent < 0) {
				t.Errorf("%q: %+v", r.Text, p)
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
