package layout

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// installed are the programs of /var/qmail/bin with owner and permissions, as
// qmail's own "make setup" leaves them.
var installed = map[string]struct {
	mode  uint32
	owner string
}{
	"bouncesaying": {0o755, "root"}, "condredirect": {0o755, "root"}, "config": {0o755, "root"},
	"config-fast": {0o755, "root"}, "datemail": {0o755, "root"}, "elq": {0o755, "root"},
	"except": {0o755, "root"}, "forward": {0o755, "root"}, "maildir2mbox": {0o755, "root"},
	"maildirmake": {0o755, "root"}, "maildirwatch": {0o755, "root"}, "mailsubj": {0o755, "root"},
	"pinq": {0o755, "root"}, "predate": {0o755, "root"}, "preline": {0o755, "root"},
	"qail": {0o755, "root"}, "qbiff": {0o755, "root"}, "qmail-clean": {0o711, "root"},
	"qmail-getpw": {0o711, "root"}, "qmail-inject": {0o755, "root"}, "qmail-local": {0o711, "root"},
	"qmail-lspawn": {0o700, "root"}, "qmail-newmrh": {0o700, "root"}, "qmail-newu": {0o700, "root"},
	"qmail-pop3d": {0o755, "root"}, "qmail-popup": {0o711, "root"}, "qmail-pw2u": {0o711, "root"},
	"qmail-qmqpc": {0o755, "root"}, "qmail-qmqpd": {0o755, "root"}, "qmail-qmtpd": {0o755, "root"},
	"qmail-qread": {0o755, "root"}, "qmail-qstat": {0o755, "root"}, "qmail-queue": {0o4711, "qmailq"},
	"qmail-remote": {0o711, "root"}, "qmail-rspawn": {0o711, "root"}, "qmail-send": {0o711, "root"},
	"qmail-showctl": {0o755, "root"}, "qmail-smtpd": {0o755, "root"}, "qmail-start": {0o700, "root"},
	"qmail-tcpok": {0o755, "root"}, "qmail-tcpto": {0o755, "root"}, "qreceipt": {0o755, "root"},
	"qsmhook": {0o755, "root"}, "sendmail": {0o755, "root"}, "splogger": {0o711, "root"},
	"reqmail": {0o755, "root"}, "reqmail-ext": {0o755, "root"}, "tcp-env": {0o755, "root"},
}

// accounts gives each account a number of its own where the caller may set
// owners, and the caller's where not.
func accounts() Accounts {
	a := Accounts{users: map[string]uint32{}, groups: map[string]uint32{}}
	for i, name := range []string{"root", "alias", "qmaild", "qmaill", "qmailp", "qmailq", "qmailr", "qmails"} {
		a.users[name] = uint32(os.Getuid())
		if os.Getuid() == 0 && i > 0 {
			a.users[name] = uint32(7000 + i)
		}
	}
	for i, name := range []string{"qmail", "nofiles"} {
		a.groups[name] = uint32(os.Getgid())
		if os.Getuid() == 0 {
			a.groups[name] = uint32(7100 + i)
		}
	}
	return a
}

