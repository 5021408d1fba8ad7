package steer

import (
	"slices"
	"strings"
	"testing"
)

func TestGlob(t *testing.T) {
	for _, test := range []struct {
		pattern, s string
		want       bool
	}{
		{"", "", true},
		{"", "a", false},
		{"*", "", true},
		{"a*", "abc", true},
		{"*c", "abc", true},
		{"*.example", "mx.Example", true}, // domains have no case
		{"a*b*c", "aXbYbZc", true},
		{"a*b*c", "aXbYbZ", false},
		{"a?c", "abc", true},
		{"a?c", "ac", false},
		{"*/*", "a/b", true}, // a slash is nothing special
		{"[a]", "a", false},  // nor are brackets
		{"é", "É", false},    // only ASCII letters have two cases
	} {
		if got := Glob(test.pattern, test.s); got != test.want {
			t.Errorf("%q on %q: %v", test.pattern, test.s, got)
		}
	}
	// No pattern takes exponential time.
	if Glob(strings.Repeat("*a", 500)+"b", strings.Repeat("a", 5000)) {
		t.Error("matches what lacks its end")
	}
}

func FuzzGlob(f *testing.F) {
	f.Add("a*b?", "axxbc")
	f.Fuzz(func(t *testing.T, pattern, s string) {
		got := Glob(pattern, s)
		if !strings.ContainsAny(pattern, "*?") && got != (len(pattern) == len(s) && asciiLower(pattern) == asciiLower(s)) {
			t.Errorf("%q on %q without a wildcard", pattern, s)
		}
	})
}

func asciiLower(s string) string {
	b := []byte(s)
	for i := range b {
		b[i] = lower(b[i])
	}
	return string(b)
}

func sample() Message {
	return Message{
		Name: Name{ID: 7, Birth: 1000}, State: Deferred, Size: 500, Sender: "ann@A.example",
		Recipients: []Recipient{
			{Address: "bob@b.example", Channel: Remote, Reason: "greylisted, come back"},
			{Address: "carl@c.example", Channel: Local},
		},
		Tries: 3, NextTry: 2000, Local: 2000, Remote: 2100, Reason: "greylisted, come back", Area: "quarantine",
	}
}

func TestFilter(t *testing.T) {
	m := sample()
	const now = 1600
	var (
		none            int
		zero, age, size int64 = 0, 600, 500
		tooSmall        int64 = 499
	)
	for _, test := range []struct {
		name   string
		filter Filter
		want   bool
	}{
		{"nothing asked", Filter{}, true},
		{"number", Filter{IDs: []uint64{1, 7}}, true},
		{"another number", Filter{IDs: []uint64{1}}, false},
		{"sender", Filter{Sender: "*@a.example"}, true},
		{"another sender", Filter{Sender: "*@b.example"}, false},
		{"null sender", Filter{Sender: "<>"}, false},
		{"recipient", Filter{Recipient: "carl@*"}, true},
		{"domain", Filter{Domain: "?.example"}, true},
		{"recipient and domain of one recipient", Filter{Recipient: "carl@*", Domain: "b.example"}, false},
		{"domain on a channel", Filter{Domain: "b.example", Channel: Local}, false},
		{"channel", Filter{Channel: Remote}, true},
		{"part of a reason", Filter{Status: "GREYlisted"}, true},
		{"whole reason", Filter{Status: "grey*back"}, true},
		{"another reason", Filter{Status: "full"}, false},
		{"state", Filter{States: []State{Held, Deferred}}, true},
		{"another state", Filter{States: []State{Held}}, false},
		{"area", Filter{Area: "quarantine"}, true},
		{"concerns sender", Filter{Concerns: []string{"other.example", "a.example"}}, true},
		{"concerns recipient", Filter{Concerns: []string{"B.example"}}, true},
		{"concerns no glob", Filter{Concerns: []string{"*.example"}}, false},
		{"concerns no part", Filter{Concerns: []string{"example"}}, false},
		{"age", Filter{MinAge: 600, MaxAge: &age}, true},
		{"newer than it can be", Filter{MaxAge: &zero}, false},
		{"too young", Filter{MinAge: 601}, false},
		{"size", Filter{MinSize: 500, MaxSize: &size}, true},
		{"too big", Filter{MaxSize: &tooSmall}, false},
		{"empty", Filter{MaxSize: &zero}, false},
		{"tries", Filter{MinTries: 4}, false},
		{"never tried", Filter{MaxTries: &none}, false},
		{"combined", Filter{Sender: "ann*", Domain: "c.*", MinTries: 3, States: []State{Deferred}}, true},
	} {
		if err := test.filter.Check(); err != nil {
			t.Errorf("%s: %v", test.name, err)
		}
		if got := test.filter.Match(&m, now); got != test.want {
			t.Errorf("%s: %v", test.name, got)
		}
	}
	m.Tries = TriesUnknown
	if !(&Filter{}).Match(&m, now) || (&Filter{MaxTries: &none}).Match(&m, now) || (&Filter{MinTries: 1}).Match(&m, now) {
		t.Error("tries that are not known are taken for a number")
	}
	m.Sender = ""
	if f := (Filter{Sender: "<>"}); !f.Match(&m, now) {
		t.Error("the null sender is not found")
	}
}

