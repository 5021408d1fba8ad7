package lspawn

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/reqmail/reqmail/compat/fdio"
	"github.com/reqmail/reqmail/qmail/spawn"
	"github.com/reqmail/reqmail/qmail/users"
)

// recipient is the account that deliveries of the tests run under: the
// caller's, or an unprivileged one if that is root.
func recipient() int {
	if uid := os.Geteuid(); uid != 0 {
		return uid
	}
	return 65534
}

// showArguments and showAccount are programs that tell what they are given.
const (
	showArguments = `printf '<%s>' "$@"; printf ' %s %s ' "$(pwd -P)" "$(id -u):$(id -G)"; cat; echo complaint >&2`
	showAccount   = `printf '%s\0' "$1" UID UID /home/joe - "ext of $1"`
)

// spawner makes a home with users/assign, if that is not empty, and with
// programs in bin.
func spawner(t *testing.T, assign string, programs map[string]string) *Local {
	t.Helper()
	home, err := os.MkdirTemp("", "reqmail-lspawn.") // where the recipient can get
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(home) })
	uid := fmt.Sprint(recipient())
	files := map[string]string{}
	for name, script := range programs {
		files["bin/"+name] = "#!/bin/sh\n" + strings.ReplaceAll(script, "UID", uid) + "\n"
	}
	if assign != "" {
		files["users/assign"] = strings.ReplaceAll(assign, "UID", uid) + ".\n"
	}
	for _, dir := range []string{"", "bin", "users"} {
		path := filepath.Join(home, dir)
		if err := os.MkdirAll(path, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(home, name), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(filepath.Join(home, name), 0o755); err != nil { // whatever the umask is
			t.Fatal(err)
		}
	}
	if assign != "" {
		t.Chdir(home)
		if err := users.Newu(); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("REQMAIL_HOME", home)
	null, err := fdio.Open(os.DevNull, syscall.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { null.Close() })
	local, getpw := NewRunners(home)
	return &Local{Home: home, UID: uint32(os.Geteuid()), DefaultDelivery: "./Mailbox", Runner: local, Getpw: getpw, Null: null,
		Assigned: &users.Database{Path: home + "/users/cdb"},
		GetpwUID: uint32(recipient()), GetpwGID: uint32(recipient())}
}

// deliver carries out a delivery of the message "text" and returns its end
// and what it printed.
func deliver(t *testing.T, l *Local, local string) (spawn.End, string) {
	t.Helper()
	message := filepath.Join(t.TempDir(), "message")
	if err := os.WriteFile(message, []byte("text\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	in, err := fdio.Open(message, syscall.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	var output strings.Builder
	end := l.Run(spawn.Delivery{Sender: "s@y", Recipient: local + "@x", Local: local, Domain: "x", Message: in, Output: &output})
	return end, output.String()
}

func TestRun(t *testing.T) {
	const assign = "=joe:joe:UID:UID:/home/joe:::\n+joe-:joe:UID:UID:/home/joe:-::\n+list-:lists:UID:UID:/home/lists:-:l-:\n"
	both := map[string]string{"qmail-local": showArguments, "qmail-getpw": showAccount}
	for _, test := range []struct {
		name, assign, local string
		want                string // operands of qmail-local, behind --
	}{
		{"by users/cdb", assign, "joe", "<joe></home/joe><joe><><>"},
		{"in any case of letters", assign, "JOE", "<joe></home/joe><JOE><><>"},
		{"with an extension", assign, "Joe-Ext-x", "<joe></home/joe><Joe-Ext-x><-><Ext-x>"},
		{"with a prefix", assign, "list-a", "<lists></home/lists><list-a><-><l-a>"},
		{"by qmail-getpw", assign, "Ann-B", "<Ann-B></home/joe><Ann-B><-><ext of Ann-B>"},
		{"without users/cdb", "", "joe", "<joe></home/joe><joe><-><ext of joe>"},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := spawner(t, test.assign, both)
			id := fmt.Sprintf("%d:%[1]d", recipient())
			if os.Geteuid() != 0 {
				id = fmt.Sprintf("%d:", recipient()) // its groups stay
			}
			end, got := deliver(t, l, test.local)
			want := "<-->" + test.want + "<x><s@y><./Mailbox> " + l.Home + " " + id
			if end != (spawn.End{}) || !strings.HasPrefix(got, want) || !strings.HasSuffix(got, " text\ncomplaint\n") {
				t.Errorf("got %+v, %q, want %q …", end, got, want)
			}
		})
	}
}

// TestRunEnds: how the delivery to joe ends with these programs.
func TestRunEnds(t *testing.T) {
	const toJoe = "=joe:joe:UID:UID:/home/joe:::\n"
	local := func(script string) map[string]string { return map[string]string{"qmail-local": script} }
	getpw := func(script string) map[string]string {
		return map[string]string{"qmail-local": showArguments, "qmail-getpw": script}
	}
	for _, test := range []struct {
		name, assign string
		programs     map[string]string
		want         spawn.End
	}{
		{"qmail-local's exit code", toJoe, local("exit 100"), spawn.End{Code: 100}},
		{"a crash", toJoe, local("kill -9 $$"), spawn.End{Crashed: true}},
		{"no qmail-local", toJoe, nil, spawn.End{Code: 126}},
		{"root", "=joe:root:0:0:/root:::\n", local("exit 0"), spawn.End{Code: 113}},
		{"uid -1", "=joe:joe:4294967295:UID:/home/joe:::\n", local("exit 0"), spawn.End{Code: 112}},
		{"no qmail-getpw", "", local("exit 0"), spawn.End{Code: 121}},
		{"qmail-getpw's exit code", "", getpw("exit 116"), spawn.End{Code: 116}},
		{"qmail-getpw crashed", "", getpw("kill -9 $$"), spawn.End{Code: 118}},
		{"too few fields", "", getpw(`printf 'joe\0UID\0UID\0/home/joe\0-\0ext'`), spawn.End{Code: 112}},
		{"no account", "", getpw("exit 0"), spawn.End{Code: 112}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if end, output := deliver(t, spawner(t, test.assign, test.programs), "joe"); end != test.want {
				t.Errorf("got %+v, %q, want %+v", end, output, test.want)
			}
		})
	}
}

