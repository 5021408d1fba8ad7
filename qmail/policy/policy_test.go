package policy

import (
	"slices"
	"strings"
	"testing"
	"time"
)

const example = `# what goes where
pass sender=boss@*

hold sender=*@spam.example size>100
hold:legal header="Subject: *secret plan*"
archive domain=*.example recipient=a*
archive:keep relay=10.0.0.*
postpone:22:30 size>1000000
`

func TestDecide(t *testing.T) {
	p, errs := Parse(example)
	if errs != nil || !p.NeedsText() || p.Empty() {
		t.Fatal(errs)
	}
	for _, test := range []struct {
		name    string
		message Message
		want    string
	}{
		{"passes before the rule that would hold it", Message{Sender: "boss@spam.example", Size: 500}, ""},
		{"held", Message{Sender: "x@SPAM.example", Size: 101}, "hold quarantine 4"},
		{"too small for it", Message{Sender: "x@spam.example", Size: 100}, ""},
		{"header", Message{Header: []string{"To: x", "subject: a Secret  plan", "Subject: my secret plan B"}}, "hold legal 5"},
		{"two conditions on recipients", Message{Recipients: []string{"x@b.example", "ab@c.test"}}, "archive archive 6"},
		{"one of them only", Message{Recipients: []string{"x@b.example"}}, ""},
		{"relay", Message{Relay: "10.0.0.7"}, "archive keep 7"},
		{"null sender, big", Message{Size: 1000001}, "postpone  8"},
		{"nothing", Message{Sender: "x@y"}, ""},
	} {
		got := ""
		if r, ok := p.Decide(&test.message); ok {
			got = strings.Join([]string{string(r.Action), r.Area + r.User, string(rune('0' + r.Line))}, " ")
		}
		if got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
	var none *Policy
	if _, ok := none.Decide(&Message{}); ok || !none.Empty() || none.NeedsText() {
		t.Error("no policy decides")
	}
}

func TestCheck(t *testing.T) {
	for line, want := range map[string]string{
		"drop sender=x":                "unknown action",
		"pass:x":                       "takes nothing",
		"postpone size>1":              "time of day",
		"postpone:25:00":               "time of day",
		"hold size=1":                  "compared by",
		"hold size>x":                  "not a size",
		"hold sender":                  "not a condition",
		"hold sender=":                 "NAME=GLOB",
		"hold colour=red":              "unknown condition",
		`hold header="x`:               "does not end",
		"hold: sender=x":               "missing",
		"archive:../x":                 "plain word",
		"hold sender=" + long:          "too long",
		"archive:a@b":                  "plain word",
		"hold sender<x":                "NAME=GLOB",
		"# hold sender":                "",
		"hold":                         "",
		`hold:a-b_c.1 sender="a b"`:    "",
		"postpone:00:00 sender=<>":     "",
		"pass header=\"X-Spam: *, *\"": "",
	} {
		errs := Check("\n" + line + "\n")
		switch {
		case want == "" && errs != nil:
			t.Errorf("%q: %v", line, errs)
		case want != "" && (len(errs) != 1 || !strings.Contains(errs[0].Error(), want) || !strings.HasPrefix(errs[0].Error(), "line 2: ")):
			t.Errorf("%.40q: %v, want %q", line, errs, want)
		}
	}
}

var long = strings.Repeat("x", maxWord+1)

func TestNext(t *testing.T) {
	zone, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Skip("no time zones: ", err)
	}
	r := Rule{At: 22*time.Hour + 30*time.Minute}
	for now, want := range map[string]string{
		"2026-11-25 10:00": "2026-11-25 22:30",
		"2026-11-25 22:30": "2026-11-26 22:30",
		"2026-10-25 01:00": "2026-10-25 22:30", // a day of 25 hours
		"2026-12-31 23:00": "2027-01-01 22:30",
	} {
		at, err := time.ParseInLocation("2006-01-02 15:04", now, zone)
		if err != nil {
			t.Fatal(err)
		}
		if got := r.Next(at).Format("2006-01-02 15:04"); got != want {
			t.Errorf("%s: %s, want %s", now, got, want)
		}
	}
}

func TestFields(t *testing.T) {
	const network = "Received: (qmail 7 invoked from network); 25 Nov 2026 10:00:00 -0000\n"
	for _, test := range []struct{ text, relay string }{
		{network + "Received: from mx.example (HELO x) (192.0.2.1)\n  by me with SMTP; 25 Nov\nSubject: a\n b\n\nbody: c\n", "192.0.2.1"},
		{network + "Received: from unknown (HELO x) (joe@2001:db8::1)\n  by me with ESMTP; 25 Nov\n", "2001:db8::1"},
		{network + "Subject: x\n", "local"},
		{"Received: (qmail 7 invoked by uid 0); 25 Nov\nReceived: from x (192.0.2.1)\n by me\n", "local"}, // its sender wrote the second one
		{network + "Received: from x )( by me\n", "local"},
		{"", "local"},
		{" starts with a blank\n", "local"},
	} {
		if _, relay := Fields([]byte(test.text)); relay != test.relay {
			t.Errorf("%q: relay %q, want %q", test.text, relay, test.relay)
		}
	}
	fields, _ := Fields([]byte("A: b\r\n\tc\r\nD: e\r\n\r\nF: g\r\n"))
	if !slices.Equal(fields, []string{"A: b c", "D: e"}) {
		t.Errorf("fields %q", fields)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(example)
	f.Fuzz(func(t *testing.T, text string) {
		p, _ := Parse(text)
		p.Decide(&Message{Sender: "a@b", Recipients: []string{"c@d"}, Size: 1, Header: []string{"Subject: x"}, Relay: "local"})
	})
}

func FuzzFields(f *testing.F) {
	f.Add([]byte("Received: (qmail 7 invoked from network)\nReceived: from x (1.2.3.4)\n by me\n\n"))
	f.Fuzz(func(_ *testing.T, text []byte) { Fields(text) })
}
