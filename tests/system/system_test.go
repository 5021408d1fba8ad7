// Package system tests the built programs together: a whole mail system in a
// private home, under the uid of whoever runs the tests, seen as its users and
// its peers see it.
package system

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/reqmail/reqmail/tests/host"
)

// system is a host with its log, for one test.
type system struct {
	*host.Host
	t     *testing.T
	log   string
	smtpd *exec.Cmd // a qmail-smtpd that listens, if one does
}

// binDir is where make build leaves the programs.
func binDir(t testing.TB) string {
	t.Helper()
	dir, err := filepath.Abs("../../build/bin")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "qmail-send")); err != nil {
		t.Fatalf("the programs are not built (make build): %v", err)
	}
	return dir
}

// layOut makes a host that is not started yet.
func layOut(t *testing.T) *system {
	t.Helper()
	home := tempHome(t)
	if err := host.LayOut(home, binDir(t)); err != nil {
		t.Fatal(err)
	}
	s := &system{Host: host.New(home), t: t, log: filepath.Join(home, "log")}
	s.ok(s.AddMailbox())
	t.Cleanup(func() {
		s.Kill()
		if t.Failed() {
			t.Logf("log:\n%s", s.read(s.log))
		}
	})
	return s
}

// start makes a host and starts it.
func start(t *testing.T) *system {
	t.Helper()
	s := layOut(t)
	s.up()
	return s
}

// up starts the system and waits for its first status.
func (s *system) up() {
	s.t.Helper()
	before := strings.Count(s.read(s.log), "status: ")
	s.ok(s.Start(s.log, "./Maildir/"))
	s.until("the first status", func() bool { return strings.Count(s.read(s.log), "status: ") > before })
}

func (s *system) ok(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *system) until(what string, holds func() bool) {
	s.t.Helper()
	s.ok(host.Until(what, holds))
}

func (s *system) logged(text string) {
	s.t.Helper()
	s.ok(host.FileSays(s.log, text))
}

func (s *system) read(path string) string {
	data, _ := os.ReadFile(path)
	return string(data)
}

// inject queues a message with qmail-inject.
func (s *system) inject(message string, args ...string) {
	s.t.Helper()
	if out, err := s.Run(message, append([]string{"qmail-inject"}, args...)...); err != nil {
		s.t.Fatalf("qmail-inject: %v: %s", err, out)
	}
}

// write writes a file below the home.
func (s *system) write(path, text string) {
	s.t.Helper()
	s.ok(os.WriteFile(s.Path(path), []byte(text), 0o600))
}

// empty waits until no message is in the queue.
func (s *system) empty() {
	s.t.Helper()
	s.until("an empty queue", func() bool {
		out, err := s.Run("", "qmail-qstat")
		return err == nil && out == "messages in queue: 0\nmessages in queue but not yet preprocessed: 0\n"
	})
}

// mail waits for n messages in the mailbox and returns them.
func (s *system) mail(n int) []string {
	s.t.Helper()
	var messages []string
	s.ok(host.Within(forMany(n), fmt.Sprint(n, " messages in the mailbox"), func() bool {
		var err error
		messages, err = host.Mail(s.Path("mail/Maildir"))
		return err == nil && len(messages) >= n
	}))
	if len(messages) != n {
		s.t.Fatalf("%d messages in the mailbox, want %d", len(messages), n)
	}
	return messages
}

// forMany is how long something may take that n messages have to be done for.
func forMany(n int) time.Duration {
	return host.Patience + time.Duration(n)*100*time.Millisecond
}

// remote starts a remote host and routes remote.example there.
func (s *system) remote() *host.Remote {
	s.t.Helper()
	r, err := host.StartRemote("mx.remote.example")
	s.ok(err)
	s.t.Cleanup(r.Stop)
	s.ok(s.Control("smtproutes", fmt.Sprintf("remote.example:127.0.0.1:%d\n", r.Port)))
	return r
}

// wantLines checks that texts stand in s in that order.
func wantInOrder(t *testing.T, s string, texts ...string) {
	t.Helper()
	at := 0
	for _, text := range texts {
		i := strings.Index(s[at:], text)
		if i < 0 {
			t.Fatalf("no %q after byte %d in:\n%s", text, at, s)
		}
		at += i + len(text)
	}
}

func TestLocalDelivery(t *testing.T) {
	s := start(t)
	s.inject("Subject: hello\n\nbody\n", "you@demo.example")
	got := s.mail(1)[0]
	wantInOrder(t, got, "Return-Path: <you@demo.example>\nDelivered-To: you@demo.example\nReceived: (qmail ",
		" invoked by uid ", "Date: ", "Message-ID: <", "From: you@demo.example\n", "Subject: hello\n\nbody\n")
	s.empty()
	wantInOrder(t, s.read(s.log), "status: local 0/10 remote 0/20\n", "new msg ", "info msg ",
		" from <you@demo.example> qp ", "starting delivery 1: msg ", " to local you@demo.example\n",
		"status: local 1/10 remote 0/20\n", "delivery 1: success: did_1+0+0/\n", "status: local 0/10 remote 0/20\n", "end msg ")
}

