package rfc822

import (
	"reflect"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	for _, test := range []struct {
		text string
		want []Token
		ok   bool
	}{
		{"", nil, true},
		{"a@b.c", []Token{{Atom, "a"}, {At, ""}, {Atom, "b"}, {Dot, ""}, {Atom, "c"}}, true},
		{`"q \" s" <x>`, []Token{{Quoted, `q " s`}, {Left, ""}, {Atom, "x"}, {Right, ""}}, true},
		{"(c (n) d)", []Token{{Comment, "c n d"}}, true}, // inner parentheses are lost, as in qmail
		{"[1.2.3.4]", []Token{{Literal, "1.2.3.4"}}, true},
		{`a\ b`, []Token{{Atom, "a b"}}, true},
		{"\xe4", []Token{{Quoted, "\xe4"}}, true}, // must be quoted when written
		{`a\`, []Token{{Atom, "a"}}, true},
		{"g: a, b;", []Token{{Atom, "g"}, {Colon, ""}, {Atom, "a"}, {Comma, ""}, {Atom, "b"}, {Semi, ""}}, true},
		{`"open`, nil, false}, {"(open", nil, false}, {"[open", nil, false}, {`"open\`, nil, false},
		{")", nil, false}, {"]", nil, false},
	} {
		got, ok := Parse(test.text)
		if ok != test.ok || ok && !reflect.DeepEqual(got, test.want) {
			t.Errorf("%q: got %v, %v, want %v, %v", test.text, got, ok, test.want, test.ok)
		}
	}
}

// list parses a field and returns the addresses, in the order in which they
// come, and the field as it is written again.
func list(t testing.TB, field string) (addrs []string, again string, ok bool) {
	t.Helper()
	tokens, ok := Parse(field)
	if !ok {
		return nil, "", false
	}
	tokens, ok = RewriteList(tokens, func(addr []Token) []Token {
		addrs = append(addrs, Unquote(addr))
		return addr
	})
	if !ok {
		return nil, "", false
	}
	return addrs, Unparse(tokens, 80), true
}

func TestRewriteList(t *testing.T) {
	for _, test := range []struct {
		field string
		addrs string // right to left
		again string
		ok    bool
	}{
		{"To: a@b", "a@b", "To: a@b\n", true},
		{"To: a@b, c@d", "c@d a@b", "To: a@b, c@d\n", true},
		{"To: Joe <a@b> (x)", "a@b", "To: Joe <a@b>(x)\n", true},
		{"To: grp: a, b;, c", "c b a", "To: grp: a, b;, c\n", true},
		{"To: <>", "", "To: <>\n", true},
		{"To: a@b c@d", "c@d a@b", "To: a@b, c@d\n", true}, // the missing comma is put in
		{"To: a . b @ c", "a.b@c", "To: a.b@c\n", true},
		{"To: @r:a@b", "", "", false}, // a colon outside of a group
		{"To: <@r,@s:a@b>", "@r,@s:a@b", "To: <@r, @s: a@b>\n", true},
		{"To: a>", "", "", false},
		{"To: a;b;", "", "", false},
		{"To:", "", "To:\n", true},
	} {
		addrs, again, ok := list(t, test.field)
		if ok != test.ok || strings.Join(addrs, " ") != test.addrs && test.addrs != "" || again != test.again {
			t.Errorf("%q: got %q, %q, %v, want %q, %q, %v", test.field, addrs, again, ok, test.addrs, test.again, test.ok)
		}
	}
}

func TestUnparseFolds(t *testing.T) {
	long := strings.Repeat("x", 30)
	tokens, _ := Parse("To: " + long + "," + long + "," + long)
	want := "To: " + long + ", " + long + ",\n  " + long + "\n"
	if got := Unparse(tokens, 80); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := Unparse(tokens, 0); strings.Count(got, "\n") != 1 {
		t.Errorf("folded without a limit: %q", got)
	}
}

func TestFieldName(t *testing.T) {
	for line, want := range map[string]string{
		"To: x": "to", "SUBJECT:": "subject", "X-A \t: b": "x-a",
		"no colon": "", ": x": "", "a b: c": "", " a: b": "", "\xe4: b": "", "": "",
	} {
		if got := FieldName(line); got != want {
			t.Errorf("%q: got %q, want %q", line, got, want)
		}
	}
}

// FuzzField: what is written again has the same addresses.
func FuzzField(f *testing.F) {
	for _, seed := range []string{"a@b, c", `"q\"" <x@y>`, "g:a;", "<@r:x>", "(c)", `\`, "[]", "a.b..c", "\x00,\xff"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, `\`) {
			return // what a backslash hides in an atom is not hidden again
		}
		addrs, again, ok := list(t, "To: "+text)
		if !ok {
			return
		}
		addrs2, again2, ok := list(t, again)
		if !ok {
			t.Fatalf("%q is written as %q, which is no list", text, again)
		}
		if !reflect.DeepEqual(addrs, addrs2) {
			t.Errorf("%q has %q, written as %q it has %q", text, addrs, again, addrs2)
		}
		if again != again2 {
			t.Errorf("%q is written as %q, then as %q", text, again, again2)
		}
	})
}
