package address

import (
	"strings"
	"testing"
)

func TestQuote(t *testing.T) {
	for addr, want := range map[string]string{
		"":                        "",
		"a@b":                     "a@b",
		"a":                       "a",
		"@b":                      `""@b`,
		"a b@c":                   `"a b"@c`,
		".a@c":                    `".a"@c`,
		"a.@c":                    `"a."@c`,
		"a..b@c":                  `"a..b"@c`,
		"a@b@c":                   `"a@b"@c`,
		"\"\\\r\n@c":              "\"\\\"\\\\\\\r\\\n\"@c",
		"\xe4@c":                  "\"\xe4\"@c",
		"a!#$%&'*+-/=?^_`{|}~9@c": "a!#$%&'*+-/=?^_`{|}~9@c",
		"a@b c":                   "a@b c", // the domain is never quoted
	} {
		if got := Quote(addr); got != want {
			t.Errorf("%q: got %q, want %q", addr, got, want)
		}
	}
	if got := QuoteLocal(""); got != `""` {
		t.Errorf("empty local part: got %q", got)
	}
}

func TestSplit(t *testing.T) {
	for _, test := range []struct {
		addr, local, domain string
		ok                  bool
	}{
		{"a@b", "a", "b", true}, {"a@b@c", "a@b", "c", true}, {"a", "a", "", false}, {"@", "", "", true},
	} {
		if local, domain, ok := Split(test.addr); local != test.local || domain != test.domain || ok != test.ok {
			t.Errorf("%q: got %q, %q, %v", test.addr, local, domain, ok)
		}
	}
}

func TestLower(t *testing.T) {
	if got := Lower("aBÄ\x00Z"); got != "abÄ\x00z" { // ASCII only
		t.Errorf("got %q", got)
	}
}

func FuzzQuote(f *testing.F) {
	f.Add("a\"b@c")
	f.Fuzz(func(t *testing.T, addr string) {
		local, domain, ok := Split(addr)
		quoted := Quote(addr)
		if ok && !strings.HasSuffix(quoted, "@"+domain) {
			t.Errorf("%q: the domain is not as it was in %q", addr, quoted)
		}
		if ok && strings.HasPrefix(quoted, `"`) {
			inner := strings.TrimSuffix(strings.TrimSuffix(quoted[1:], "@"+domain), `"`)
			var plain strings.Builder
			for i := 0; i < len(inner); i++ {
				if inner[i] == '\\' {
					i++
				}
				plain.WriteByte(inner[i])
			}
			if plain.String() != local {
				t.Errorf("%q is quoted as %q, which means %q", local, quoted, plain.String())
			}
		}
	})
}