func TestDotQmail(t *testing.T) {
	s := layOut(t)
	s.write("mail/.qmail-list", "&you\n|cat >> piped; echo seen $EXT from $SENDER\n./Maildir/\n")
	s.up()
	s.inject("Subject: x\n\n", "you-list@demo.example")
	s.logged("success: seen_list_from_you@demo.example/did_1+1+1/qp_")
	s.mail(2)
	s.empty()
	wantInOrder(t, s.read(s.Path("mail/piped")), "Received: ", "Subject: x\n")
}

func TestDeferralRetriedByAlarm(t *testing.T) {
	s := layOut(t)
	r := s.remote()
	r.Refuse(451, [3]int{4, 3, 2}, "later")
	s.up()
	s.inject("Subject: out\n\nbody\n.dot\n", "a@remote.example")
	s.logged("delivery 1: deferral: 127.0.0.1_does_not_like_recipient./Remote_host_said:_451_4.3.2_later/Giving_up_on_127.0.0.1./")
	out, err := s.Run("", "qmail-qread")
	s.ok(err)
	wantInOrder(t, out, " GMT  #", "  <you@demo.example> \n\tremote\ta@remote.example\n")
	r.Accept()
	s.ok(s.Signal(syscall.SIGALRM))
	s.logged("delivery 2: success: 127.0.0.1_accepted_message./Remote_host_said:_250_")
	s.empty()
	got := r.Received()
	if len(got) != 1 {
		t.Fatalf("%d messages arrived, want 1", len(got))
	}
	wantInOrder(t, got[0], "Subject: out\r\n\r\nbody\r\n.dot\r\n")
}

func TestScheduleSurvivesRestart(t *testing.T) {
	s := layOut(t)
	s.write("mail/.qmail-busy", "|exit 111\n")
	s.up()
	s.inject("", "you-busy@demo.example")
	s.logged("delivery 1: deferral: ")
	s.ok(s.Stop())
	s.logged("status: exiting")
	files, _ := filepath.Glob(s.Path("queue/local/*/*"))
	if len(files) != 1 {
		t.Fatalf("recipient files: %q", files)
	}
	st, err := os.Stat(files[0])
	s.ok(err)
	// Birth and first try are in the same second or in two; a local message
	// is tried again 10² or 11² seconds after its birth.
	if due := time.Until(st.ModTime()); due < 80*time.Second || due > 122*time.Second {
		t.Errorf("next try in %v, want about 100 s", due)
	}
	before := len(s.read(s.log))
	s.up()
	s.write("mail/.qmail-now", "./Maildir/\n")
	s.inject("", "you-now@demo.example")
	s.mail(1)
	if after := s.read(s.log)[before:]; strings.Contains(after, "you-busy") {
		t.Errorf("the deferred message was tried before its time:\n%s", after)
	}
}

func TestBounce(t *testing.T) {
	s := start(t)
	s.inject("Subject: lost\n\nbody\n", "you-none@demo.example")
	got := s.mail(1)[0]
	wantInOrder(t, got, "Return-Path: <>\n", "From: MAILER-DAEMON@demo.example\nTo: you@demo.example\nSubject: failure notice\n\n",
		"Hi. This is the qmail-send program at demo.example.\n",
		"\n<you-none@demo.example>:\nSorry, no mailbox here by that name. (#5.1.1)\n\n--- Below this line is a copy of the message.\n\nReturn-Path: <you@demo.example>\n",
		"Subject: lost\n\nbody\n")
	s.empty()
}

func TestDoubleAndTripleBounce(t *testing.T) {
	s := layOut(t)
	s.ok(os.Remove(s.Path("alias/.qmail-postmaster")))
	s.up()
	s.inject("Subject: lost\n\n", "-f", "you-gone@demo.example", "you-none@demo.example")
	s.logged("triple bounce: discarding bounce/")
	s.empty()
	wantInOrder(t, s.read(s.log), "from <you-gone@demo.example>", "bounce msg ", "from <>", "bounce msg ", "from <#@[]>",
		"to local postmaster@demo.example", "triple bounce")
}

func TestVirtualDomainsRereadOnHangup(t *testing.T) {
	s := start(t)
	s.write("mail/.qmail-default", "|echo $DEFAULT; cat > /dev/null\n")
	s.ok(s.Control("virtualdomains", "virtual.example:you-v\n"))
	s.ok(s.Signal(syscall.SIGHUP))
	s.until("the new virtualdomains to count", func() bool {
		s.inject("", "joe@virtual.example")
		return strings.Contains(s.read(s.log), "to local you-v-joe@virtual.example")
	})
	s.logged("success: v-joe/did_0+0+1/")
}

func TestTermWaitsForDeliveries(t *testing.T) {
	s := layOut(t)
	s.write("mail/.qmail-slow", "|echo > started; while ! test -f go; do sleep 0.01; done\n")
	s.up()
	s.inject("", "you-slow@demo.example")
	s.until("the delivery to start", func() bool { return s.read(s.Path("mail/started")) != "" })
	s.ok(s.Signal(syscall.SIGTERM))
	s.write("mail/go", "")
	s.ok(s.Wait())
	wantInOrder(t, s.read(s.log), "starting delivery 1", "delivery 1: success: ", "exitasap", "status: exiting")
}
