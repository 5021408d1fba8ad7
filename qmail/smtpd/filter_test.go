package smtpd

import (
	"os"
	"strings"
	"testing"

	"github.com/reqmail/reqmail/compat/environ"
	"github.com/reqmail/reqmail/qmail/filter"
)

// judge is a filter that says the same at one stage, each time.
type judge struct {
	stage   string
	verdict filter.Verdict
	change  func(*filter.Transaction)
}

func (j judge) at(stage string, t *filter.Transaction) filter.Verdict {
	if stage != j.stage {
		return filter.Verdict{}
	}
	if j.change != nil {
		j.change(t)
	}
	return j.verdict
}

func (j judge) Greet(t *filter.Transaction) filter.Verdict          { return j.at("greet", t) }
func (j judge) Hello(t *filter.Transaction) filter.Verdict          { return j.at("hello", t) }
func (j judge) Auth(t *filter.Transaction) filter.Verdict           { return j.at("auth", t) }
func (j judge) Mail(t *filter.Transaction) filter.Verdict           { return j.at("mail", t) }
func (j judge) Rcpt(t *filter.Transaction, _ string) filter.Verdict { return j.at("rcpt", t) }
func (j judge) Data(t *filter.Transaction) filter.Verdict           { return j.at("data", t) }
func (j judge) Reset()                                              {}

// judged runs a session with a filter and returns all replies.
func judged(t *testing.T, j judge, client environ.List, input string) (replies string, end End) {
	t.Helper()
	p := &pipe{Reader: strings.NewReader(input)}
	s := NewSession(testConfig(t), environ.List(os.Environ()).With(client...), p)
	s.UseAuth(ParseAuth([]string{program(t, "cat <&3 >/dev/null")}, s.lookup), func(string) {})
	s.Filter(filter.Chain{j})
	end = s.Serve()
	return p.String(), end
}

func TestFilterStages(t *testing.T) {
	const greeting, ok = "220 me.example ESMTP\r\n", "250 ok\r\n"
	no := filter.Verdict{Reply: "550-no\n550 never"}
	said := "550-no\r\n550 never\r\n"
	for _, test := range []struct {
		name  string
		judge judge
		input string
		want  string
	}{
		{"greeting refused", judge{stage: "greet", verdict: no}, "NOOP\r\n", said + ok},
		{"greeting refused for good", judge{stage: "greet", verdict: filter.Verdict{Reply: "554 go", Close: true}}, "NOOP\r\n", "554 go\r\n"},
		{"dropped without a word", judge{stage: "greet", verdict: filter.Verdict{Close: true}}, "NOOP\r\n", ""},
		{"name refused", judge{stage: "hello", verdict: no}, "HELO x\r\nEHLO x\r\n", greeting + said + said},
		{"AUTH refused", judge{stage: "auth", verdict: no}, "AUTH PLAIN AGEAYg==\r\nMAIL FROM:<a>\r\nRCPT TO:<b@elsewhere.example>\r\n", greeting + said + ok + replyNoGateway + "\r\n"},
		{"sender refused", judge{stage: "mail", verdict: no}, "MAIL FROM:<a>\r\nRCPT TO:<b>\r\n", greeting + said + replyWantMail + "\r\n"},
		{"sender excused", judge{stage: "mail", verdict: filter.Verdict{Final: true}}, "MAIL FROM:<x@evil.example>\r\nRCPT TO:<b>\r\n", greeting + ok + ok},
		{"sender changed to a bad one", judge{stage: "mail", change: func(t *filter.Transaction) { t.Sender = "x@evil.example" }}, "MAIL FROM:<a>\r\nRCPT TO:<b>\r\n", greeting + ok + replyBadFrom + "\r\n"},
		{"recipient refused", judge{stage: "rcpt", verdict: no}, "MAIL FROM:<a>\r\nRCPT TO:<b>\r\nDATA\r\n", greeting + ok + said + replyWantRcpt + "\r\n"},
		{"recipient refused for good", judge{stage: "rcpt", verdict: filter.Verdict{Reply: "421 bye", Close: true}}, "MAIL FROM:<a>\r\nRCPT TO:<b>\r\nNOOP\r\n", greeting + ok + "421 bye\r\n"},
		{"recipient admitted", judge{stage: "rcpt", verdict: filter.Verdict{Admit: true}}, "MAIL FROM:<a>\r\nRCPT TO:<b@elsewhere.example>\r\n", greeting + ok + ok},
		{"a note before the reply", judge{stage: "rcpt", verdict: filter.Verdict{Note: "250-well\n"}}, "MAIL FROM:<a>\r\nRCPT TO:<b>\r\n", greeting + ok + "250-well\r\n" + ok},
		{"message refused", judge{stage: "data", verdict: no}, "MAIL FROM:<a>\r\nRCPT TO:<b>\r\nDATA\r\nDATA\r\n", greeting + ok + ok + said + said},
	} {
		if got, _ := judged(t, test.judge, stranger, test.input); got != test.want {
			t.Errorf("%s: got %q, want %q", test.name, got, test.want)
		}
	}
}

// TestWhatFiltersChange: recipient, header and environment reach the queue.
func TestWhatFiltersChange(t *testing.T) {
	target := recordQueue(t)
	j := judge{stage: "rcpt", change: func(t *filter.Transaction) {
		t.Recipient = "other@here.example"
		t.Header = "X-Filter: yes\n"
	}}
	if got, _ := judged(t, j, stranger, "MAIL FROM:<a@b>\r\nRCPT TO:<r@here.example>\r\nDATA\r\nSubject: x\r\n.\r\n"); !strings.Contains(got, "\r\n250 ok 1") {
		t.Fatalf("got %q", got)
	}
	queued, err := os.ReadFile(target)
	if err != nil || !strings.Contains(string(queued), "\nX-Filter: yes\nSubject: x\n") || !strings.HasSuffix(string(queued), "Tother@here.example\x00\x00") {
		t.Errorf("queued %q, %v", queued, err)
	}
}

// TestBadSenderLoggedIn: badmailfrom counts for who has logged in, too.
func TestBadSenderLoggedIn(t *testing.T) {
	got, _ := judged(t, judge{}, stranger, "AUTH PLAIN AGEAYg==\r\nMAIL FROM:<x@evil.example>\r\nRCPT TO:<b>\r\n")
	if !strings.HasSuffix(got, replyAuthOK+"\r\n250 ok\r\n"+replyBadFrom+"\r\n") {
		t.Errorf("got %q", got)
	}
}

// TestRejectedAreCounted: whoever refuses them.
func TestRejectedAreCounted(t *testing.T) {
	var seen []int
	j := judge{stage: "rcpt", change: func(t *filter.Transaction) { seen = append(seen, t.Rejected) }}
	judged(t, j, stranger, "MAIL FROM:<a>\r\nRCPT TO:<b@x.example>\r\nRCPT TO:<b>\r\nMAIL FROM:<a@evil.example>\r\nRCPT TO:<b>\r\nMAIL FROM:<a>\r\nRCPT TO:<b>\r\n")
	if len(seen) != 3 || seen[0] != 0 || seen[1] != 1 || seen[2] != 2 {
		t.Errorf("filters see %v refused, want 0, 1, 2", seen)
	}
}
