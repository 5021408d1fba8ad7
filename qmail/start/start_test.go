package start

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/reqmail/reqmail/compat/ids"
)

// instead makes the test program qmail-start.
const instead = "REQMAIL_TEST_START"

func TestMain(m *testing.M) {
	if os.Getenv(instead) != "" {
		os.Exit(Run(os.Args[1:]))
	}
	os.Exit(m.Run())
}

// unprivileged is the uid and gid that a private home belongs to when root
// runs the tests.
const unprivileged = 65534

// report is what every daemon of the tests says about itself. $DIR/out/$NAME
// gets it by descriptor 9: a smaller one would be in the way.
const report = `exec 9>"$DIR/out/$NAME"
{
	echo "pid $$"
	echo "parent $PPID"
	echo "uid $(id -u)"
	echo "groups $(id -G)"
	echo "umask $(umask)"
	echo "dir $(pwd -P)"
	echo "mark $MARK"
} >&9
printf 'args' >&9
[ $# = 0 ] || printf ' <%s>' "$@" >&9
echo >&9
`

// descriptors adds the descriptors, which are seen from a subshell: its
// redirections move none of them.
const descriptors = `for n in 0 1 2 3 4 5 6 7 8; do
	if [ -e /proc/$$/fd/$n ]; then
		(echo "fd$n $(readlink /proc/$$/fd/$n)" >&9)
	fi
done
exec 9>&-
`

// fakes are the daemons, as shell scripts. Those that qmail-send talks to say
// that they are ready, and end with their pipe.
var fakes = map[string]string{
	"qmail-lspawn": `NAME=lspawn; . "$DIR/report"; . "$DIR/descriptors"; echo ready; cat >/dev/null`,
	"qmail-rspawn": `NAME=rspawn; . "$DIR/report"; . "$DIR/descriptors"; echo ready; cat >/dev/null`,
	"qmail-clean":  `NAME=clean; . "$DIR/report"; . "$DIR/descriptors"; echo ready; cat >/dev/null`,
	"qmail-send": `NAME=send; . "$DIR/report"; . "$DIR/descriptors"
read a <&2; read b <&4; read c <&6
echo "up: $a $b $c" >&0`,
	"logger": `NAME=logger; . "$DIR/report"; . "$DIR/descriptors"; cat`,
}

// system is a directory with daemons to start.
type system struct{ dir string }

// newSystem makes one that everybody can use.
func newSystem(t *testing.T) system {
	t.Helper()
	dir, err := os.MkdirTemp("", "reqmail-start.")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	for _, sub := range []string{"", "/bin", "/out"} {
		if err := os.MkdirAll(dir+sub, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{"qmail-start": string(self), "report": report, "descriptors": descriptors}
	for name, script := range fakes {
		files["bin/"+name] = "#!/bin/sh\n" + script + "\n"
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for sub, mode := range map[string]os.FileMode{"": 0o755, "/bin": 0o755, "/out": 0o777} {
		if err := os.Chmod(dir+sub, mode); err != nil { // whatever the umask is
			t.Fatal(err)
		}
	}
	return system{dir}
}

// command is qmail-start in an ordinary user's home.
func (s system) command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(s.dir+"/qmail-start", args...)
	cmd.Env = []string{instead + "=1", "DIR=" + s.dir, "MARK=inherited", "REQMAIL_HOME=" + s.dir,
		"GOCOVERDIR=" + s.dir + "/out", // go test -cover would complain on standard error
		"PATH=" + s.dir + "/bin:/usr/bin:/bin"}
	cmd.WaitDelay = 10 * time.Second
	if os.Geteuid() == 0 {
		if err := os.Chown(s.dir, unprivileged, unprivileged); err != nil {
			t.Fatal(err)
		}
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: unprivileged, Gid: unprivileged}}
	}
	return cmd
}

// outcome runs qmail-start and what it becomes. log is what came out of it by
// descriptor 1, or by the logger.
func outcome(t *testing.T, cmd *exec.Cmd) (code int, log, said string) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = w, &stderr
	if err := r.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	err = cmd.Start()
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	// The pipe ends when the last one that has it ends: the logger.
	var out bytes.Buffer
	if _, err := out.ReadFrom(r); err != nil {
		t.Errorf("log: %v", err)
	}
	_ = cmd.Wait()
	return cmd.ProcessState.ExitCode(), out.String(), stderr.String()
}

