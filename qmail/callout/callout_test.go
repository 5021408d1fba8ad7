package callout

import (
	"bufio"
	"errors"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/reqmail/reqmail/control"
	"github.com/reqmail/reqmail/qmail/filter"
	"github.com/reqmail/reqmail/qmail/intake"
	"github.com/reqmail/reqmail/qmail/remote"
)

// mailHost is a destination with a reply for each command, by its first words;
// the longest that fits counts.
type mailHost struct {
	addr string

	mu      sync.Mutex
	replies map[string]string
	heard   []string // since the last look
}

func startHost(t *testing.T) *mailHost {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	h := &mailHost{addr: l.Addr().String(), replies: map[string]string{
		"greeting": "220 hi", "": "250 ok", "RCPT": "550 who is that?", "RCPT TO:<joe@x.example>": "250 ok",
	}}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go h.serve(conn)
		}
	}()
	return h
}

func (h *mailHost) serve(conn net.Conn) {
	defer conn.Close()
	in := bufio.NewReader(conn)
	line := "greeting"
	for {
		reply := h.reply(line)
		if reply == "hang up" {
			return
		}
		if reply != "silence" {
			_, _ = conn.Write([]byte(reply + "\r\n"))
		}
		var err error
		if line, err = in.ReadString('\n'); err != nil {
			return
		}
		line = strings.TrimRight(line, "\r\n")
	}
}

func (h *mailHost) reply(line string) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.heard = append(h.heard, line)
	best := ""
	for start := range h.replies {
		if strings.HasPrefix(line, start) && len(start) > len(best) {
			best = start
		}
	}
	return h.replies[best]
}

func (h *mailHost) says(to, reply string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.replies[to] = reply
}

// wasAsked reports whether anybody connected since it was called last.
func (h *mailHost) wasAsked() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	asked := slices.Contains(h.heard, "greeting")
	h.heard = nil
	return asked
}

// asker is a filter that asks h.
func asker(t *testing.T, h *mailHost) *callouts {
	return &callouts{
		settings: parseSettings([]string{"timeout:5"}), cache: testCache(t),
		rules: &rules{remote: &remote.Config{
			HeloHost: "us.example", ConnectTimeout: time.Second, Timeout: 5 * time.Second,
			Routes: control.Pairs([]string{":" + h.addr}),
		}},
	}
}