// stage installs into a temporary folder.
func stage(t *testing.T) (dest string, from Sources, a Accounts) {
	t.Helper()
	from.Bin = t.TempDir()
	for name := range installed {
		if err := os.WriteFile(filepath.Join(from.Bin, name), []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	from.Man, from.Doc = "../../man", "../../docs"
	dest, a = filepath.Join(t.TempDir(), "qmail"), accounts()
	if err := Install("/var/qmail", dest, from, a.Chown); err != nil {
		t.Fatal(err)
	}
	return dest, from, a
}

func TestEveryCommandIsInTheTable(t *testing.T) {
	commands, err := os.ReadDir("../../cmd")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range commands {
		if _, ok := installed[c.Name()]; !ok {
			t.Errorf("%s is built, but the table of installed programs lacks it", c.Name())
		}
	}
	if len(commands) != len(installed) {
		t.Errorf("%d programs are built, the table has %d", len(commands), len(installed))
	}
}

func TestInstalledPrograms(t *testing.T) {
	dest, _, a := stage(t)
	for name, want := range installed {
		info, err := os.Stat(filepath.Join(dest, "bin", name))
		if err != nil {
			t.Error(err)
			continue
		}
		st := info.Sys().(*syscall.Stat_t)
		if st.Mode&0o7777 != want.mode || st.Uid != a.users[want.owner] || st.Gid != a.groups["qmail"] {
			t.Errorf("%s: mode %o owner %d:%d, want %o %s:qmail", name, st.Mode&0o7777, st.Uid, st.Gid, want.mode, want.owner)
		}
	}
	// Nobody but qmail-smtpd may see what it was told about recipients.
	if info, err := os.Stat(filepath.Join(dest, "callout")); err != nil {
		t.Error(err)
	} else if st := info.Sys().(*syscall.Stat_t); st.Mode != syscall.S_IFDIR|0o700 || st.Uid != a.users["qmaild"] {
		t.Errorf("callout: mode %o owner %d, want a folder of qmaild alone", st.Mode, st.Uid)
	}
	if left, _ := filepath.Glob(filepath.Join(dest, "*/*.new")); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

// TestManualPages: a page for each program, in its section's folder.
func TestManualPages(t *testing.T) {
	dest, _, _ := stage(t)
	for name := range installed {
		if found, _ := filepath.Glob(filepath.Join(dest, "man/man[18]", name+".[18]")); len(found) != 1 {
			t.Errorf("manual pages of %s: %q", name, found)
		}
	}
	for _, page := range []string{
		"addresses.5", "dot-qmail.5", "envelopes.5", "maildir.5", "mbox.5", "qmail-control.5", "qmail-header.5",
		"qmail-log.5", "qmail-users.5", "tcp-environ.5", "qmail.7", "qmail-limits.7", "qmail-command.8",
	} {
		if _, err := os.Stat(filepath.Join(dest, "man/man"+page[len(page)-1:], page)); err != nil {
			t.Error(err)
		}
	}
}

// TestBootScripts: each is a script that a shell accepts and that starts
// qmail-start with the delivery instruction as one argument.
func TestBootScripts(t *testing.T) {
	dest, _, _ := stage(t)
	for _, test := range []struct{ name, delivery string }{
		{"home", "./Mailbox"},
		{"home+df", "|dot-forward .forward\n./Mailbox"},
		{"proc", "|preline procmail"},
		{"proc+df", "|dot-forward .forward\n|preline procmail"},
		{"binm1", `|preline -f /usr/libexec/mail.local -r "${SENDER:-MAILER-DAEMON}" -d "$USER"`},
		{"binm2+df", "|dot-forward .forward\n" + `|preline -f /bin/mail -r "${SENDER:-MAILER-DAEMON}" -d "$USER"`},
		{"binm3", `|preline -f /bin/mail -f "${SENDER:-MAILER-DAEMON}" -d "$USER"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			text, err := os.ReadFile(filepath.Join(dest, "boot", test.name))
			if err != nil {
				t.Fatal(err)
			}
			// A shell with a qmail-start of its own instead of /var/qmail's.
			bin := t.TempDir()
			show := "#!/bin/sh\nprintf '[%s]' \"$@\"\n"
			if err := os.WriteFile(filepath.Join(bin, "qmail-start"), []byte(show), 0o755); err != nil {
				t.Fatal(err)
			}
			script := strings.ReplaceAll(string(text), "/var/qmail/bin", bin)
			if got, want := run(t, script), "["+test.delivery+"][splogger][qmail]"; got != want {
				t.Errorf("qmail-start is run with %s, want %s", got, want)
			}
		})
	}
}

// TestSuperviseFolders: each service and its log has a script that a shell
// accepts and that names the home.
func TestSuperviseFolders(t *testing.T) {
	dest, _, _ := stage(t)
	for script, says := range map[string]string{
		"qmail-send/run":      `PATH="/var/qmail/bin:$PATH"`,
		"qmail-send/log/run":  "multilog t n20 s1000000 /var/log/qmail-send",
		"qmail-smtpd/run":     "0 smtp /var/qmail/bin/qmail-smtpd",
		"qmail-smtpd/log/run": "multilog t n20 s1000000 /var/log/qmail-smtpd",
	} {
		path := filepath.Join(dest, "boot/supervise", script)
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(text), says) {
			t.Errorf("%s does not say %q:\n%s", script, says, text)
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o755 {
			t.Errorf("%s: %v, %v", script, info.Mode(), err)
		}
		if out, err := exec.Command("/bin/sh", "-n", path).CombinedOutput(); err != nil {
			t.Errorf("%s: %v: %s", script, err, out)
		}
	}
}

func run(t *testing.T, script string) string {
	t.Helper()
	out, err := exec.Command("/bin/sh", "-c", script).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}

func TestInstallAgainKeepsWhatIsThere(t *testing.T) {
	dest, from, a := stage(t)
	kept := map[string]string{"control/me": "mx.example\n", "users/assign": ".\n", "queue/lock/tcpto": "x"}
	for path, text := range kept {
		if err := os.WriteFile(filepath.Join(dest, path), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := Install("/var/qmail", dest, from, a.Chown); err != nil {
		t.Fatal(err)
	}
	for path, want := range kept {
		if got, _ := os.ReadFile(filepath.Join(dest, path)); string(got) != want {
			t.Errorf("%s is now %q, want %q", path, got, want)
		}
	}
}

func TestCheck(t *testing.T) {
	dest, from, a := stage(t)
	at := func(path string) string { return filepath.Join(dest, path) }
	check := func(queueOnly bool) (lines []string) {
		t.Helper()
		err := Check("/var/qmail", dest, from, queueOnly, a, func(line string) { lines = append(lines, line) })
		if err != nil {
			t.Fatal(err)
		}
		return lines
	}
	if lines := check(false); len(lines) > 0 {
		t.Fatalf("a fresh home: %q", lines)
	}
	for _, err := range []error{
		os.Chmod(at("bin/qmail-queue"), 0o711),
		os.Remove(at("boot/home")),
		os.Remove(at("queue/lock/trigger")),
		os.WriteFile(at("queue/lock/trigger"), nil, 0o622),
		os.Chmod(at("queue/lock/trigger"), 0o622),
		os.Lchown(at("queue/lock/trigger"), int(a.users["qmails"]), int(a.groups["qmail"])),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	want := []string{
		at("queue/lock/trigger") + " has wrong type",
		at("boot/home") + " does not exist",
		at("bin/qmail-queue") + " has wrong permissions",
	}
	if lines := check(false); !slices.Equal(lines, want) {
		t.Errorf("got %q, want %q", lines, want)
	}
	if lines := check(true); !slices.Equal(lines, want[:1]) {
		t.Errorf("of the queue alone: %q, want %q", lines, want[:1])
	}
	if os.Getuid() == 0 {
		if err := os.Lchown(at("bin/qmail-queue"), 0, 0); err != nil {
			t.Fatal(err)
		}
		lines := check(false)
		for _, line := range []string{at("bin/qmail-queue") + " has wrong owner", at("bin/qmail-queue") + " has wrong group"} {
			if !slices.Contains(lines, line) {
				t.Errorf("no %q in %q", line, lines)
			}
		}
	}
}

// A home of one user's is checked as one: he has made it without accounts.
func TestCheckOfAPrivateHome(t *testing.T) {
	dest, mine := t.TempDir(), Caller()
	if err := Install("/home/joe/qmail", dest, Sources{}, mine.Chown); err != nil {
		t.Fatal(err)
	}
	var lines []string
	check := func() {
		t.Helper()
		lines = nil
		if err := Check("/home/joe/qmail", dest, Sources{}, false, mine, func(line string) { lines = append(lines, line) }); err != nil {
			t.Fatal(err)
		}
	}
	if check(); len(lines) > 0 {
		t.Errorf("a fresh home: %q", lines)
	}
	trigger := filepath.Join(dest, "queue/lock/trigger")
	if err := os.Chmod(trigger, 0o400); err != nil {
		t.Fatal(err)
	}
	if check(); !slices.Equal(lines, []string{trigger + " has wrong permissions"}) {
		t.Errorf("got %q", lines)
	}
}