// A database that cannot be read must not send the mail of the users in it to
// somebody else.
func TestUnreadableDatabase(t *testing.T) {
	for name, spoil := range map[string]func(path string) error{
		"a directory": func(path string) error { return os.Mkdir(path, 0o755) },
		"a loop":      func(path string) error { return os.Symlink("cdb", path) },
		"empty":       func(path string) error { return os.WriteFile(path, nil, 0o644) },
	} {
		l := spawner(t, "", map[string]string{"qmail-local": "exit 0", "qmail-getpw": showAccount})
		if err := spoil(l.Home + "/users/cdb"); err != nil {
			t.Fatal(err)
		}
		if end, _ := deliver(t, l, "joe"); end.Code != 117 {
			t.Errorf("%s: exit %d, want 117", name, end.Code)
		}
	}
}

func TestNoHome(t *testing.T) {
	l := spawner(t, "", nil)
	l.Home += "/none"
	if end := l.start(spawn.Delivery{}, account{uid: uint32(recipient()), gid: uint32(recipient())}); end.Code != 112 {
		t.Errorf("exit %d, want 112", end.Code)
	}
}

// In a private home there is one user; another one's mail is not his.
func TestPrivateHome(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root's home is nobody's private one")
	}
	l := spawner(t, "=joe:joe:4242:4242:/home/joe:::\n", map[string]string{"qmail-local": "exit 0"})
	if end, _ := deliver(t, l, "joe"); end.Code != 112 {
		t.Errorf("exit %d, want 112", end.Code)
	}
}
