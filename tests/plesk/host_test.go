package plesk

import (
	"crypto/sha256"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/reqmail/reqmail/tests/host"
)

// assign is users/assign as Plesk writes it, without a final newline.
const assign = `=12-info:popuser:110:31:/var/qmail/mailnames/example.com/info:::
+12-info-:popuser:110:31:/var/qmail/mailnames/example.com/info:-::
+12-:popuser:110:31:/var/qmail/mailnames/example.com:-::
+:alias:2021:2020:/var/qmail/alias:-::
.`

const initScript = `#!/bin/sh
case "$1" in
start) env - PATH=/var/qmail/bin:/usr/bin:/bin setsid qmail-start ./Maildir/ splogger qmail </dev/null >/dev/null 2>&1 & ;;
stop) kill -TERM $(pidof qmail-send) ;;
esac
`

// service is a file of /etc/xinetd.d with Plesk's chain.
func service(name, env, before string) string {
	return fmt.Sprintf(`service %s
{
	socket_type     = stream
	protocol        = tcp
	wait            = no
	disable         = no
	user            = root
	instances       = UNLIMITED
	env             = %s
	server          = /var/qmail/bin/tcp-env
	server_args     = -Rt0 %s /var/qmail/bin/relaylock /var/qmail/bin/qmail-smtpd /var/qmail/bin/smtp_auth /var/qmail/bin/true /var/qmail/bin/cmd5checkpw /var/qmail/bin/true
}
`, name, env, before)
}

// rblsmtpd is the part of the chain that asks black lists, where installed.
func rblsmtpd() string {
	path, err := exec.LookPath("rblsmtpd")
	if err != nil {
		return ""
	}
	return path + " -r bl.example"
}

// relaylock lets nobody relay by address.
const relaylock = `#!/bin/sh
echo relaylock >> /var/log/handlers
exec "$@"
`

// The checkers read descriptor 3 and know one account.
const (
	smtpAuth = `#!/bin/sh
set -- $(tr '\000' ' ' <&3) -- "$@"
test "$1 $2" = "info@example.com secret" || exit 1
echo smtp_auth >> /var/log/handlers
`
	cmd5checkpw = `#!/bin/sh
set -- $(tr '\000' ' ' <&3)
test "$1" = info@example.com || exit 1
sum() { printf %s "$1" | openssl md5 -hmac secret | sed 's/.* //'; }
test "$(sum "$2")" = "$3" || test "$(sum "$3")" = "$2" || exit 1
echo cmd5checkpw >> /var/log/handlers
`
)

// world is the host with what runs on it.
type world struct {
	*testing.T
	remote *host.Remote
	sent   int // messages for the mailbox
	gone   int // messages for the remote host
}

func (w *world) ok(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) until(what string, holds func() bool) {
	w.Helper()
	if err := host.Within(90*time.Second, what, holds); err != nil {
		log, _ := os.ReadFile("/var/log/maillog")
		w.Fatalf("%v; the log:\n%s", err, log)
	}
}

// start brings up syslog, a remote host, xinetd and qmail.
func start(t *testing.T) *world {
	w := &world{T: t}
	syslog, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: "/dev/log", Net: "unixgram"})
	w.ok(err)
	w.ok(os.Chmod("/dev/log", 0o666))
	go keepLog(syslog)
	dns, err := net.ListenPacket("udp4", "127.0.0.1:53")
	w.ok(err)
	go knowNothing(dns)
	w.remote, err = host.StartRemote("mx.remote.example")
	w.ok(err)
	w.ok(os.WriteFile("/var/qmail/control/smtproutes", fmt.Appendf(nil, "remote.example:127.0.0.1:%d\n", w.remote.Port), 0o644))
	xinetd := exec.Command("xinetd", "-dontfork", "-f", "/etc/xinetd.conf", "-pidfile", "/run/xinetd-plesk.pid")
	w.ok(xinetd.Start())
	t.Cleanup(func() { _ = xinetd.Process.Kill() })
	out, err := exec.Command("/etc/init.d/qmail", "start").CombinedOutput()
	if err != nil {
		t.Fatalf("starting qmail: %v: %s", err, out)
	}
	for _, port := range []string{"25", "465"} {
		w.until("port "+port, func() bool {
			c, err := net.Dial("tcp4", "127.0.0.1:"+port)
			if err == nil {
				c.Close()
			}
			return err == nil
		})
	}
	return w
}