// facts are the lines of a report by their first word.
type facts map[string]string

func (s system) facts(t *testing.T, name string) facts {
	t.Helper()
	file, err := os.Open(s.dir + "/out/" + name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	f := facts{}
	for lines := bufio.NewScanner(file); lines.Scan(); {
		key, value, _ := strings.Cut(lines.Text(), " ")
		f[key] = value
	}
	return f
}

// descriptors returns which of 0 to 8 are open.
func (f facts) descriptors() string {
	open := ""
	for n := range 9 {
		if _, ok := f["fd"+strconv.Itoa(n)]; ok {
			open += strconv.Itoa(n)
		}
	}
	return open
}

// wired complains unless the daemons have the pipes between them, and nothing
// else.
func (s system) wired(t *testing.T, logger bool) {
	t.Helper()
	send := s.facts(t, "send")
	want := map[string]string{"send": "0123456", "lspawn": "01", "rspawn": "01", "clean": "01"}
	if logger {
		want["logger"] = "01"
	}
	for name, open := range want {
		f := s.facts(t, name)
		if got := f.descriptors(); got != open {
			t.Errorf("%s: has descriptors %s, want %s", name, got, open)
		}
		if f["umask"] != "0077" || f["dir"] != "/" || f["mark"] != "inherited" {
			t.Errorf("%s: umask %s, directory %s, environment %q", name, f["umask"], f["dir"], f["mark"])
		}
		if name != "send" && f["parent"] != send["pid"] {
			t.Errorf("%s: is a child of %s, want qmail-send, %s", name, f["parent"], send["pid"])
		}
	}
	ends := map[string]bool{}
	for fd, other := range map[string]string{
		"fd1": "lspawn fd0", "fd2": "lspawn fd1", "fd3": "rspawn fd0", "fd4": "rspawn fd1", "fd5": "clean fd0", "fd6": "clean fd1", "fd0": "logger fd0",
	} {
		name, number, _ := strings.Cut(other, " ")
		if name == "logger" && !logger {
			continue
		}
		if got := s.facts(t, name)[number]; got != send[fd] || !strings.HasPrefix(got, "pipe:") || ends[got] {
			t.Errorf("%s is %s, %s of qmail-send is %s: want a pipe of their own", other, got, fd, send[fd])
		}
		ends[send[fd]] = true
	}
}

func TestPrivateHome(t *testing.T) {
	for _, test := range []struct {
		name         string
		args         []string
		lspawn, logs string
		logger       bool
	}{
		{"no arguments", nil, "<./Mailbox>", "", false},
		{"a default delivery", []string{"|a b\n./Maildir/"}, "<|a b", "", false}, // its first line
		{"an empty one", []string{""}, "<>", "", false},
		{"a logger", []string{"./Maildir/", "logger", "a b", ""}, "<./Maildir/>", "<a b> <>", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newSystem(t)
			code, log, said := outcome(t, s.command(t, test.args...))
			if code != 0 || log != "up: ready ready ready\n" || said != "" {
				t.Fatalf("exit %d, log %q, said %q", code, log, said)
			}
			s.wired(t, test.logger)
			for name, want := range map[string]string{"lspawn": test.lspawn, "rspawn": "", "clean": "", "send": "", "logger": test.logs} {
				if name == "logger" && !test.logger {
					continue
				}
				f := s.facts(t, name)
				if f["args"] != want {
					t.Errorf("%s: arguments %s, want %s", name, f["args"], want)
				}
				if uid := os.Geteuid(); uid != 0 && f["uid"] != strconv.Itoa(uid) || uid == 0 && f["uid"] != strconv.Itoa(unprivileged) {
					t.Errorf("%s: uid %s, want the caller's", name, f["uid"])
				}
			}
		})
	}
}

// The process that is started is the one that becomes qmail-send: supervise
// signals it.
func TestKeepsItsNumber(t *testing.T) {
	s := newSystem(t)
	cmd := s.command(t)
	outcome(t, cmd)
	if got, want := s.facts(t, "send")["pid"], strconv.Itoa(cmd.ProcessState.Pid()); got != want {
		t.Errorf("qmail-send is process %s, want %s", got, want)
	}
}