func TestJudge(t *testing.T) {
	const minute, hour, day = 60, 60 * 60, 24 * 60 * 60
	type step struct {
		after     int64 // seconds since the step before
		to, reply string
		recipient string
		want      answer
		asks      bool
	}
	joe, ann := "joe@x.example", "ann@x.example"
	up, down := "220 hi", "hang up"
	for name, steps := range map[string][]step{
		"remembered for four days": {
			{0, "", "250 ok", joe, yes, true},
			{1, "", "250 ok", joe, yes, false},
			{59 * minute, "", "250 ok", "joe@X.Example", yes, false},
			{96 * hour, "greeting", down, joe, unclear, true},
		},
		"a destination is looked after once an hour": {
			{0, "", "250 ok", joe, yes, true},
			{61 * minute, "", "250 ok", joe, yes, true},
			{1, "", "250 ok", joe, yes, false},
		},
		"a refusal is remembered for two hours": {
			{0, "", "250 ok", ann, no, true},
			{50 * minute, "RCPT TO:<ann", "250 ok", ann, no, false},
			{50 * minute, "RCPT TO:<ann", "450 later", ann, no, true},
			{20 * minute, "RCPT TO:<ann", "250 ok", ann, yes, true},
		},
		"who is known is accepted while it is down": {
			{0, "", "250 ok", joe, yes, true},
			{95 * hour, "greeting", down, joe, yes, true},
			{1, "", "250 ok", ann, unclear, false},
			{5 * minute, "", "250 ok", ann, unclear, true},
			{5 * minute, "greeting", up, ann, no, true},
		},
		"four days": {
			{0, "greeting", down, joe, unclear, true},
			{23 * hour, "", "250 ok", joe, unclear, true},
			{23 * hour, "", "250 ok", joe, unclear, true},
			{23 * hour, "", "250 ok", joe, unclear, true},
			{23 * hour, "", "250 ok", joe, unclear, true},
			{4*hour + 1, "", "250 ok", joe, unreachable, true},
			{1, "", "250 ok", joe, unreachable, false},
			{5 * minute, "greeting", up, joe, yes, true},
			{1, "greeting", down, ann, unclear, true},
		},
		"a day without a try proves nothing": {
			{0, "greeting", down, joe, unclear, true},
			{5 * day, "", "250 ok", joe, unclear, true},
		},
		"a host that takes everybody": {
			{0, "RCPT", "250 ok", joe, yes, true},
			{1, "", "250 ok", joe, yes, true},
			{1, "greeting", down, joe, unclear, true},
			{5 * minute, "greeting", up, joe, yes, true},
			{1, "RCPT", "550 no", ann, no, true}, // no longer
			{1, "", "250 ok", joe, yes, true},
			{1, "greeting", down, joe, yes, false},
		},
		"not now":            {{0, "RCPT TO:<joe@x.example>", "450 later", joe, unclear, true}, {0, "RCPT TO:<joe@x.example>", "250 ok", joe, yes, true}},
		"an unwilling host":  {{0, "MAIL", "550 no bounces", joe, unclear, true}, {1, "", "250 ok", joe, unclear, true}},
		"a busy host":        {{0, "greeting", "421 busy", joe, unclear, true}, {1, "greeting", up, joe, yes, true}},
		"no name":            {{0, "EHLO", "550 who are you?", joe, unclear, true}},
		"TLS wanted":         {{0, "RCPT", "530 TLS first", ann, unclear, true}},
		"nonsense":           {{0, "RCPT", "hello", ann, unclear, true}},
		"dies at RCPT":       {{0, "RCPT TO:<joe@x.example>", "hang up", joe, unclear, true}},
		"probe unclear":      {{0, "RCPT TO:<callout", "450 hm", joe, yes, true}, {1, "", "250 ok", joe, yes, false}},
		"one at a time":      {{0, "RSET", "hang up", joe, yes, true}},
		"listed, but denied": {{0, "", "250 ok", "old@x.example", yes, true}, {1, "", "250 ok", "old@x.example", yes, false}},
	} {
		t.Run(name, func(t *testing.T) {
			h := startHost(t)
			c := asker(t, h)
			c.rules.known = control.Set([]string{"old@x.example"})
			now := int64(1700000000)
			for i, s := range steps {
				now += s.after
				h.says(s.to, s.reply)
				got := c.judge(s.recipient, true, now)
				if asked := h.wasAsked(); got != s.want || asked != s.asks {
					t.Fatalf("step %d: %d, asked %v, want %d, %v", i, got, asked, s.want, s.asks)
				}
			}
		})
	}
}

// TestAskOnTime: neither silence nor chatter keeps the client waiting.
func TestAskOnTime(t *testing.T) {
	for _, at := range []string{"greeting", "EHLO", "RCPT"} {
		h := startHost(t)
		h.says(at, "silence")
		c := asker(t, h)
		c.timeout = 300 * time.Millisecond
		began := time.Now()
		if got := c.judge("ann@x.example", true, 1); got != unclear {
			t.Errorf("silence at %s: %d", at, got)
		}
		if took := time.Since(began); took > 3*time.Second {
			t.Errorf("silence at %s: took %v", at, took)
		}
	}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		conn, err := l.Accept()
		for err == nil {
			_, err = conn.Write([]byte("220-and more\r\n"))
			time.Sleep(10 * time.Millisecond)
		}
	}()
	c := asker(t, &mailHost{addr: l.Addr().String()})
	c.timeout = 300 * time.Millisecond
	began := time.Now()
	if got, took := c.judge("ann@x.example", true, 1), time.Since(began); got != unclear || took > 3*time.Second {
		t.Errorf("a greeting without end: %d after %v", got, took)
	}
}

func TestSeveralRoutes(t *testing.T) {
	c := asker(t, startHost(t))
	host := entry{kind: destination, key: "x.example"}
	c.note(&host, finding{answer: yes, any: unclear, routes: 2}, 10)
	if host.times[reached] != 10 {
		t.Errorf("that it was reached is not remembered: %v", host)
	}
	for _, said := range []answer{yes, no} {
		c.remember(&host, "joe@x.example", finding{answer: said, routes: 2}, 10)
		if got := c.remembered("joe@x.example", 11); got != unclear {
			t.Errorf("%d is remembered as %d though other hosts may know better", said, got)
		}
	}
}

