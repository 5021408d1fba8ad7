package manage

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/reqmail/reqmail/compat/steer"
	"github.com/reqmail/reqmail/queue"
)

func TestSpan(t *testing.T) {
	for text, want := range map[string]int64{"0": 0, "90s": 90, "15m": 900, "2h": 7200, "1d12h": 129600, "1w": 604800} {
		if got, err := Span(text); err != nil || got != want {
			t.Errorf("%q: %d, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "h", "90", "-1h", "+1h", "1x", "1h30", "1.5h", " 1h", "99999999999999999999s", "999999w"} {
		if got, err := Span(text); err == nil {
			t.Errorf("%q is taken for %d", text, got)
		}
	}
}

func TestSize(t *testing.T) {
	for text, want := range map[string]int64{"0": 0, "500": 500, "10k": 10240, "2M": 2 << 20, "1g": 1 << 30} {
		if got, err := Size(text); err != nil || got != want {
			t.Errorf("%q: %d, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "k", "-1", "1.5M", "1t", "99999999999"} {
		if got, err := Size(text); err == nil {
			t.Errorf("%q is taken for %d", text, got)
		}
	}
}

func TestTime(t *testing.T) {
	now := time.Date(2026, 11, 25, 14, 0, 0, 0, time.UTC)
	for text, want := range map[string]string{
		"+2h": "2026-11-25T16:00:00Z", "22:30": "2026-11-25T22:30:00Z",
		"09:00": "2026-11-26T09:00:00Z", "14:00": "2026-11-26T14:00:00Z", // the next one
		"2026-12-01": "2026-12-01T00:00:00Z", "2026-12-01 08:15": "2026-12-01T08:15:00Z",
		"2026-12-01T08:15:00+01:00": "2026-12-01T07:15:00Z", "@0": "1970-01-01T00:00:00Z",
	} {
		if got, err := Time(text, now); err != nil || got.UTC().Format(time.RFC3339) != want {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "+", "+x", "+5", "5m", "@", "@-1", "24:00", "2026-13-01", "tomorrow", "now"} {
		if got, err := Time(text, now); err == nil {
			t.Errorf("%q is taken for %v", text, got)
		}
	}
}

func FuzzWords(f *testing.F) {
	f.Add("1d12h")
	f.Add("2026-11-25 22:30")
	f.Fuzz(func(t *testing.T, text string) {
		if n, err := Span(text); err == nil && (n < 0 || n > maxSpan) {
			t.Errorf("span %d", n)
		}
		if n, err := Size(text); err == nil && n < 0 {
			t.Errorf("size %d", n)
		}
		_, _ = Time(text, time.Unix(0, 0))
	})
}

func TestWords(t *testing.T) {
	f, err := Words{Area: "deferred", Older: "1h", Larger: "1k"}.Filter()
	if err != nil || f.Area != "" || !slices.Equal(f.States, []steer.State{steer.Deferred}) || f.MinAge != 3600 || f.MinSize != 1024 {
		t.Errorf("%+v, %v", f, err)
	}
	f, err = Words{MaxTries: "0", Smaller: "0", Newer: "0", MinTries: "0"}.Filter()
	if err != nil || f.MaxTries == nil || *f.MaxTries != 0 || f.MaxSize == nil || *f.MaxSize != 0 || f.MaxAge == nil || *f.MaxAge != 0 {
		t.Errorf("bounds of 0: %+v, %v", f, err)
	}
	for _, w := range []Words{{MaxTries: "0"}, {MinTries: "0"}, {Larger: "0"}, {Older: "0"}} {
		if w.Empty() {
			t.Errorf("%+v is taken for no filter", w)
		}
	}
	var mistake *UsageError
	for _, w := range []Words{{Older: "x"}, {MaxTries: "x"}, {MinTries: "-1"}, {States: []string{"x"}}, {Channel: "x"}, {Older: "2h", Newer: "1h"}} {
		if _, err := w.Filter(); !errors.As(err, &mistake) || w.Empty() {
			t.Errorf("%+v: %v", w, err)
		}
	}
}

func TestSafe(t *testing.T) {
	for in, want := range map[string]string{
		"plain": "plain", "größe 日本": "größe 日本", "\x1b[2J": `\x1b[2J`, "a\nb\tc\x7f": `a\x0ab\x09c\x7f`, "\xff\xc3": `\xff\xc3`,
		"\u202e": `\u{202e}`, "\u009b": `\u{9b}`, `\x1b`: `\\x1b`, "\ufffd": "\ufffd",
	} {
		if got := Safe(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func FuzzSafe(f *testing.F) {
	f.Add("\x1b[31m\xff\u202e日本")
	f.Fuzz(func(t *testing.T, s string) {
		safe := Safe(s)
		text, err := safeJSON(s)
		if err != nil {
			t.Fatal(err)
		}
		for _, shown := range []string{safe, string(text)} {
			if !utf8.ValidString(shown) || strings.ContainsFunc(shown, func(r rune) bool { return !unicode.IsPrint(r) }) {
				t.Errorf("%q is shown as %q", s, shown)
			}
		}
		var back string
		if err := json.Unmarshal(text, &back); err != nil || back != strings.ToValidUTF8(s, "\ufffd") && utf8.ValidString(s) {
			t.Errorf("%q comes back as %q, %v", s, back, err)
		}
		if n := columnsOf(clip(safe, 10)); n > 10 {
			t.Errorf("%q takes %d columns", safe, n)
		}
	})
}

func TestClip(t *testing.T) {
	for in, want := range map[string]string{"short": "short", "exactly8": "exactly8", "far too long": "far too…", "日本語日本語": "日本語…"} {
		if got := clip(in, 8); got != want {
			t.Errorf("%q: %q", in, got)
		}
	}
}

func TestTexts(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1.0K", 10239: "10K", 1 << 20: "1.0M", 5 << 40: "5.0T"} {
		if got := sizeText(n); got != want {
			t.Errorf("%d: %s", n, got)
		}
	}
	for n, want := range map[int64]string{0: "0s", 59: "59s", 3600: "1h", 3661: "1h1m", 90000: "1d1h", 86401: "1d", -5: "-5s"} {
		if got := spanText(n); got != want {
			t.Errorf("%d: %s", n, got)
		}
	}
}

func TestSchedules(t *testing.T) {
	imsva := Postfix{QueueRunDelay: 900, MinimalBackoffTime: 900, MaximalBackoffTime: 3600, MaximalQueueLifetime: 86400}
	for _, test := range []struct {
		schedule Schedule
		ages     []int64
	}{
		{Qmail{queue.Local, 604800}, []int64{0, 100, 400, 900, 1600}},
		{Qmail{queue.Remote, 604800}, []int64{0, 400, 1600, 3600, 6400}},
		{Qmail{queue.Remote, 1000}, []int64{0, 400, 1600}}, // the last try is behind the lifetime
		{Postfix{300, 300, 4000, 432000}, []int64{0, 300, 600, 1200, 2400, 4800, 9000}},
		{imsva, []int64{0, 900, 1800, 3600, 7200, 10800}}, // as its manual has it: 15, 30, then each 60 minutes
		{SpamExperts{345600}, []int64{0, 900, 1800, 2700, 3600, 4500, 5400, 6300, 7200, 10800, 16200, 24300, 36450, 54675, 82012, 103612}},
	} {
		if got := tries(test.schedule, 0, len(test.ages)); !slices.Equal(got, test.ages) {
			t.Errorf("%+v: %v, want %v", test.schedule, got, test.ages)
		}
	}
	if n := len(tries(imsva, 0, 100)); n != 28 { // 15, 30 and 60 minutes, then hours 2 to 25
		t.Errorf("%d tries within a day", n)
	}
	if n := len(tries(SpamExperts{345600}, 0, 100)); n > 40 {
		t.Errorf("%d tries within four days", n)
	}
}

// fake is a queue of messages without sender; acts are counted.
type fake struct {
	Files
	list []steer.Name
	acts []steer.Act
}

func (f *fake) List(_ steer.Query, each func(steer.Message) error) (int, error) {
	for _, n := range f.list {
		if err := each(steer.Message{Name: n}); err != nil {
			return 0, err
		}
	}
	return len(f.list), nil
}

func (f *fake) Show(n steer.Name) (steer.Message, error) {
	for _, have := range f.list {
		if have.ID == n.ID {
			return steer.Message{Name: have}, nil
		}
	}
	return steer.Message{}, &steer.Error{Text: "there is no such message"}
}

func (f *fake) Act(a steer.Act) (steer.Result, error) {
	f.acts = append(f.acts, a)
	return steer.Result{Touched: len(a.Names)}, nil
}

func TestConsent(t *testing.T) {
	three := []steer.Name{{ID: 1, Birth: 5}, {ID: 2, Birth: 6}, {ID: 3, Birth: 7}}
	for _, test := range []struct {
		name    string
		order   Order
		touched int
		refused bool
	}{
		{"a filter, agreed to", Order{Words: Words{Sender: "*"}, Consent: Consent{Ask: strings.NewReader("y\n")}}, 3, false},
		{"not agreed to", Order{Words: Words{Sender: "*"}, Consent: Consent{Ask: strings.NewReader("n\n")}}, 0, true},
		{"only return typed", Order{All: true, Consent: Consent{Ask: strings.NewReader("\n")}}, 0, true},
		{"nobody to ask", Order{All: true}, 0, true},
		{"agreed before", Order{All: true, Consent: Consent{Yes: true}}, 3, false},
		{"dry run", Order{All: true, Act: steer.Act{DryRun: true}}, 3, false},
		{"one message", Order{Messages: []string{"2"}}, 1, false},
		{"one with its birth", Order{Messages: []string{"2.6"}}, 1, false},
		{"nothing said", Order{}, 0, true},
		{"names and a filter", Order{Messages: []string{"2"}, Words: Words{Sender: "*"}}, 0, true},
		{"all and a filter", Order{All: true, Words: Words{Sender: "*"}, Consent: Consent{Yes: true}}, 0, true},
		{"no name", Order{Messages: []string{"x"}}, 0, true},
	} {
		q := &fake{list: three}
		var out, asked bytes.Buffer
		test.order.Verb = steer.Hold
		err := Act(&Screen{Out: &out, Err: &asked}, q, test.order)
		var mistake *UsageError
		refused := errors.As(err, &mistake)
		if test.order.Ask != nil && err == ErrLook {
			refused = strings.HasSuffix(asked.String(), "[y/N] reqmail: nothing is done\n")
		}
		touched := 0
		for _, a := range q.acts {
			touched += len(a.Names)
			if slices.ContainsFunc(a.Names, func(n steer.Name) bool { return n.Birth == 0 }) || a.Filter != nil {
				t.Errorf("%s: %+v", test.name, a)
			}
		}
		if touched != test.touched || refused != test.refused || err != nil && !test.refused {
			t.Errorf("%s: %d touched, %v", test.name, touched, err)
		}
	}
	q := &fake{list: three}
	if err := Act(&Screen{Out: &bytes.Buffer{}}, q, Order{Messages: []string{"9", "1"}}); err != ErrLook || len(q.acts) != 1 {
		t.Errorf("one that is not there: %v, %v", err, q.acts)
	}
}

// log writes a log and opens it.
func log(t *testing.T, text string) *Logs {
	t.Helper()
	path := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := OpenLogs([]string{path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return l
}

// Number 7 is one message, later another; its bounce is 8. Delivery numbers
// begin again when qmail-send does.
const someLog = `Nov 25 14:00:00 host qmail: 1795600000.1 new msg 7
Nov 25 14:00:00 host qmail: 1795600000.2 info msg 7: bytes 200 from <ann@a.example> qp 1 uid 2
Nov 25 14:00:00 host sshd[1]: something else
Nov 25 14:00:00 host qmail: 1795600000.3 starting delivery 1: msg 7 to remote bob@b.example
Nov 25 14:00:01 host qmail: 1795600001.1 delivery 1: failure: no_such_user
Nov 25 14:00:01 host qmail: 1795600001.2 bounce msg 7 qp 33
Nov 25 14:00:01 host qmail: 1795600001.3 end msg 7
Nov 25 14:00:02 host qmail: 1795600002.1 new msg 8
Nov 25 14:00:02 host qmail: 1795600002.2 info msg 8: bytes 700 from <> qp 33 uid 2
Nov 25 14:00:02 host qmail: 1795600002.3 starting delivery 1: msg 8 to local ann@a.example
Nov 25 14:00:02 host qmail: 1795600002.4 delivery 1: success: did_1+0+0/
Nov 25 14:00:02 host qmail: 1795600002.5 end msg 8
Nov 25 15:00:00 host qmail: 1795603600.1 new msg 7
Nov 25 15:00:00 host qmail: 1795603600.2 info msg 7: bytes 100 from <eve@e.example> qp 5 uid 2
Nov 25 15:00:00 host qmail: 1795603600.3 starting delivery 2: msg 7 to remote carl@c.example
Nov 25 15:00:01 host qmail: 1795603601.1 delivery 2: deferral: busy
Nov 25 15:00:02 host qmail: 1795603602.1 steer msg 7: held
`

func TestTrace(t *testing.T) {
	for what, want := range map[string]int{
		"7": 16, "8": 5, "ann@a.example": 11, "bob@*": 11, "*@c.example": 5, "<>": 5, "9": 0, "x@y.example": 0,
	} {
		var out bytes.Buffer
		err := Trace(&Screen{Out: &out}, log(t, someLog), what, time.Time{}, time.Time{})
		if n := strings.Count(out.String(), "\n"); n != want || (err == nil) != (want > 0) {
			t.Errorf("%s: %d lines, want %d, %v:\n%s", what, n, want, err, &out)
		}
	}
	var out bytes.Buffer
	if err := Trace(&Screen{Out: &out, JSON: true}, log(t, someLog), "7", time.Unix(1795603000, 0), time.Time{}); err != nil {
		t.Fatal(err)
	}
	var lines []traced
	if err := json.Unmarshal(out.Bytes(), &lines); err != nil || len(lines) != 5 || lines[0].Time != 1795603600 || lines[4].Text != "steer msg 7: held" {
		t.Errorf("%+v, %v", lines, err)
	}
}

func TestReport(t *testing.T) {
	r, err := logTops(log(t, someLog), time.Time{}, time.Unix(1795603600, 0), 2)
	if err != nil || r.Messages != 3 || r.Bytes != 1000 || r.Delivered != 1 || r.Failed != 1 || r.Deferred != 0 ||
		len(r.Senders) != 2 || r.Senders[0] != (Share{"<>", 1, 700}) || r.Reasons[0].What != "failure: no_such_user" {
		t.Errorf("%+v, %v", r, err)
	}
}

// A message is shown in two lines of 80 columns, whatever is in it.
func TestListed(t *testing.T) {
	var out bytes.Buffer
	s := &Screen{Out: &out, Width: 80}
	s.listed(&steer.Message{
		Name: steer.Name{ID: 18446744073709551615, Birth: 5}, State: steer.Suspended, Size: 1 << 40, Tries: 123456,
		Sender: strings.Repeat("日", 300), Count: 3, Left: 3,
		Recipients: []steer.Recipient{{Address: strings.Repeat("x\x1b", 500), Reason: strings.Repeat("\n\xff", 500)}},
	})
	lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	if len(lines) != 2 || columnsOf(lines[0]) > 80 || columnsOf(lines[1]) > 80 || strings.Contains(out.String(), "\x1b") {
		t.Errorf("%q", lines)
	}
}

// On a narrow terminal the addresses have lines of their own.
func TestListedNarrow(t *testing.T) {
	var out bytes.Buffer
	s := &Screen{Out: &out, Width: 60}
	s.listed(&steer.Message{
		Name: steer.Name{ID: 7, Birth: 5}, State: steer.Deferred, Tries: steer.TriesUnknown, Sender: "ann@a.example", Count: 1,
		Recipients: []steer.Recipient{{Address: "bob@b.example", Reason: "one\ntwo\n"}},
	})
	lines := strings.Split(out.String(), "\n")
	if len(lines) != 4 || !strings.Contains(lines[0], "    - deferred") || lines[1] != "  from ann@a.example" || lines[2] != "  to bob@b.example: one/two" {
		t.Errorf("%q", lines)
	}
}

// Long text is cut between words; what has none, anywhere.
func TestWrapped(t *testing.T) {
	for text, want := range map[string]string{
		"I could not find any host by that name. (#4.1.2)": "  I could not find any host\n  by that name. (#4.1.2)\n",
		strings.Repeat("x", 40):                            "  " + strings.Repeat("x", 28) + "\n  " + strings.Repeat("x", 12) + "\n",
		"short":                                            "  short\n",
	} {
		var out bytes.Buffer
		(&Screen{Out: &out, Width: 30}).wrapped("  ", text)
		if out.String() != want {
			t.Errorf("%q: %q, want %q", text, &out, want)
		}
	}
}

func TestTops(t *testing.T) {
	for who, want := range map[string]string{"": "<>", "#@[]": "#@[]", "ann@A.example": "a.example", "root": "root"} {
		if got := domainOf(who); got != want {
			t.Errorf("domain of %q: %q, want %q", who, got, want)
		}
	}
	tops := Tops{Senders: []Share{{"ann@a.example", 3, 2048}}, Reasons: []Share{{"one\ntwo", 2, 0}}}
	for width, want := range map[int]string{
		0: "queue\tsenders\t3\t2048\tann@a.example\nqueue\treasons\t2\t-\tone/two\n",
		80: bold + "queue: senders" + plain + "\n   COUNT BYTES  SENDER\n       3  2.0K  ann@a.example\n" +
			bold + "queue: reasons" + plain + "\n   COUNT BYTES  REASON\n       2     -  one/two\n",
	} {
		var out bytes.Buffer
		(&Screen{Out: &out, Width: width}).tops("queue", tops)
		if out.String() != want {
			t.Errorf("width %d: %q, want %q", width, &out, want)
		}
	}
}

func TestHeldShown(t *testing.T) {
	var out bytes.Buffer
	(&Screen{Out: &out}).message(&steer.Message{Tries: 2, State: steer.Held, Hold: &steer.HoldOrder{Since: 5}})
	if !strings.Contains(out.String(), "tries     2; none while it is held\n") {
		t.Errorf("%s", &out)
	}
	out.Reset()
	q := &fake{}
	if err := Status(&Screen{Out: &out}, q); err != nil || !strings.HasPrefix(out.String(), "messages         0, 0 bytes\nnot preprocessed 0\n") {
		t.Errorf("%v, %s", err, &out)
	}
}

func (f *fake) Status() (steer.Status, error) { return steer.Status{}, nil }