// TestAccounts: with the qmail accounts each daemon runs under its own. They
// are put in place of the host's for qmail-start alone.
func TestAccounts(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	s := newSystem(t)
	for name, text := range map[string]string{
		"passwd": "root:x:0:0::/:/bin/sh\nqmaill:x:7001:7100::/:/bin/sh\nqmailq:x:7002:7200::/:/bin/sh\n" +
			"qmailr:x:7003:7200::/:/bin/sh\nqmails:x:7004:7200::/:/bin/sh\n",
		"group": "root:x:0:\nnofiles:x:7100:\nqmail:x:7200:\nmailers:x:7300:joe,qmailr\nothers:x:7400:joe,qmailq\n",
	} {
		if err := os.WriteFile(s.dir+"/"+name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	cmd := s.command(t)
	const noMount = 99
	mount := fmt.Sprintf(`mount --bind "$DIR/passwd" /etc/passwd && mount --bind "$DIR/group" /etc/group || exit %d; exec "$@"`, noMount)
	cmd.Path, cmd.Args = "/bin/sh", []string{"sh", "-c", mount, "sh", s.dir + "/qmail-start", "./Mailbox", "logger"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	if err := exec.Command("unshare", "-m", "true").Run(); err != nil {
		t.Skip("needs the right to mount: ", err)
	}
	code, log, said := outcome(t, cmd)
	if code == noMount {
		t.Skip("needs the right to mount: ", said)
	}
	if code != 0 || log != "up: ready ready ready\n" || said != "" {
		t.Fatalf("exit %d, log %q, said %q", code, log, said)
	}
	s.wired(t, true)
	for name, want := range map[string][2]string{
		"logger": {"7001", "7100"},
		"lspawn": {"0", "7200"},
		"rspawn": {"7003", "7200 7300"}, // the site may have given it more
		"clean":  {"7002", "7200"},
		"send":   {"7004", "7200"},
	} {
		f := s.facts(t, name)
		if got := [2]string{f["uid"], f["groups"]}; got != want {
			t.Errorf("%s: runs under %s, want %s", name, got, want)
		}
	}
}

func TestCredential(t *testing.T) {
	t.Setenv("REQMAIL_HOME", "/") // root's
	for _, test := range []struct {
		groups []uint32
		want   []uint32
	}{
		{nil, []uint32{2}},
		{[]uint32{2, 3}, []uint32{2, 3}},
	} {
		c := credential(1, 2, test.groups...)
		if c.Uid != 1 || c.Gid != 2 || !reflect.DeepEqual(c.Groups, test.want) {
			t.Errorf("%v: got %+v", test.groups, c)
		}
	}
}

func TestFails(t *testing.T) {
	for _, test := range []struct {
		name    string
		prepare func(t *testing.T, s system, cmd *exec.Cmd)
		want    string
	}{
		{"no qmail-send", func(*testing.T, system, *exec.Cmd) {}, ""},
		{"qmail-send is no program", func(t *testing.T, s system, _ *exec.Cmd) {
			if err := os.WriteFile(s.dir+"/bin/qmail-send", nil, 0o644); err != nil {
				t.Fatal(err)
			}
		}, ""},
		{"no accounts", func(t *testing.T, _ system, cmd *exec.Cmd) {
			if _, ok, _ := ids.Lookup(ids.Log); ok {
				t.Skip("this host has them")
			}
			cmd.Env = append(cmd.Env, "REQMAIL_HOME=/") // not the caller's: no private home
		}, "fatal: unable to find user qmaill\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newSystem(t)
			for name := range fakes { // nobody is left behind
				if err := os.Remove(s.dir + "/bin/" + name); err != nil {
					t.Fatal(err)
				}
			}
			cmd := s.command(t)
			test.prepare(t, s, cmd)
			if code, log, said := outcome(t, cmd); code != 111 || log != "" || said != test.want {
				t.Errorf("exit %d, log %q, said %q, want 111, %q", code, log, said, test.want)
			}
		})
	}
}

// A daemon that cannot be executed is for qmail-send to complain about: it
// finds a pipe that is broken.
func TestMissingDaemon(t *testing.T) {
	s := newSystem(t)
	if err := os.Remove(s.dir + "/bin/qmail-rspawn"); err != nil {
		t.Fatal(err)
	}
	if code, log, said := outcome(t, s.command(t)); code != 0 || log != "up: ready  ready\n" || said != "" {
		t.Errorf("exit %d, log %q, said %q", code, log, said)
	}
}
