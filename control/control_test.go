package control

import (
	"errors"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// open makes a control directory of these files; one whose text is "/" is a
// directory, which nobody can read as a file.
func open(t *testing.T, files map[Name]string) *Dir {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := dir + "/" + string(name)
		err := error(nil)
		if text == "/" {
			err = os.Mkdir(path, 0o700)
		} else {
			err = os.WriteFile(path, []byte(text), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	d, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestLine(t *testing.T) {
	tests := []struct {
		name  string
		files map[Name]string
		file  Name
		want  string
		ok    bool
	}{
		{"first line alone", map[Name]string{"idhost": "a.example\nb.example\n"}, IDHost, "a.example", true},
		{"no newline", map[Name]string{"idhost": "a.example"}, IDHost, "a.example", true},
		{"trailing blanks", map[Name]string{"idhost": " a \t \n"}, IDHost, " a", true},
		{"no comments", map[Name]string{"idhost": "#a\n"}, IDHost, "#a", true},
		{"empty is not missing", map[Name]string{"me": "m", "idhost": ""}, IDHost, "", true},
		{"me stands in", map[Name]string{"me": "m \n"}, IDHost, "m", true},
		{"the name stands in for me", nil, IDHost, "idhost", true},
		{"nothing stands in for me", nil, HeloHost, "", false},
		{"fixed default", map[Name]string{"me": "m"}, BounceFrom, "MAILER-DAEMON", true},
		{"no default", map[Name]string{"me": "m"}, SMTPRoutes, "", false},
		{"me has none", nil, Me, "", false},
	}
	for _, test := range tests {
		got, ok, err := open(t, test.files).Line(test.file)
		if got != test.want || ok != test.ok || err != nil {
			t.Errorf("%s: %q, %v, %v", test.name, got, ok, err)
		}
	}
}

func TestRawHasNoDefault(t *testing.T) {
	d := open(t, map[Name]string{Me: "m\n"})
	if line, ok, err := d.Raw(IDHost); line != "" || ok || err != nil {
		t.Errorf("%q, %v, %v", line, ok, err)
	}
	if line, ok, err := d.Raw(Me); line != "m" || !ok || err != nil {
		t.Errorf("%q, %v, %v", line, ok, err)
	}
}

func TestInt(t *testing.T) {
	for text, want := range map[string]int{
		"5\n": 5, "0": 0, "007": 7, "12 seconds\n": 12, "9\n10\n": 9,
		"": 60, "\n": 60, "x5": 60, "-5": 60, " 5": 60, // no digit first: the default
		"2147483647": 2147483647, "2147483648": -2147483648, "4294967297": 1, // a C int
	} {
		if got, err := open(t, map[Name]string{TimeoutConnect: text}).Int(TimeoutConnect); got != want || err != nil {
			t.Errorf("%q: %d, %v", text, got, err)
		}
	}
	for name, want := range map[Name]int{ConcurrencyLocal: 10, ConcurrencyRemote: 20, ConcurrencySpawn: 120, DataBytes: 0,
		QueueLifetime: 604800, TimeoutConnect: 60, TimeoutRemote: 1200, TimeoutSMTPD: 1200} {
		if got, err := open(t, nil).Int(name); got != want || err != nil {
			t.Errorf("%s: %d, %v", name, got, err)
		}
	}
}

func TestList(t *testing.T) {
	tests := []struct {
		name  string
		files map[Name]string
		file  Name
		want  []string
		ok    bool
	}{
		{"entries", map[Name]string{Locals: "a\nb\n"}, Locals, []string{"a", "b"}, true},
		{"last line without newline", map[Name]string{Locals: "a\nb"}, Locals, []string{"a", "b"}, true},
		{"blanks, comments, empty lines", map[Name]string{Locals: "a \t\n\n \n#c\n #d\n b\n"}, Locals, []string{"a", " #d", " b"}, true},
		{"NUL splits", map[Name]string{Locals: "a\x00b\n\x00c\n"}, Locals, []string{"a", "b"}, true},
		{"empty is not missing", map[Name]string{Me: "m", Locals: ""}, Locals, nil, true},
		{"me stands in", map[Name]string{Me: "m"}, Locals, []string{"m"}, true},
		{"missing", map[Name]string{Me: "m"}, RcptHosts, nil, false},
		{"locals without me", nil, Locals, nil, false},
	}
	for _, test := range tests {
		got, ok, err := open(t, test.files).List(test.file)
		if !slices.Equal(got, test.want) || ok != test.ok || err != nil {
			t.Errorf("%s: %q, %v, %v", test.name, got, ok, err)
		}
	}
}

// A file that is there but cannot be read must never look like a missing one:
// a server without rcpthosts relays for everybody.
func TestUnreadable(t *testing.T) {
	d := open(t, map[Name]string{RcptHosts: "/", IDHost: "/", DataBytes: "/"})
	_, _, lineErr := d.Line(IDHost)
	_, _, rawErr := d.Raw(IDHost)
	_, intErr := d.Int(DataBytes)
	_, _, listErr := d.List(RcptHosts)
	for _, err := range []error{lineErr, rawErr, intErr, listErr} {
		var e *Error
		if !errors.As(err, &e) || !errors.Is(err, syscall.EISDIR) || !strings.Contains(err.Error(), e.Path) {
			t.Errorf("%v", err)
		}
	}
	dir := t.TempDir()
	if err := os.Mkdir(dir+"/me", 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir); err == nil {
		t.Error("unreadable me is no error")
	}
}

// Who glances at a directory knows what is missing in it, unless that may be
// changing, and never takes rcpthosts for missing.
func TestGlance(t *testing.T) {
	for _, test := range []struct {
		name    string
		changed time.Duration // before
		many    int           // other files
		seen    bool          // what came later
	}{
		{"long ago", time.Minute, 3, false},
		{"as many files as one call does not list", time.Minute, 500, false},
		{"too many files", time.Minute, 3000, true},
		{"just now", 0, 3, true},
		{"in the future", -time.Minute, 3, true},
	} {
		dir := t.TempDir()
		write := func(name Name) {
			if err := os.WriteFile(dir+"/"+string(name), []byte("5\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		for i := range test.many {
			write(Name("other" + strconv.Itoa(i)))
		}
		write(Me)
		write(MaxRcpt)
		when := time.Now().Add(-test.changed)
		if err := os.Chtimes(dir, when, when); err != nil {
			t.Fatal(err)
		}
		d, err := Glance(dir)
		if err != nil {
			t.Fatal(err)
		}
		if me, ok := d.Me(); me != "5" || !ok {
			t.Errorf("%s: me is %q, %v", test.name, me, ok)
		}
		if n, err := d.Int(MaxRcpt); n != 5 || err != nil {
			t.Errorf("%s: a file that was there: %d, %v", test.name, n, err)
		}
		write(BrtLimit)
		if n, err := d.Int(BrtLimit); (n == 5) != test.seen || err != nil || d.Lacks(BrtLimit) == test.seen {
			t.Errorf("%s: a file that came later: %d, %v", test.name, n, err)
		}
		write(RcptHosts)
		if list, ok, err := d.List(RcptHosts); len(list) != 1 || !ok || err != nil {
			t.Errorf("%s: rcpthosts: %q, %v, %v", test.name, list, ok, err)
		}
	}
	if d, err := Glance(t.TempDir() + "/none"); err != nil || d.Lacks(Me) {
		t.Errorf("no directory: %v", err)
	}
}

func TestMe(t *testing.T) {
	if me, ok := open(t, map[Name]string{Me: "m.example\n"}).Me(); me != "m.example" || !ok {
		t.Errorf("%q, %v", me, ok)
	}
	if me, ok := open(t, nil).Me(); me != "" || ok {
		t.Errorf("%q, %v", me, ok)
	}
}

func TestMaps(t *testing.T) {
	pairs := Pairs([]string{"A.Example:one", "b:x:y", "no colon", "a.example:two", ":rest"})
	for key, want := range map[string]string{"a.EXAMPLE": "two", "b": "x:y", "": "rest"} {
		if got, ok := pairs.Get(key); got != want || !ok {
			t.Errorf("%q: %q, %v", key, got, ok)
		}
	}
	if pairs.Has("no colon") {
		t.Error("an entry without colon counts")
	}
	set := Set([]string{"A", "b:c"})
	if !set.Has("a") || !set.Has("B:C") || set.Has("b") || Map(nil).Has("a") {
		t.Errorf("%v", slices.Collect(maps.Keys(set)))
	}
}

// FuzzParseList: entries hold no line ends and no NUL, and are never more than
// their text can hold; keys hold no colon.
func FuzzParseList(f *testing.F) {
	for _, seed := range []string{"a\n#b\n\n c \t\n", "a\x00#b\x00\x00\n", "\x00\n", "#"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		entries := ParseList(text)
		if len(entries) > len(text) {
			t.Fatalf("%d entries of %d bytes", len(entries), len(text))
		}
		for _, e := range entries {
			if strings.ContainsAny(e, "\n\x00") {
				t.Fatalf("%q", e)
			}
		}
		for key := range Pairs(entries) {
			if strings.Contains(key, ":") {
				t.Fatalf("key %q", key)
			}
		}
	})
}

// FuzzNumber: a number is one of 32 bits, and what follows it changes nothing.
func FuzzNumber(f *testing.F) {
	for _, seed := range []string{"5", "", "-1", "99999999999999999999999", "7 s"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, ok := Number(s)
		if n != int(int32(n)) || ok != (s != "" && '0' <= s[0] && s[0] <= '9') {
			t.Fatalf("%q: %d, %v", s, n, ok)
		}
		if again, ok2 := Number(s + "x"); again != n || ok2 != ok {
			t.Fatalf("%q: %d and %d", s, n, again)
		}
	})
}

func TestDomain(t *testing.T) {
	m := Pairs([]string{"a.example:1", ".a.example:2", ".b.a.example:", ":4"})
	for domain, want := range map[string]string{
		"a.example": "1", "A.Example": "1", "x.a.example": "2", "y.x.a.example": "2", "c.b.a.example": "", "xa.example": "4", "": "4",
	} {
		if got, ok := m.Domain(domain); got != want || !ok {
			t.Errorf("%s: got %q, %v, want %q", domain, got, ok, want)
		}
	}
	if got, ok := Pairs([]string{"a:1"}).Domain("b"); ok {
		t.Errorf("nothing is there, but got %q", got)
	}
}

func TestResidents(t *testing.T) {
	home := t.TempDir()
	for _, test := range []struct {
		text string
		want bool
	}{{"1\n", true}, {"0\n", false}, {"", true}} {
		if err := os.MkdirAll(home+"/control", 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(home+"/control/residentchildren", []byte(test.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := Residents(home); got != test.want {
			t.Errorf("%q: got %v", test.text, got)
		}
	}
}
