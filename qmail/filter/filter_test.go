package filter

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/reqmail/reqmail/compat/cdb"
	"github.com/reqmail/reqmail/compat/environ"
	"github.com/reqmail/reqmail/compat/resolver"
	"github.com/reqmail/reqmail/control"
	"github.com/reqmail/reqmail/qmail/intake"
)

// client is a transaction whose environment is env.
func client(env *environ.List) *Transaction {
	return &Transaction{
		Peer: intake.PeerFrom(env.Lookup), Helo: "client.example", Sender: "a@far.example", Allowed: true,
		Lookup:   env.Lookup,
		Setenv:   func(name, value string) { *env = env.With(name + "=" + value) },
		Unsetenv: func(name string) { *env = env.Without(name) },
		Environ:  func() []string { return *env },
		Early:    func(time.Duration) bool { return false },
	}
}

// home is a qmail home with control files.
func home(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(dir+"/control", 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, "control", name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// glance looks at the control files of a home.
func glance(t testing.TB, home string) *control.Dir {
	t.Helper()
	d, err := control.Glance(home + "/control")
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// configuredIn are the filters of a home.
func configuredIn(t testing.TB, home string, lookup Lookup, libraries Libraries) (Chain, error) {
	t.Helper()
	return Configured(glance(t, home), home, lookup, libraries)
}

// configured are the filters that files and variables switch on.
func configured(t testing.TB, files map[string]string, env environ.List) Chain {
	t.Helper()
	chain, err := configuredIn(t, home(t, files), env.Lookup, Libraries{Compile: compile})
	if err != nil {
		t.Fatal(err)
	}
	return chain
}

// program is an executable script.
func program(t testing.TB, script string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestNothingConfigured(t *testing.T) {
	if chain := configured(t, map[string]string{"me": "me.example\n", "badmailfrom": "a@b\n@c\n"}, nil); len(chain) != 0 {
		t.Errorf("%d filters ask unasked", len(chain))
	}
}

func TestLists(t *testing.T) {
	type files = map[string]string
	for _, test := range []struct {
		name   string
		files  files
		env    environ.List
		change func(*Transaction)
		want   string
	}{
		{"badrcptto", files{"badrcptto": "you@here.example\n"}, nil, nil, replyBadRcptTo},
		{"badrcptto, domain", files{"badrcptto": "@HERE.example\n"}, nil, nil, replyBadRcptTo},
		{"badrcptto, other", files{"badrcptto": "he@here.example\n"}, nil, nil, ""},
		{"badrcptto, relay client", files{"badrcptto": "you@here.example\n"}, environ.List{"RELAYCLIENT="}, nil, replyBadRcptTo},
		{"badrcpttonorelay", files{"badrcpttonorelay": "you@here.example\n"}, nil, nil, replyBadRcptTo},
		{"badrcpttonorelay, relay client", files{"badrcpttonorelay": "you@here.example\n"}, environ.List{"RELAYCLIENT="}, nil, ""},
		{"badrcptpatterns", files{"badrcptpatterns": "^y.u@\n"}, nil, nil, replyBadRcptTo},
		{"badmailto", files{"badmailto": "@here.example\n"}, nil, nil, replyBadMailTo},
		{"badmailtopatterns", files{"badmailtopatterns": "!@there\\.\n"}, nil, nil, replyBadMailTo},
		{"badmailfrom wildcard", files{"badmailfrom": "*@far.example\n"}, nil, nil, replyBadSender},
		{"badmailfrompatterns", files{"badmailfrompatterns": "far\n"}, nil, nil, replyBadSender},
		{"badmailpatterns", files{"badmailpatterns": "far\n"}, nil, nil, replyBadSender},
		{"patterns and no sender", files{"badmailpatterns": "!@\n"}, nil, func(t *Transaction) { t.Sender = "" }, ""},
		{"patterns and an excuse", files{"badmailpatterns": "far\n"}, nil, func(t *Transaction) { t.Excused = true }, ""},
		{"badmailfromnorelay", files{"badmailfromnorelay": "a@far.example\n"}, nil, nil, replyBadSender},
		{"badmailfromnorelay, relay client", files{"badmailfromnorelay": "a@far.example\n"}, environ.List{"RELAYCLIENT="}, nil, ""},
		{"badhelo", files{"badhelo": "client.example\n"}, nil, nil, replyBadHelo},
		{"badhelo, other", files{"badhelo": "localhost\n"}, nil, nil, ""},
		{"badhelo, pattern", files{"badhelo": "!\\.\n"}, nil, func(t *Transaction) { t.Helo = "pc" }, replyBadHelo},
		{"badhelopatterns", files{"badhelopatterns": "^client\n"}, nil, nil, replyBadHelo},
		{"NOBADHELO", files{"badhelo": "client.example\n"}, environ.List{"NOBADHELO="}, nil, ""},
		{"badhelonorelay", files{"badhelonorelay": "client.example\n"}, environ.List{"RELAYCLIENT="}, nil, ""},
		{"HELOCHECK", nil, environ.List{"HELOCHECK=."}, func(t *Transaction) { t.Helo = "" }, replyBadHelo},
		{"HELOCHECK, a name", nil, environ.List{"HELOCHECK=."}, nil, ""},
		{"HELOCHECK, known name", nil, environ.List{"HELOCHECK==", "TCPREMOTEHOST=Client.example"}, nil, ""},
		{"HELOCHECK, other name", nil, environ.List{"HELOCHECK==", "TCPREMOTEHOST=other.example"}, nil, replyBadHelo},
		{"maxrcpt", files{"maxrcpt": "2\n"}, nil, func(t *Transaction) { t.Recipients = 2 }, replyTooMany},
		{"maxrcpt, not yet", files{"maxrcpt": "2\n"}, nil, func(t *Transaction) { t.Recipients = 1 }, ""},
		{"maxrecipients", files{"maxrecipients": "2\n"}, nil, func(t *Transaction) { t.Recipients = 2 }, replyTooMany},
		{"MAXRCPT", files{"maxrcpt": "2\n"}, environ.List{"MAXRCPT=0"}, func(t *Transaction) { t.Recipients = 2 }, ""},
		{"MAXRECIPIENTS", nil, environ.List{"MAXRECIPIENTS=1"}, func(t *Transaction) { t.Recipients = 1 }, replyTooMany},
		{"brtlimit", files{"brtlimit": "2\n"}, nil, func(t *Transaction) { t.Rejected = 2 }, replyTooManyBad},
		{"BRTLIMIT", nil, environ.List{"BRTLIMIT=3"}, func(t *Transaction) { t.Rejected = 2 }, ""},
	} {
		env := append(environ.List{}, test.env...)
		chain := configured(t, test.files, env)
		transaction := client(&env)
		if test.change != nil {
			test.change(transaction)
		}
		v := chain.Rcpt(transaction, "you@here.example")
		if v.Reply != test.want || v.Close != (test.want == replyTooManyBad) {
			t.Errorf("%s: got %+v, want %q", test.name, v, test.want)
		}
	}
}

func TestBrokenControls(t *testing.T) {
	for _, files := range []map[string]string{{"badhelopatterns": "a(\n"}, {"badmailpatterns": "a{9999}\n"}} {
		if _, err := configuredIn(t, home(t, files), environ.List(nil).Lookup, Libraries{Compile: compile}); err == nil {
			t.Errorf("%v: no error", files)
		}
	}
	for _, variable := range []string{"SPPCONFFILE=control/none", "VALIDRCPTTO_CDB=control/none"} {
		if _, err := configuredIn(t, home(t, nil), environ.List{variable}.Lookup, Libraries{Compile: compile}); err == nil {
			t.Errorf("%s: no error", variable)
		}
	}
	if v := (Chain{Broken{}}).Greet(client(&environ.List{})); v.Reply != "421 unable to read controls (#4.3.0)" || !v.Close {
		t.Errorf("got %+v", v)
	}
}

// names is a DNS with few names.
type names map[string]string

func (n names) find(kind, name string) (int, error) {
	switch found := n[kind+" "+name]; {
	case found == "trouble":
		return 0, resolver.ErrTemporary
	case found == "":
		return 0, resolver.ErrNoData
	default:
		return len(strings.Fields(found)), nil
	}
}

func (n names) MX(name string) ([]resolver.MX, error) {
	count, err := n.find("MX", name)
	return make([]resolver.MX, count), err
}

func (n names) A(name string) ([]netip.Addr, error) {
	count, err := n.find("A", name)
	return make([]netip.Addr, count), err
}

func (n names) AAAA(name string) ([]netip.Addr, error) {
	count, err := n.find("AAAA", name)
	return make([]netip.Addr, count), err
}

func TestSenderDomain(t *testing.T) {
	dns := names{"MX mx.example": "a", "A a.example": "1", "AAAA six.example": "1", "MX slow.example": "trouble", "A slowa.example": "trouble", "AAAA slow6.example": "trouble"}
	for sender, want := range map[string]string{
		"": "", "#@[]": "", "x@mx.example": "", "x@a.example": "", "x@six.example": "", "x@[192.0.2.1]": "",
		"x@none.example": replyNoDomain, "nodomain": replyNoDomain, "x@exempt.example": "",
		"x@slow.example": replyDNSTrouble, "x@slowa.example": replyDNSTrouble, "x@slow6.example": replyDNSTrouble,
	} {
		env := environ.List{}
		transaction := client(&env)
		transaction.Sender = sender
		f := senderDomain{dns: dns, exempt: map[string]string{"exempt.example": ""}}
		if v := f.Mail(transaction); v.Reply != want {
			t.Errorf("%q: got %+v, want %q", sender, v, want)
		}
		transaction.Peer.MayRelay = true
		if v := f.Mail(transaction); v.Refused() {
			t.Errorf("%q: a client that may relay gets %+v", sender, v)
		}
	}
	for _, on := range []environ.List{{"MFCHECK=1"}, {"MFDNSCHECK="}} {
		if len(configured(t, nil, on)) != 1 {
			t.Errorf("%v switches nothing on", on)
		}
	}
	if len(configured(t, map[string]string{"mfcheck": "1\n"}, environ.List{"MFCHECK=0"})) != 0 {
		t.Error("MFCHECK=0 does not switch mfcheck off")
	}
}

func TestHeloInDNS(t *testing.T) {
	dns := names{"A client.example": "1", "MX slow.example": "trouble"}
	for _, test := range []struct {
		check, helo string
		bad         bool
	}{{"A", "client.example", false}, {"A", "none.example", true}, {"M", "client.example", true}, {"M", "slow.example", false}} {
		env := environ.List{}
		transaction := client(&env)
		transaction.Helo = test.helo
		if v := (badHelo{check: test.check, dns: dns}).Rcpt(transaction, ""); v.Refused() != test.bad {
			t.Errorf("%+v: got %+v", test, v)
		}
	}
}

func TestGreetDelay(t *testing.T) {
	env := environ.List{"GREETDELAY=7"}
	chain := configured(t, map[string]string{"greetdelay": "3\n"}, env)
	for early, want := range map[bool]string{true: "554 SMTP protocol violation", false: ""} {
		transaction := client(&env)
		var waited time.Duration
		transaction.Early = func(d time.Duration) bool { waited = d; return early }
		if v := chain.Greet(transaction); v.Reply != want || v.Close != early || waited != 7*time.Second {
			t.Errorf("early %v: got %+v after %v", early, v, waited)
		}
	}
}

func TestTarpit(t *testing.T) {
	chain := configured(t, map[string]string{"tarpitcount": "2\n"}, nil)
	f := chain[0].(tarpit)
	if f.delay != 5*time.Second {
		t.Errorf("waits %v without tarpitdelay", f.delay)
	}
	var slept time.Duration
	f.sleep = func(d time.Duration) { slept += d }
	env := environ.List{}
	for n := range 4 {
		transaction := client(&env)
		transaction.Recipients = n
		if v := f.Rcpt(transaction, "a@b"); v.Refused() {
			t.Errorf("recipient %d: got %+v", n, v)
		}
	}
	if slept != 10*time.Second {
		t.Errorf("four recipients took %v, want 10s for the third and fourth", slept)
	}
}

// database makes validrcptto.cdb.
func database(t *testing.T, path string, records map[string]string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w, err := cdb.NewWriter(f)
	if err != nil {
		t.Fatal(err)
	}
	for key, data := range records {
		if err := w.Add([]byte(key), []byte(data)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestKnownRecipients(t *testing.T) {
	dir := home(t, nil)
	database(t, dir+"/control/validrcptto.cdb", map[string]string{
		"you@here.example": "", "list-default@here.example": "", "list-no-default@here.example": "-", "@all.example": "", "not@all.example": "-",
	})
	for recipient, want := range map[string]string{
		"YOU@here.example": "", "he@here.example": replyNotListed, "list-a@here.example": "", "list-a-b@here.example": "",
		"list-no-x@here.example": replyNotListed, "list@here.example": replyNotListed, "any@all.example": "", "not@all.example": replyNotListed, "you": replyNotListed,
	} {
		env := environ.List{}
		chain, err := configuredIn(t, dir, env.Lookup, Libraries{Compile: compile})
		if err != nil {
			t.Fatal(err)
		}
		if v := chain.Rcpt(client(&env), recipient); v.Reply != want {
			t.Errorf("%s: got %+v, want %q", recipient, v, want)
		}
		for _, change := range []func(*Transaction){func(t *Transaction) { t.Allowed = false }, func(t *Transaction) { t.Peer.MayRelay = true }} {
			transaction := client(&env)
			change(transaction)
			if v := chain.Rcpt(transaction, recipient); v.Refused() {
				t.Errorf("%s: asked for a recipient it has no say in: %+v", recipient, v)
			}
		}
	}
	env := environ.List{"VALIDRCPTTO_LIMIT=2"}
	chain, err := configuredIn(t, dir, env.Lookup, Libraries{Compile: compile})
	if err != nil {
		t.Fatal(err)
	}
	first, second := chain.Rcpt(client(&env), "x@here.example"), chain.Rcpt(client(&env), "y@here.example")
	if first.Reply != replyNotListed || second.Reply != replyTooManyBad || !second.Close {
		t.Errorf("at the limit: %+v, %+v", first, second)
	}
	if chain, err := configuredIn(t, dir, environ.List{"VALIDRCPTTO_CDB="}.Lookup, Libraries{Compile: compile}); err != nil || len(chain) != 0 {
		t.Errorf("an empty VALIDRCPTTO_CDB: %d filters, %v", len(chain), err)
	}
	if err := os.WriteFile(dir+"/control/validrcptto.cdb", []byte("damaged"), 0o644); err != nil {
		t.Fatal(err)
	}
	if v := chain.Rcpt(client(&env), "you@here.example"); v.Reply != broken.Reply {
		t.Errorf("a damaged database: %+v", v)
	}
}

func TestRecipientCheck(t *testing.T) {
	seen := filepath.Join(t.TempDir(), "seen")
	for _, test := range []struct {
		script, want string
		closes       bool
	}{
		{"exit 0", "", false},
		{"exit 1", "", false},
		{"exit 100", "553 sorry, no mailbox here by that name. (#5.1.1)", false},
		{"exit 111", "421 unable to verify recipient (#4.3.0)", true},
		{"kill -9 $$", "421 unable to verify recipient (#4.3.0)", true},
		{"exit 120", "421 unable to execute recipient check (#4.3.0)", true},
		{"echo to nobody; cat; test \"$SENDER $RECIPIENT\" = 'a@far.example you@here.example' || exit 100; : > " + seen, "", false},
	} {
		env := environ.List{"RCPTCHECK=" + program(t, test.script)}
		chain := configured(t, nil, env)
		if v := chain.Rcpt(client(&env), "you@here.example"); v.Reply != test.want || v.Close != test.closes {
			t.Errorf("%s: got %+v", test.script, v)
		}
		if _, set := env.Lookup("SENDER"); set {
			t.Errorf("%s: SENDER stays for others", test.script)
		}
	}
	if _, err := os.Stat(seen); err != nil {
		t.Error("the program did not see sender and recipient")
	}
	env := environ.List{"RCPTCHECK=/nonexistent"}
	chain := configured(t, nil, env)
	if v := chain.Rcpt(client(&env), "a@b"); v.Reply != replyCannotAsk || !v.Close {
		t.Errorf("no program: %+v", v)
	}
	transaction := client(&env)
	transaction.Allowed = false
	if v := chain.Rcpt(transaction, "a@b"); v.Refused() {
		t.Errorf("asked for a recipient that is refused anyway: %+v", v)
	}
}

func TestChain(t *testing.T) {
	env := environ.List{}
	v := Chain{says{verdict: Verdict{Note: "1\n", Admit: true}}, says{verdict: Verdict{Note: "2\n", Reply: "550 no"}}, says{verdict: Verdict{Note: "3\n"}}}.Rcpt(client(&env), "x")
	if want := (Verdict{Note: "1\n2\n", Reply: "550 no", Admit: true}); v != want {
		t.Errorf("got %+v, want %+v", v, want)
	}
	v = Chain{says{verdict: Verdict{Final: true}}, says{verdict: Verdict{Reply: "550 no"}}}.Rcpt(client(&env), "x")
	if v.Refused() {
		t.Errorf("behind a final word: %+v", v)
	}
}

type says struct {
	Pass
	verdict Verdict
}

func (f says) Rcpt(*Transaction, string) Verdict { return f.verdict }

func TestNeedsLibraries(t *testing.T) {
	for _, test := range []struct {
		file string
		env  environ.List
		want bool
	}{{"", nil, false}, {"3\n", nil, true}, {"0\n", nil, false}, {"3\n", environ.List{"SPFBEHAVIOR=0"}, false}, {"", environ.List{"SPFBEHAVIOR=1"}, true}} {
		files := map[string]string{}
		if test.file != "" {
			files["spfbehavior"] = test.file
		}
		if got := NeedsLibraries(glance(t, home(t, files)), test.env.Lookup); got != test.want {
			t.Errorf("%s: got %v", fmt.Sprint(test), got)
		}
	}
	for _, test := range []struct {
		file, text string
		want       bool
	}{
		{"badrcptto", "a@x.example\n*@y.example\n", false}, {"badrcptto", `!\.example$`, true}, {"badhelopatterns", "x", true},
		{"badmailfrom", "^a", false}, // plain qmail's: nothing there is an expression
	} {
		dir := home(t, map[string]string{test.file: test.text})
		if got := NeedsLibraries(glance(t, dir), environ.List(nil).Lookup); got != test.want {
			t.Errorf("%v: got %v", test, got)
		}
		if _, err := configuredIn(t, dir, environ.List(nil).Lookup, Libraries{}); (err != nil) != test.want {
			t.Errorf("%v without libraries: %v", test, err)
		}
	}
}
