package spf

import (
	"strings"
	"testing"
)

func zone() map[string][]record {
	policy := func(text string) []record { return []record{{TXT: texts{text}}} }
	return map[string][]record{
		"pass.example":     policy("v=spf1 ip4:192.0.2.1 ip6:2001:db8::1 -all"),
		"fail.example":     policy("v=spf1 -all exp=why.example"),
		"softfail.example": policy("v=spf1 ~all"),
		"neutral.example":  policy("v=spf1 ?all"),
		"unknown.example":  policy("v=spf1 nonsense"),
		"error.example":    {{SERVFAIL: true}},
		"none.example":     policy("nothing to see"),
		"why.example":      policy("%{i} is no host of %{o}"),
	}
}

// TestBehavior: each step of spfbehavior refuses more.
func TestBehavior(t *testing.T) {
	s := &sessions{layOut(t), map[string]*session{}}
	defer s.close()
	serve(t).load(zone())
	if err := s.host.Control("spfexp", "%{S} at %{I} for %{xR}\n"); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		result string
		from   byte // the first step that refuses
		reply  string
	}{
		{"pass", '9', ""},
		{"fail", '3', "550 192.0.2.1 is no host of fail.example (#5.7.1)"},
		{"softfail", '4', "550 a%40softfail.example at 192.0.2.1 for receiver.example (#5.7.1)"},
		{"neutral", '5', "550 a%40neutral.example at 192.0.2.1 for receiver.example (#5.7.1)"},
		{"none", '6', "550 a%40none.example at 192.0.2.1 for receiver.example (#5.7.1)"},
		{"unknown", '6', "550 a%40unknown.example at 192.0.2.1 for receiver.example (#5.7.1)"},
	} {
		for step := byte('1'); step <= '6'; step++ {
			talk := s.with(t, string(step), "192.0.2.1")
			talk.say(t, "MAIL FROM:<a@"+test.result+".example>")
			want := "250 ok"
			if step >= test.from {
				want = test.reply
			}
			if got := talk.say(t, "RCPT TO:<you@demo.example>"); got != want {
				t.Errorf("spfbehavior %c: %s: got %q, want %q", step, test.result, got, want)
			}
		}
	}
	for step, want := range map[string]string{"1": "250 ok", "2": "451 SPF lookup failure (#4.3.0)"} {
		if got := s.with(t, step, "192.0.2.1").say(t, "MAIL FROM:<a@error.example>"); got != want {
			t.Errorf("spfbehavior %s, trouble: got %q, want %q", step, got, want)
		}
	}
}

// TestRulesOfThisHost: spfrules come before a failure, spfguess is for domains
// without a record.
func TestRulesOfThisHost(t *testing.T) {
	s := &sessions{layOut(t), map[string]*session{}}
	defer s.close()
	serve(t).load(zone())
	for name, text := range map[string]string{"spfrules": "ip4:192.0.2.7", "spfguess": "ip4:192.0.2.8 -all"} {
		if err := s.host.Control(name, text+"\n"); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct{ ip, domain, want string }{
		{"192.0.2.7", "fail.example", "pass"},
		{"192.0.2.7", "softfail.example", "pass"},
		{"192.0.2.8", "fail.example", "fail"},
		{"192.0.2.8", "none.example", "pass"},
		{"192.0.2.9", "none.example", "fail"},
		{"2001:db8::1", "pass.example", "pass"},
		{"::ffff:192.0.2.1", "pass.example", "pass"},
	} {
		got := s.sent(t, published{Helo: "client.example", Host: test.ip, MailFrom: "a@" + test.domain})
		if !strings.HasPrefix(got, "SPFRESULT="+test.want+"\n") || !strings.Contains(got, "\nReceived-SPF: "+test.want+" (receiver.example: ") {
			t.Errorf("%+v: got\n%s", test, got)
		}
	}
}

// TestRelayClients: who may relay is not asked, nor who cannot be.
func TestRelayClients(t *testing.T) {
	s := &sessions{layOut(t), map[string]*session{}}
	defer s.close()
	serve(t).load(zone())
	s.host.Env = append(s.host.Env, "RELAYCLIENT=", "SPFRESULT=fail")
	got := s.sent(t, published{Helo: "client.example", Host: "192.0.2.9", MailFrom: "a@fail.example"})
	if !strings.HasPrefix(got, "SPFRESULT=\n") || strings.Contains(got, "Received-SPF") {
		t.Errorf("got\n%s", got)
	}
}