func TestRcpt(t *testing.T) {
	h := startHost(t)
	for _, test := range []struct {
		name      string
		t         filter.Transaction
		recipient string
		want      string // start of the reply
		asks      bool
	}{
		{"known", filter.Transaction{Allowed: true}, "joe@x.example", "", true},
		{"unknown", filter.Transaction{Allowed: true}, "ann@x.example", "550 ", true},
		{"not for us", filter.Transaction{}, "ann@x.example", "", false},
		{"one who may relay", filter.Transaction{Allowed: true, Peer: intake.Peer{MayRelay: true}}, "ann@x.example", "", false},
		{"local", filter.Transaction{Allowed: true}, "ann@local.example", "", false},
		{"virtual", filter.Transaction{Allowed: true}, "ann@sub.virtual.example", "", false},
		{"an exception", filter.Transaction{Allowed: true}, "ann@out.virtual.example", "550 ", true},
		{"a virtual user", filter.Transaction{Allowed: true}, "vip@x.example", "", false},
		{"no domain", filter.Transaction{Allowed: true}, "ann", "", false},
		{"listed with its domain", filter.Transaction{Allowed: true}, "ann@all.example", "", false},
		{"rewritten here", filter.Transaction{Allowed: true}, "ann%x@hack.example", "", false},
		{"our own call-out", filter.Transaction{Allowed: true, Helo: "Us.Example"}, "ann@x.example", "451 ", false},
		{"a bounce", filter.Transaction{Allowed: true, Helo: "else.example"}, "joe@x.example", "", true},
	} {
		home := t.TempDir()
		write(t, home, map[string]string{
			"me": "us.example\n", "rcptcallout": "timeout:5\n", "locals": "local.example\n",
			"virtualdomains":   ".virtual.example:v\nout.virtual.example:\nvip@x.example:v\n",
			"rcptcalloutknown": "@all.example\n", "percenthack": "hack.example\n", "smtproutes": ":" + h.addr + "\n",
		})
		chain, err := configured(t, home)
		if err != nil || len(chain) != 1 {
			t.Fatalf("%v, %v", chain, err)
		}
		h.wasAsked()
		v := chain[0].Rcpt(&test.t, test.recipient)
		if asked := h.wasAsked(); !strings.HasPrefix(v.Reply, test.want) || v.Refused() != (test.want != "") || asked != test.asks {
			t.Errorf("%s: %q, asked %v, want %q, %v", test.name, v.Reply, asked, test.want, test.asks)
		}
	}
}

// configured is the filter of a home.
func configured(t *testing.T, home string) (filter.Chain, error) {
	t.Helper()
	d, err := control.Glance(home + "/control")
	if err != nil {
		t.Fatal(err)
	}
	return Configured(d, home)
}

func TestConfigured(t *testing.T) {
	home := t.TempDir()
	write(t, home, nil)
	if chain, err := configured(t, home); chain != nil || err != nil {
		t.Errorf("without the file: %v, %v", chain, err)
	}
	write(t, home, map[string]string{"rcptcallout": ""})
	chain, err := configured(t, home)
	if err != nil || len(chain) != 1 {
		t.Fatalf("an empty file: %v, %v", chain, err)
	}
	if v := chain[0].Rcpt(&filter.Transaction{Allowed: true}, "a@x"); !strings.HasPrefix(v.Reply, "421 ") || !v.Close {
		t.Errorf("no name to greet with: %v", v)
	}
	if err := os.Mkdir(home+"/control/locals", 0o700); err != nil {
		t.Fatal(err)
	}
	if v := chain[0].Rcpt(&filter.Transaction{Allowed: true}, "a@x"); !strings.HasPrefix(v.Reply, "421 ") {
		t.Errorf("unreadable: %v", v)
	}
}

func TestSettings(t *testing.T) {
	want := settings{accepted: 345600, refused: 7200, unreachable: 345600, timeout: 30 * time.Second}
	if got := parseSettings([]string{"accepted:x", "refused:-1", "what"}); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
	want = settings{accepted: 4, refused: 3, unreachable: 2, timeout: time.Second}
	if got := parseSettings([]string{"accepted:4", "refused:3", "unreachable:2", "timeout:1"}); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
}

func write(t *testing.T, home string, files map[string]string) {
	t.Helper()
	err := os.MkdirAll(home+"/control", 0o700)
	for name, text := range files {
		err = errors.Join(err, os.WriteFile(home+"/control/"+name, []byte(text), 0o600))
	}
	if err != nil {
		t.Fatal(err)
	}
}
