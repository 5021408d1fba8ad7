package filter

import (
	"strings"
	"testing"

	"github.com/reqmail/reqmail/compat/environ"
)

// withPlugins are filters with one shell plugin for a stage.
func withPlugins(t *testing.T, section, command string, env environ.List) Chain {
	t.Helper()
	return configured(t, map[string]string{"smtpplugins": "[connection]\n[" + section + "]\n:" + command + "\n"}, env)
}

func TestPluginVerdicts(t *testing.T) {
	for _, test := range []struct {
		name, command string
		want          Verdict
	}{
		{"nothing", "true", Verdict{}},
		{"error", "echo 'E550 no'", Verdict{Reply: "550 no"}},
		{"error without its end of line", "printf 'E550 no'", Verdict{Reply: "550 no"}},
		{"what comes behind does not count", "echo 'E550 no'; echo 'E551 no'; echo D", Verdict{Reply: "550 no"}},
		{"drop", "echo D", Verdict{Close: true}},
		{"reply and drop", "echo 'R421 bye'", Verdict{Reply: "421 bye", Close: true}},
		{"print", "echo 'P250-a'; echo 'P250-b'", Verdict{Note: "250-a\n250-b\n"}},
		{"ok", "echo O", Verdict{Final: true, Admit: true}},
		{"accept", "echo A", Verdict{}},
		{"next", "echo N", Verdict{}},
		{"unknown letter", "echo Zzz", Verdict{}},
		{"crash", "kill -9 $$", Verdict{Reply: "451 qmail-spp failure: :kill -9 $$: child crashed (#4.3.0)"}},
		{"cannot", "exit 120", Verdict{Reply: "451 qmail-spp failure: :exit 120: can't execute (#4.3.0)"}},
		{"other exit code", "exit 1", Verdict{}},
	} {
		env := environ.List{}
		if v := withPlugins(t, "rcpt", test.command, nil).Rcpt(client(&env), "you@here.example"); v != test.want {
			t.Errorf("%s: got %+v, want %+v", test.name, v, test.want)
		}
	}
	env := environ.List{}
	chain := configured(t, map[string]string{"smtpplugins": "[rcpt]\n/nonexistent\n"}, nil)
	if v := chain.Rcpt(client(&env), "a"); v.Reply != "451 qmail-spp failure: /nonexistent: can't execute (#4.3.0)" {
		t.Errorf("no plugin: %+v", v)
	}
}

func TestPluginVariables(t *testing.T) {
	env := environ.List{"A=1", "B=2"}
	chain := configured(t, map[string]string{"smtpplugins": `[helo]
:echo "SHELO=$SMTPHELOHOST"; echo UA
[auth]
:echo "SAUTH=$SMTPAUTHMETHOD $SMTPAUTHUSER"
[mail]
:echo "C$SMTPMAILFROM.example"; echo "HX-From: $SMTPMAILFROM"
[rcpt]
:test $SMTPRCPTCOUNTALL = 1 && echo "Cx$SMTPRCPTTO"; echo "SR=$SMTPRCPTTO $SMTPRCPTCOUNT $SMTPRCPTCOUNTALL $SMTPRCPTHOSTSOK"
:echo "SSECOND=$SMTPRCPTTO"
[data]
:echo "HX-Data: $R"
`}, nil)
	chain.Hello(client(&env))
	auth := client(&env)
	auth.Mechanism, auth.User = "plain", "joe"
	chain.Auth(auth)
	mail := client(&env)
	if chain.Mail(mail); mail.Sender != "a@far.example.example" {
		t.Errorf("the sender is %q", mail.Sender)
	}
	rcpt := client(&env)
	if chain.Rcpt(rcpt, "you@here.example"); rcpt.Recipient != "xyou@here.example" {
		t.Errorf("the recipient is %q", rcpt.Recipient)
	}
	second := client(&env)
	second.Recipients, second.Allowed = 1, false
	chain.Rcpt(second, "he@there.example")
	for name, want := range map[string]string{
		"HELO": "client.example", "AUTH": "plain joe", "SMTPMAILFROM": "a@far.example.example",
		"R": "he@there.example 1 2 0", "SECOND": "he@there.example", "B": "2",
	} {
		if got, _ := env.Lookup(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if _, ok := env.Lookup("A"); ok {
		t.Error("A is still set")
	}
	data := client(&env)
	chain.Data(data)
	if want := "X-From: a@far.example\nX-Data: he@there.example 1 2 0\n"; data.Header != want {
		t.Errorf("the header has %q, want %q", data.Header, want)
	}
	again := client(&env)
	if chain.Data(again); strings.Contains(again.Header, "X-From") {
		t.Errorf("the next message gets %q", again.Header)
	}
}

func TestPluginsAcceptForGood(t *testing.T) {
	env := environ.List{}
	chain := configured(t, map[string]string{"smtpplugins": "[helo]\n:echo A\n[rcpt]\n:echo 'E550 no'\n"}, nil)
	chain.Hello(client(&env))
	if v := chain.Rcpt(client(&env), "a"); v.Refused() {
		t.Errorf("got %+v", v)
	}
}

func TestPluginErrorsToCome(t *testing.T) {
	env := environ.List{}
	chain := withPlugins(t, "helo", "echo 'LR550-no'; echo 'LR550 never'; echo 'LM'; echo L", nil)
	chain.Hello(client(&env))
	if v := chain.Mail(client(&env)); v.Reply == "" {
		t.Errorf("MAIL: got %+v", v)
	}
	if v := chain.Rcpt(client(&env), "a"); v.Reply != "550-no\n550 never" {
		t.Errorf("RCPT: got %+v", v)
	}
	chain.Reset()
	if v := chain.Rcpt(client(&env), "a"); v.Refused() {
		t.Errorf("behind RSET: got %+v", v)
	}
}

func TestPluginFiles(t *testing.T) {
	other := program(t, "echo 'E550 other'") // stands where a configuration could
	for _, test := range []struct {
		env  environ.List
		want int
	}{{nil, 1}, {environ.List{"NOSPP="}, 0}, {environ.List{"SPPCONFFILE=" + other}, 1}, {environ.List{"SPPCONFFILE="}, 1}} {
		if got := len(withPlugins(t, "mail", "true", test.env)); got != test.want {
			t.Errorf("%v: %d filters, want %d", test.env, got, test.want)
		}
	}
}

func FuzzPluginOutput(f *testing.F) {
	for _, seed := range []string{"E550 no\n", "HX: y\nN", "L\nLM\nLDx\n", "S=\nSA\nSA=b\nU\n", "C\n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, output string) {
		env := environ.List{}
		p := &plugins{deferred: map[stage]string{}}
		var said Verdict
		addr := ""
		p.hear(output, client(&env), "SMTPMAILFROM", &addr, &said)
		if len(p.header) > len(output)+1 {
			t.Errorf("%q: header %q", output, p.header)
		}
		for at := range p.deferred {
			if !p.postponed(at).Refused() {
				t.Errorf("%q: an error that refuses nothing", output)
			}
		}
	})
}
