package migrate

import (
	"bytes"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

func TestLowestLimit(t *testing.T) {
	const mega = 1 << 20
	for _, test := range []struct {
		name, text string
		rules      []limitRule
		want       uint64 // 0: none
	}{
		{"soft limits do no harm", "exec softlimit -m 2000000 tcpserver\nulimit -Sv 20000\n", shellLimits(), 0},
		{"ulimit counts kilobytes", "ulimit -v 102400\n", shellLimits(), 100 * mega},
		{"hard ulimit", "ulimit -Hv 204800\n", shellLimits(), 200 * mega},
		{"a comment", "# ulimit -v 1000\n", shellLimits(), 0},
		{"prlimit, the hard one", "prlimit --as=1048576:2097152 qmail-start\n", shellLimits(), 2 * mega},
		{"the lowest of several", "ulimit -v 2048\nulimit -v 1024\n", shellLimits(), mega},
		{"a unit", "[Service]\nLimitAS=512M\n", unitLimits("LimitAS"), 512 * mega},
		{"a unit, soft and hard", "LimitAS=1M:2G\n", unitLimits("LimitAS"), 2048 * mega},
		{"soft limits", "exec softlimit -o 20 -m 2000000 tcpserver\nulimit -Sv 20000\n", softLimits(), 2000000},
		{"chpst", "exec chpst -u joe -m 4000000 x\n", softLimits(), 4000000},
		{"infinity", "LimitAS=infinity\n", unitLimits("LimitAS"), 0},
		{"another of the unit's limits", "DefaultLimitAS=1M\n", unitLimits("LimitAS"), 0},
		{"xinetd", "service smtp\n{\n\trlimit_as = 32M\n}\n", xinetdLimits(), 32 * mega},
		{"xinetd, in bytes", "\trlimit_as=1048576\n", xinetdLimits(), mega},
		{"xinetd without", "\trlimit_as = UNLIMITED\n", xinetdLimits(), 0},
		{"limits.conf", "@mail hard as 100000\n* soft as 10\n", pamLimits(), 100000 << 10},
		{"more than a number holds", "ulimit -v 99999999999999999999999\n", shellLimits(), 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got, found := lowest(test.text, test.rules); got != test.want || found != (test.want != 0) {
				t.Errorf("%d (%v), want %d", got, found, test.want)
			}
		})
	}
}

// TestDoctor: what the host of package tests has that an administrator should
// know is said, and nothing is changed.
func TestDoctor(t *testing.T) {
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("no go command to build programs with")
	}
	b := builds{build(t, strings.TrimSuffix(module, "/")), build(t, "example.com/other")}
	h := fake(t, b)
	put(t, h.path("/usr/local/psa/version"), "11.5.30 Debian 7.0\n", 0o644)
	put(t, h.path("/etc/xinetd.d/smtp_psa"), "service smtp\n{\n server = /var/qmail/bin/tcp-env\n rlimit_as = 64M\n}\n", 0o644)
	put(t, h.path("/etc/xinetd.d/ftp_psa"), "service ftp\n{\n server = /usr/sbin/proftpd\n rlimit_as = 8M\n}\n", 0o644)
	put(t, h.path("/service/qmail-send/run"), "#!/bin/sh\nulimit -v 30000\nexec /var/qmail/rc\n", 0o755)
	put(t, h.home("rc"), "#!/bin/sh\nexec env - PATH=/var/qmail/bin:$PATH qmail-start ./Maildir/\n", 0o755)
	put(t, h.path("/service/smtpd/run"), "#!/bin/sh\nexec softlimit -m 2000000 tcpserver 0 25 qmail-smtpd\n", 0o755)
	put(t, h.home("control/spfbehavior"), "3\n", 0o644)
	put(t, h.home("control/me"), "mx.example\n", 0o600)
	put(t, h.home("control/concurrencylocal"), "3x\n", 0o644)
	put(t, h.home("control/concurrencyremote"), "typo\n", 0o644)
	put(t, h.home("control/databytes"), "99999999999\n", 0o644)
	put(t, h.home("control/tlshosts/x.pem"), "", 0o644)
	put(t, h.home("control/taps"), "x\n", 0o644)
	put(t, h.home("control/nonsense"), "x\n", 0o644)
	put(t, h.home("bin/qmail-send"), content(t, b.theirs)+"control/taps\x00", 0o711)
	put(t, h.home("bin/qmail-local.moved"), content(t, b.theirs), 0o711)
	put(t, h.home("bin/qmail-local.origin"), content(t, b.theirs)+"x", 0o711)
	put(t, h.From+"/qmail-local", content(t, b.ours), 0o755)
	put(t, h.home("queue/todo/0/x"), "", 0o644) // big-todo
	put(t, h.home("queue/info/0/4711"), "", 0o600)
	if err := os.Remove(h.home("queue/lock/trigger")); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(h.home("queue/lock/trigger"), 0o600); err != nil {
		t.Fatal(err)
	}
	before := h.state(t)

	var out bytes.Buffer
	if code := h.Doctor(&Report{Out: &out}); code != Look {
		t.Errorf("exit code %d", code)
	}
	for _, line := range []string{
		"ok: host: /var/qmail: a Plesk host, 11.5.30 Debian 7.0",
		"/service/qmail-send: starts qmail-send (supervise)",
		"bad: limits: /etc/xinetd.d/smtp_psa: a hard limit of 64 MB",
		"bad: limits: /service/smtpd/run: a soft limit of 2000000 bytes",
		"bad: limits: /service/qmail-send/run: a hard limit of 29 MB",
		"ok: wrappers: /var/qmail/bin/qmail-queue: is a wrapper; a swap replaces qmail-queue.moved behind it",
		"look: wrappers: qmail-local: has two originals",
		"look: wrappers: /var/qmail/bin/sendmail: is not qmail's but a script (#!/bin/sh): a swap leaves it alone",
		"look: patches: /var/qmail/control/taps: qmail-send reads it, none of our programs does (taps)",
		"look: patches: /var/qmail/control/nonsense: nobody reads it",
		`look: controls: /var/qmail/control/concurrencylocal: "3x" is more than a number: 3 counts`,
		`look: controls: /var/qmail/control/concurrencyremote: "typo" is no number: the default counts, 20`,
		`look: controls: /var/qmail/control/databytes: "99999999999" is too big: 1215752191 counts`,
		"bad: queue: /var/qmail/queue/todo: has subdirectories, as the big-todo patch makes them",
		"look: queue: /var/qmail/queue: 1 files in queue/info belong to no message",
		"ok: selinux: not in use",
	} {
		if !strings.Contains(out.String(), line) {
			t.Errorf("no %q in\n%s", line, &out)
		}
	}
	shutOut := "look: controls: /var/qmail/control/me: a user who sends mail by qmail-inject, or a daemon that is not root's, cannot read it: it has mode 0600"
	if strings.Contains(out.String(), shutOut) == h.private() {
		t.Errorf("control/me in a home of one user (%v):\n%s", h.private(), &out)
	}
	for _, fine := range []string{"ftp_psa", "spfbehavior", "tlshosts"} {
		if strings.Contains(out.String(), fine) {
			t.Errorf("%s is remarked on in\n%s", fine, &out)
		}
	}
	if after := h.state(t); len(after) != len(before) {
		t.Error("the doctor has changed bin/")
	}
}
