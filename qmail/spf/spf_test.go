package spf

import (
	"net/netip"
	"strings"
	"testing"
)

// example is what RFC 7208 7.4 expands macros for.
func example(ip string) question {
	q := question{
		ip: netip.MustParseAddr(ip), helo: "mail.example", sender: "strong-bad@email.example.com", receiver: "me.example",
		name: func() string { return "mx.example.org" },
	}
	q.fill()
	return q
}

func TestExpand(t *testing.T) {
	for text, want := range map[string]string{
		"%{s}": "strong-bad@email.example.com", "%{o}": "email.example.com", "%{d}": "email.example.com",
		"%{d4}": "email.example.com", "%{d3}": "email.example.com", "%{d2}": "example.com", "%{d1}": "com",
		"%{dr}": "com.example.email", "%{d2r}": "example.email",
		"%{l}": "strong-bad", "%{l-}": "strong.bad", "%{lr}": "strong-bad", "%{lr-}": "bad.strong", "%{l1r-}": "strong",
		"%{ir}.%{v}._spf.%{d2}": "3.2.0.192.in-addr._spf.example.com",
		"%{lr-}.lp._spf.%{d2}":  "bad.strong.lp._spf.example.com",
		"%%a%_b%-c":             "%a b%20c",
		"%{S}":                  "strong-bad%40email.example.com",
		"%{xR} %{r} %{h} %{c}":  "me.example me.example mail.example 192.0.2.3",
		"%{p}":                  "mx.example.org",
		"plain":                 "plain",
	} {
		if got, ok := expand(text, example("192.0.2.3")); got != want || !ok {
			t.Errorf("%s: got %q, %v, want %q", text, got, ok, want)
		}
	}
	want := "1.0.B.C.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.B.D.0.1.0.0.2.ip6._spf.example.com"
	if got, ok := expand("%{ir}.%{v}._spf.%{d2}", example("2001:db8::cb01")); got != want || !ok {
		t.Errorf("IPv6: got %q, %v, want %q", got, ok, want)
	}
	for _, text := range []string{"%", "%a", "%{", "%{}", "%{z}", "%{d0}", "%{d!}", "%{s"} {
		if got, ok := expand(text, example("192.0.2.3")); ok {
			t.Errorf("%s: got %q", text, got)
		}
	}
}

func TestWhoseRecord(t *testing.T) {
	for _, test := range []struct{ sender, local, domain, identity string }{
		{"a@b.example", "a", "b.example", "a@b.example"},
		{"", "postmaster", "helo.example", "postmaster@helo.example"},
		{"@b.example", "postmaster", "b.example", "postmaster@b.example"},
		{"a@trusted.example@b.example", "a@trusted.example", "b.example", "a_trusted.example@b.example"}, // nobody else's record counts
	} {
		q := question{sender: test.sender, helo: "helo.example"}
		if q.fill(); q.local != test.local || q.domain != test.domain || q.identity() != test.identity {
			t.Errorf("%q: got %+v, %s", test.sender, q, q.identity())
		}
	}
}

func TestFieldIsOne(t *testing.T) {
	q := example("192.0.2.3")
	q.local, q.helo, q.sender = "a)\nX-Forged: yes", "h;\r\n", "a\"\n"+strings.Repeat("x", 2000)
	got := field(q, "fail")
	if lines := strings.Split(got, "\n"); len(lines) != 3 || lines[2] != "" || len(got) > 1000 || strings.Contains(got, "\nX") {
		t.Errorf("got %q", got)
	}
}

func TestShortened(t *testing.T) {
	if got := shortened(strings.Repeat("a123456789.", 23) + "com"); len(got) != 245 {
		t.Errorf("got %d bytes: %s", len(got), got)
	}
}

func FuzzExpand(f *testing.F) {
	for _, seed := range []string{"%{s}", "%{d2r-+}", "%{xR}%_", "%{d99999999999999999999}"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		expand(text, example("2001:db8::1"))
		modifiersOf(text)
	})
}
