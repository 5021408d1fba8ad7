package command

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
)

func TestNotice(t *testing.T) {
	const to = "\r\n\a*** TO <joe> FROM <s@x>\r\n"
	for _, test := range []struct{ name, local, sender, message, want string }{
		{"subject and body", "joe", "s@x", "To: joe\nSubject: hello\n\nbody\nmore\n", to + "    hello//body/more/\r\n"},
		{"no subject", "joe", "s@x", "To: joe\n\nbody\n", to + "    /body/\r\n"},
		{"only a header", "joe", "s@x", "Subject: hello\n", to + "    hello/\r\n"},
		{"escape sequences stay off the terminal", "joe", "s\x1b[2J@x", "Subject: \x1b[2J\x9b\xc3\xa4\n\n",
			"\r\n\a*** TO <joe> FROM <s_[2J@x>\r\n    /[2J/////\r\n"},
		{"78 bytes of text", "joe", "s@x", "Subject: hello\n\n" + strings.Repeat("x", 1000),
			to + "    hello//" + strings.Repeat("x", 78-len("    hello//")) + "\r\n"},
	} {
		got, err := notice(strings.NewReader(test.message), test.local, test.sender)
		if err != nil || got != test.want {
			t.Errorf("%s: got %q, %v, want %q", test.name, got, err, test.want)
		}
	}
}

// login makes a record of utmp(5).
func login(kind uint16, user, line string) []byte {
	r := make([]byte, 384)
	binary.NativeEndian.PutUint16(r, kind)
	copy(r[8:], line)
	copy(r[44:], user)
	return r
}

func TestTerminals(t *testing.T) {
	long := strings.Repeat("u", 32) // fills its field, no NUL behind it
	var utmp []byte
	for _, r := range [][]byte{
		login(7, "joe", "pts/1"),
		login(7, "joe2", "pts/2"),
		login(8, "joe", "pts/3"), // has logged out
		login(7, "joe", "tty1"),
		login(7, "joe", "../etc/passwd"),
		login(7, "joe", "/etc/passwd"),
		login(7, "joe", ""),
		login(7, long, "pts/4"),
		login(7, "joe", "pts/5")[:383], // cut off
	} {
		utmp = append(utmp, r...)
	}
	for user, want := range map[string][]string{
		"joe":     {"pts/1", "tty1"},
		"jo":      nil,
		long:      {"pts/4"},
		long[:31]: nil,
	} {
		if got := terminals(utmp, user); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %q, want %q", user, got, want)
		}
	}
}

func TestTell(t *testing.T) {
	for _, test := range []struct {
		name string
		mode os.FileMode
		want string
	}{
		{"wants to be told", 0o700, "before text"},
		{"biff n", 0o600, "before "},
	} {
		path := filepath.Join(t.TempDir(), "tty")
		if err := os.WriteFile(path, []byte("before "), test.mode); err != nil {
			t.Fatal(err)
		}
		tell(path, "text")
		if got, _ := os.ReadFile(path); string(got) != test.want {
			t.Errorf("%s: the terminal has %q, want %q", test.name, got, test.want)
		}
	}
}

func TestTellTheCallerAlone(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root, to make a terminal of somebody else")
	}
	path := filepath.Join(t.TempDir(), "tty")
	if err := os.WriteFile(path, nil, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(path, 65534, 65534); err != nil {
		t.Fatal(err)
	}
	tell(path, "text")
	if got, _ := os.ReadFile(path); len(got) != 0 {
		t.Errorf("somebody else's terminal has %q", got)
	}
}

// A delivery must not fail because nobody can be told.
func TestQBiffNeverFails(t *testing.T) {
	for _, test := range []struct {
		name    string
		prepare func(t *testing.T, f *Files)
	}{
		{"nobody logged in", func(*testing.T, *Files) {}},
		{"no USER", func(t *testing.T, _ *Files) { unset(t, "USER") }},
		{"no SENDER", func(t *testing.T, _ *Files) { unset(t, "SENDER") }},
		{"no LOCAL", func(t *testing.T, _ *Files) { unset(t, "LOCAL") }},
		{"long USER", func(t *testing.T, _ *Files) { t.Setenv("USER", strings.Repeat("u", 1000)) }},
		{"unreadable message", func(t *testing.T, f *Files) { f[0] = open(t, "/", syscall.O_RDONLY) }},
	} {
		t.Setenv("USER", "no-such-user-here")
		t.Setenv("SENDER", "s@x")
		t.Setenv("LOCAL", "joe")
		f := files(t)
		test.prepare(t, &f)
		if code := QBiff(f); code != 0 || written(t, f[1])+written(t, f[2]) != "" {
			t.Errorf("%s: exit %d, said %q, %q", test.name, code, written(t, f[1]), written(t, f[2]))
		}
	}
}