func TestFilterCheck(t *testing.T) {
	zero, negative := int64(0), -1
	for _, f := range []Filter{
		{Channel: "smtp"}, {States: []State{"odd"}}, {MinAge: 2, MaxAge: &zero}, {MaxTries: &negative}, {MinSize: -1},
		{Sender: strings.Repeat("x", MaxPattern+1)}, {IDs: make([]uint64, MaxNames+1)},
	} {
		if f.Check() == nil {
			t.Errorf("%+.60v is taken", f)
		}
	}
}

func TestSort(t *testing.T) {
	list := []Message{
		{Name: Name{ID: 1, Birth: 30}, Size: 5, Tries: 1, NextTry: 0, Sender: "a@z"},
		{Name: Name{ID: 2, Birth: 20}, Size: 9, Tries: 0, NextTry: 70, Sender: "b@a"},
		{Name: Name{ID: 3, Birth: 10}, Size: 5, Tries: 2, NextTry: 50, Sender: "c@M", Recipients: []Recipient{{Address: "x@y"}}},
	}
	for key, want := range map[Sort][]uint64{
		"":          {3, 2, 1}, // a held message has no next try and comes last
		ByNext:      {3, 2, 1},
		"-next":     {1, 2, 3},
		ByAge:       {3, 2, 1},
		"-age":      {1, 2, 3},
		BySize:      {2, 3, 1}, // alike: the older one first
		ByTries:     {3, 1, 2},
		ByID:        {1, 2, 3},
		BySender:    {2, 3, 1}, // by domain
		ByRecipient: {2, 1, 3},
	} {
		if err := key.Check(); err != nil {
			t.Error(err)
		}
		key.Messages(list)
		var got []uint64
		for _, m := range list {
			got = append(got, m.ID)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q: %v, want %v", key, got, want)
		}
	}
	if Sort("odd").Check() == nil || Sort("--age").Check() == nil {
		t.Error("an odd key is taken")
	}
}

func TestRule(t *testing.T) {
	for _, test := range []struct {
		rule Rule
		want bool
	}{
		{Rule{Destination: "*.B.example"}, false},
		{Rule{Destination: "b.example"}, true},
		{Rule{Destination: "bob@b.*"}, true},
		{Rule{Destination: "ann@*"}, false},
		{Rule{SenderDomain: "a.example"}, true},
		{Rule{SenderDomain: "b.example"}, false},
		{Rule{Channel: Remote}, true},
		{Rule{Channel: Local}, false},
	} {
		if got := test.rule.Applies("ann@a.example", "bob@b.example", Remote); got != test.want {
			t.Errorf("%+v: %v", test.rule, got)
		}
	}
	if r := (Rule{SenderDomain: "*"}); r.Applies("", "bob@b.example", Remote) {
		t.Error("the null sender is of a domain")
	}
	for _, r := range []Rule{
		{Verb: Suspend}, {Verb: Suspend, Destination: "a", Channel: Local}, {Verb: Suspend, Channel: "x"},
		{Verb: BounceRule, Channel: Remote}, {Verb: Suspend, Destination: "a", Reason: strings.Repeat("x", MaxReason+1)},
	} {
		if r.Check() == nil {
			t.Errorf("%+.60v is taken", r)
		}
	}
}

func TestName(t *testing.T) {
	for s, want := range map[string]Name{"7": {ID: 7}, "7.1000": {7, 1000}, "18446744073709551615.1": {1<<64 - 1, 1}} {
		n, err := ParseName(s)
		if err != nil || n != want || n.String() != s {
			t.Errorf("%q: %v, %v", s, n, err)
		}
	}
	for _, s := range []string{"", ".", "7.", ".7", "a", "7.0", "-7", "+7", "7.-1", " 7", "18446744073709551616", "7.1.2"} {
		if n, err := ParseName(s); err == nil {
			t.Errorf("%q is taken for %v", s, n)
		}
	}
}

func FuzzParseName(f *testing.F) {
	f.Add("7.1000")
	f.Fuzz(func(t *testing.T, s string) {
		n, err := ParseName(s)
		if err != nil {
			return
		}
		if again, err := ParseName(n.String()); err != nil || again != n {
			t.Errorf("%q: %v, then %v, %v", s, n, again, err)
		}
	})
}
