package filter

import (
	"regexp"
	"testing"
)

// compile stands for package expression, which cannot be imported here.
func compile(text string) (Expression, error) {
	re, err := regexp.Compile("(?is:" + text + ")")
	if err != nil {
		return nil, err
	}
	return re, nil
}

func TestMatcher(t *testing.T) {
	for _, test := range []struct {
		name    string
		entries []string // of a list that everybody reads in his way
		hits    []string
		misses  []string
	}{
		{"exact", []string{"Bad@x.example"}, []string{"bad@X.example"}, []string{"xbad@x.example", "bad@x.example.org", ""}},
		{"domain", []string{"@x.example"}, []string{"a@x.example", "@X.example"}, []string{"a@y.x.example", "x.example"}},
		{"wildcard", []string{"*@x.example", "spam*@y.example"}, []string{"a@x.example", "@x.example", "spam@y.example", "Spam1@y.example"}, []string{"a@x.example.org", "aspam@y.example"}},
		{"several wildcards", []string{"a*b*c"}, []string{"abc", "axbxc", "abbc"}, []string{"ac", "acb", "ab"}},
		{"wildcards that overlap", []string{"aa*aa"}, []string{"aaaa"}, []string{"aaa"}},
		{"a dot is a dot", []string{"*@x.example"}, nil, []string{"a@xyexample"}},
		{"pattern", []string{`^.*@bad\.(com|net)$`}, []string{"a@bad.com", "A@BAD.NET"}, []string{"a@bad.org", "a@xbad.com"}},
		{"pattern anywhere", []string{`b\.d`}, []string{"a@b.d.example"}, []string{"a@bxd.example"}},
		{"negated pattern", []string{`!^[^@]+@[^@]+$`}, []string{"nobody", "a@b@c"}, []string{"a@b"}},
		{"address with a plus", []string{"a+b@x.example"}, []string{"a+b@x.example"}, []string{"aab@x.example"}},
		{"literal", []string{"[127.0.0.1]"}, []string{"[127.0.0.1]"}, []string{"1"}},
		{"no pattern after all", []string{`a(b@x.example`}, []string{"a(b@x.example"}, nil},
	} {
		m := Matcher{compile: compile}
		if err := m.addEntries(test.entries); err != nil {
			t.Fatal(err)
		}
		for _, text := range test.hits {
			if !m.Hits(text) {
				t.Errorf("%s: %q passes", test.name, text)
			}
		}
		for _, text := range test.misses {
			if m.Hits(text) {
				t.Errorf("%s: %q does not pass", test.name, text)
			}
		}
	}
}

func TestPatterns(t *testing.T) {
	m := Matcher{compile: compile}
	if err := m.addPatterns([]string{"[[:digit:]]{4}@", "!@"}); err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]bool{"ab1234@x": true, "ab123@x": false, "nowhere": true} {
		if got := m.Hits(text); got != want {
			t.Errorf("%q: got %v, want %v", text, got, want)
		}
	}
	if err := m.addPatterns([]string{"a("}); err == nil {
		t.Error("half a pattern is none, and nobody says so")
	}
}

func FuzzPattern(f *testing.F) {
	for _, seed := range []string{"!a", "*@x", `^a\.b$`, "a(", "(?i", "a{2000}"} {
		f.Add(seed, "a@b.example")
	}
	f.Fuzz(func(t *testing.T, entry, text string) {
		m := Matcher{compile: compile}
		_ = m.addEntries([]string{entry})
		m.addWildcards([]string{entry})
		_ = m.addPatterns([]string{entry})
		m.Hits(text)
	})
}
