package plesk

import (
	"bufio"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/reqmail/reqmail/tests/peer"
)

// TestHost is the life of a host: mail before, a swap that is killed again and
// again, mail by every way in, and a rollback that is killed too. It runs
// where TestPlesk puts it.
func TestHost(t *testing.T) {
	if os.Getenv(inside) == "" {
		t.Skip("runs within TestPlesk")
	}
	if err := enter(); err != nil {
		t.Fatal(err)
	}
	w := start(t)
	before := w.programs()
	w.deliver()
	w.doctor()

	w.killedAtSteps("swap", "--from", newBin, "--no-test", "--log", "/var/log/maillog")
	w.reqmail("swap", "--from", newBin, "--log", "/var/log/maillog")
	w.checkSwapped(before, w.programs())
	w.deliver()
	w.waysIn()

	w.killedAtSteps("rollback")
	w.reqmail("rollback", "--all")
	if after := w.programs(); !maps.Equal(before, after) {
		t.Errorf("after the rollback bin/ is not as before:\n%v\n%v", before, after)
	}
	w.deliver()
	if extra := len(w.mailbox()) - w.sent; extra != 0 {
		t.Errorf("%d messages too many in the mailbox", extra)
	}
}

// reqmail runs the management command, which must succeed.
func (w *world) reqmail(args ...string) string {
	w.Helper()
	out, err := exec.Command(newBin+"/reqmail", args...).CombinedOutput()
	if code, exited := err.(*exec.ExitError); err != nil && (!exited || code.ExitCode() != 1) { // 1: something to look at
		log, _ := os.ReadFile("/var/log/maillog")
		w.Fatalf("reqmail %q: %v\n%s\n%s", args, err, out, log)
	}
	return string(out)
}

// doctor must know the kind of host, its wrappers, and how it is started.
func (w *world) doctor() {
	out := w.reqmail("doctor", "--from", newBin)
	for _, text := range []string{
		"a Plesk host", "/etc/init.d/qmail: starts qmail-send (init script)",
		"bin/qmail-queue: is a wrapper; a swap replaces qmail-queue.moved behind it",
	} {
		if !strings.Contains(out, text) {
			w.Errorf("doctor does not say %q:\n%s", text, out)
		}
	}
}

// killedAtSteps kills a command at its steps, one after the other: at each of
// them with REQMAIL_PLESK_STEPS=all, else at some. Whatever mixture of programs
// it leaves, the host delivers.
func (w *world) killedAtSteps(args ...string) {
	stride := 23
	if os.Getenv("REQMAIL_PLESK_STEPS") == "all" {
		stride = 1
	}
	killed := 0
	for n := 1; ; n += stride {
		cmd := exec.Command(newBin+"/reqmail", args...)
		out, err := cmd.StdoutPipe()
		w.ok(err)
		w.ok(cmd.Start())
		lines, steps := bufio.NewScanner(out), 0
		for steps < n && lines.Scan() {
			if strings.HasPrefix(lines.Text(), "done: ") {
				steps++
			}
		}
		if steps < n { // it has come to its end
			_ = cmd.Wait()
			w.Logf("%s: killed at %d steps, %s", args[0], killed, cmd.ProcessState)
			w.deliver()
			return
		}
		w.ok(cmd.Process.Signal(syscall.SIGKILL))
		_ = cmd.Wait()
		killed++
		w.deliver()
	}
}

// checkSwapped compares bin/ with what it was: qmail's programs are replaced
// and keep owner and mode, everything else is as it was.
func (w *world) checkSwapped(before, after map[string]string) {
	theirs := []string{"relaylock", "smtp_auth", "cmd5checkpw", "true", "qmail-queue", "qmail-local", "qmail-remote"}
	for name, was := range before {
		_, owner, _ := strings.Cut(was, " ")
		switch now := after[name]; {
		case slices.Contains(theirs, name):
			if now != was {
				w.Errorf("%s is Plesk's, and has been changed", name)
			}
		case !strings.HasSuffix(now, " "+owner):
			w.Errorf("%s: %s, and was %s", name, now, was)
		}
	}
	for _, name := range []string{"qmail-queue.moved", "qmail-remote.moved", "qmail-smtpd", "qmail-send"} {
		if after[name] == before[name] {
			w.Errorf("%s has not been replaced", name)
		}
	}
	if !strings.HasSuffix(after["qmail-queue.moved"], " 2520:2520 "+strconv.FormatInt(syscall.S_IFREG|0o4711, 8)) {
		w.Errorf("qmail-queue.moved: %s", after["qmail-queue.moved"])
	}
}

// waysIn sends mail to a stranger's domain by AUTH, in the clear and within
// TLS, and to the mailbox by TLS without AUTH.
func (w *world) waysIn() {
	authority, err := peer.NewAuthority()
	w.ok(err)
	certificate, err := authority.Issue("plesk.example", "plesk.example")
	w.ok(err)
	text, err := peer.PEM(certificate)
	w.ok(err)
	w.ok(os.WriteFile("/var/qmail/control/servercert.pem", text, 0o600))
	before := handled()
	w.sent++
	w.swaks("info@example.com", "--tls")
	w.sent++
	w.swaks("info@example.com", "--tls-on-connect", "--port", "465")
	w.arrived()
	for _, tls := range [][]string{nil, {"--tls"}, {"--tls-on-connect", "--port", "465"}} {
		for _, mechanism := range []string{"LOGIN", "PLAIN", "CRAM-MD5"} {
			w.gone++
			w.swaks("friend@remote.example", append(tls, "--auth", mechanism, "--auth-user", "info@example.com", "--auth-password", "secret")...)
		}
	}
	w.departed()
	after := handled()
	if after["smtp_auth"]-before["smtp_auth"] != 6 || after["cmd5checkpw"]-before["cmd5checkpw"] != 3 {
		w.Errorf("checkers were run %v, and %v before", after, before)
	}
	out, _ := exec.Command("swaks", "--server", "127.0.0.1", "--to", "friend@remote.example", "--from", "a@far.example").CombinedOutput()
	if !strings.Contains(string(out), "553 sorry, that domain isn't in my list of allowed rcpthosts") {
		w.Errorf("a stranger may relay:\n%s", out)
	}
}