// knowNothing is a name server to which no name exists, so that rblsmtpd need
// not wait for its answers.
func knowNothing(conn net.PacketConn) {
	const response, nameError = 0x80, 3 // in the flags of RFC 1035 4.1.1
	buf := make([]byte, 512)
	for {
		n, client, err := conn.ReadFrom(buf)
		if err != nil {
			return
		}
		if n > 3 {
			buf[2] |= response
			buf[3] = buf[3]&^0xf | nameError
			_, _ = conn.WriteTo(buf[:n], client)
		}
	}
}

// keepLog appends what reaches /dev/log to maillog, as syslogd does.
func keepLog(conn *net.UnixConn) {
	log, err := os.OpenFile("/var/log/maillog", os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return
	}
	buf := make([]byte, 8192)
	for {
		n, err := conn.Read(buf)
		if err != nil {
			return
		}
		_, text, _ := strings.Cut(string(buf[:n]), ">")
		stamp, rest := text[:min(16, len(text))], text[min(16, len(text)):]
		_, _ = log.WriteString(stamp + "plesk " + strings.TrimRight(rest, "\n\x00") + "\n")
	}
}

// swaks sends a message and returns the transcript.
func (w *world) swaks(to string, options ...string) string {
	w.Helper()
	args := append([]string{"--server", "127.0.0.1", "--ehlo", "client.example", "--from", "a@far.example", "--to", to, "--timeout", "60"}, options...)
	out, err := exec.Command("swaks", args...).CombinedOutput()
	if err != nil {
		log, _ := os.ReadFile("/var/log/maillog")
		w.Fatalf("swaks %q: %v\n%s\n%s", options, err, out, log)
	}
	return string(out)
}

// deliver sends a message in by SMTP and one out by sendmail, and sees them
// arrive, through the wrappers.
func (w *world) deliver(options ...string) {
	w.Helper()
	before := handled()
	w.sent++
	w.swaks("info@example.com", options...)
	w.arrived()
	w.gone++
	cmd := exec.Command("/var/qmail/bin/sendmail", "friend@remote.example")
	cmd.Stdin = strings.NewReader("Subject: out\n\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		w.Fatalf("sendmail: %v: %s", err, out)
	}
	w.departed()
	after := handled()
	for _, program := range []string{"qmail-queue", "qmail-local", "qmail-remote", "relaylock"} {
		if after[program] <= before[program] {
			w.Errorf("the wrapper %s has not been run", program)
		}
	}
}

// arrived waits for everything that was sent to the mailbox. A swap's test
// messages are for it too.
func (w *world) arrived() {
	w.Helper()
	w.until(fmt.Sprint(w.sent, " messages in the mailbox"), func() bool { return len(w.mailbox()) >= w.sent })
}

func (w *world) departed() {
	w.Helper()
	w.until(fmt.Sprint(w.gone, " messages at the remote host"), func() bool { return len(w.remote.Received()) >= w.gone })
}

// mailbox returns the messages that are not a swap's.
func (w *world) mailbox() (own []string) {
	w.Helper()
	all, err := host.Mail("/var/qmail/mailnames/example.com/info/Maildir")
	w.ok(err)
	for _, m := range all {
		if !strings.Contains(m, "Subject: reqmail's test message") {
			own = append(own, m)
		}
	}
	return own
}

// handled counts how often each of Plesk's programs has run.
func handled() map[string]int {
	counts := map[string]int{}
	text, _ := os.ReadFile("/var/log/handlers")
	for _, name := range strings.Fields(string(text)) {
		counts[name]++
	}
	return counts
}

// programs describes each file of bin/: content, owner, mode.
func (w *world) programs() map[string]string {
	w.Helper()
	all := map[string]string{}
	files, err := filepath.Glob("/var/qmail/bin/*")
	w.ok(err)
	for _, path := range files {
		text, err := os.ReadFile(path)
		w.ok(err)
		var st syscall.Stat_t
		w.ok(syscall.Stat(path, &st))
		all[filepath.Base(path)] = fmt.Sprintf("%x %d:%d %o", sha256.Sum256(text), st.Uid, st.Gid, st.Mode)
	}
	return all
}
