package scarce

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/reqmail/reqmail/tests/host"
)

// rig is a mail system that meets with scarcity.
type rig struct {
	*host.Host
	t    *testing.T
	log  string
	sent int
	took []string // bodies that qmail-inject accepted
}

// newRig lays a home out; its folder part, if one is named, lies on a volume.
func newRig(t *testing.T, part, place string) *rig {
	t.Helper()
	bin, err := filepath.Abs("../../build/bin")
	if err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	for dir := home; dir != "/" && dir != os.TempDir(); dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := host.LayOut(home, bin); err != nil {
		t.Fatal(err)
	}
	r := &rig{Host: host.New(home), t: t, log: filepath.Join(home, "log")}
	r.ok(r.AddMailbox())
	if part != "" {
		elsewhere := filepath.Join(place, filepath.Base(part))
		out, err := r.Run("", "cp", "-a", r.Path(part), elsewhere)
		if err == nil {
			err = os.RemoveAll(r.Path(part))
		}
		if err == nil {
			err = os.Symlink(elsewhere, r.Path(part))
		}
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	t.Cleanup(func() {
		r.Kill()
		if t.Failed() {
			log, _ := os.ReadFile(r.log)
			t.Logf("log:\n%s", log)
		}
	})
	return r
}

func (r *rig) ok(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

// up starts the system and waits until it serves.
func (r *rig) up() {
	r.t.Helper()
	before := r.logs("status: ")
	r.ok(r.Start(r.log, "./Maildir/"))
	r.ok(host.Until("the first status", func() bool { return r.logs("status: ") > before }))
}

// logs counts a text in the log.
func (r *rig) logs(text string) int {
	log, _ := os.ReadFile(r.log)
	return strings.Count(string(log), text)
}

// send injects messages. One that is not accepted must have failed for now.
func (r *rig) send(n int) {
	r.t.Helper()
	for range n {
		r.sent++
		body := strings.Repeat(fmt.Sprintf("line of message %d\n", r.sent), 500)
		cmd := r.Command("qmail-inject", host.User+"@"+host.Name)
		cmd.Stdin = strings.NewReader(fmt.Sprintf("Subject: %d\n\n%s", r.sent, body))
		out, err := cmd.CombinedOutput()
		switch status := cmd.ProcessState.ExitCode(); {
		case err == nil:
			r.took = append(r.took, body)
		case status != 111 && status != -1:
			r.t.Errorf("qmail-inject leaves with %d, want 111: %s", status, out)
		}
	}
}

// account waits until every message that was accepted has arrived, whole, once,
// and is gone from the queue. Nothing may have bounced.
func (r *rig) account() {
	r.t.Helper()
	var mail []string
	nudge := time.Now()
	r.ok(host.Within(2*host.Patience, "all mail and an empty queue", func() bool {
		if time.Now().After(nudge) {
			_ = r.Signal(syscall.SIGALRM)
			nudge = time.Now().Add(300 * time.Millisecond)
		}
		mail, _ = host.Mail(r.Path("mail/Maildir"))
		waiting, _ := filepath.Glob(r.Path("queue/info/*/*"))
		todo, _ := filepath.Glob(r.Path("queue/todo/*"))
		return len(mail) >= len(r.took) && len(waiting)+len(todo) == 0
	}))
	for _, body := range r.took {
		n := 0
		for _, m := range mail {
			if strings.HasSuffix(m, "\n\n"+body) {
				n++
			}
		}
		if n != 1 {
			r.t.Errorf("a message arrived %d times: %.30q", n, body)
		}
	}
	if len(mail) != len(r.took) {
		r.t.Errorf("%d messages arrived, %d were accepted", len(mail), len(r.took))
	}
	if r.logs(": failure: ")+r.logs("bounce msg") > 0 {
		r.t.Error("mail bounced")
	}
	r.t.Logf("%d of %d messages were accepted", len(r.took), r.sent)
}

// fill takes all space of a volume, or all inodes, and returns how to give it
// back.
func (r *rig) fill(place string) (free func()) {
	r.t.Helper()
	ballast := filepath.Join(place, "ballast")
	_ = os.Mkdir(ballast, 0o700) // there may be no room for that even
	for n := 0; ; n++ {
		err := os.WriteFile(filepath.Join(ballast, fmt.Sprint(n)), make([]byte, 4<<10), 0o600)
		if err != nil {
			break
		}
	}
	return func() { r.ok(os.RemoveAll(ballast)) }
}

// A queue without space, or without inodes, takes no mail, and loses none.
func TestFullQueue(t *testing.T) {
	for _, kind := range []string{"space", "inodes"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			place := volume(t, kind)
			r := newRig(t, "queue", place)
			r.ok(os.Chmod(r.Path("mail/Maildir"), 0)) // mail stays in the queue
			r.up()
			r.send(3)
			free := r.fill(place)
			r.send(3)
			if len(r.took) > 3 {
				t.Error("a full queue took mail")
			}
			r.ok(os.Chmod(r.Path("mail/Maildir"), 0o700))
			_ = r.Signal(syscall.SIGALRM)
			r.ok(host.Until("a delivery", func() bool { return r.logs(": success: ") > 0 }))
			free()
			r.send(1)
			r.account()
		})
	}
}

// A queue that becomes read-only takes no mail, and loses none.
func TestReadOnly(t *testing.T) {
	t.Parallel()
	place := volume(t, "frozen")
	r := newRig(t, "queue", place)
	// What is open for writing keeps a file system from becoming read-only: the
	// locks lie elsewhere.
	if out, err := r.Run("", "mv", filepath.Join(place, "queue/lock"), r.Path("lock")); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	r.ok(os.Symlink(r.Path("lock"), filepath.Join(place, "queue/lock")))
	r.ok(os.Chmod(r.Path("mail/Maildir"), 0))
	r.up()
	r.send(2)
	r.ok(host.Until("two deferrals", func() bool { return r.logs(": deferral: ") == 2 }))
	remount(t, "ro")
	r.send(2)
	if len(r.took) > 2 {
		t.Error("a queue that is read-only took mail")
	}
	r.ok(os.Chmod(r.Path("mail/Maildir"), 0o700))
	remount(t, "rw")
	r.send(1)
	r.account()
}

// A mailbox without space gets its mail later, and nothing in part.
func TestFullMailbox(t *testing.T) {
	t.Parallel()
	place := volume(t, "mail")
	r := newRig(t, "mail/Maildir", place)
	free := r.fill(place)
	r.up()
	r.send(3)
	r.ok(host.Until("a deferral", func() bool { return r.logs(": deferral: ") > 2 }))
	if mail, _ := host.Mail(r.Path("mail/Maildir")); len(mail) > 0 {
		t.Errorf("%d messages in a mailbox without space", len(mail))
	}
	free()
	r.account()
	if left, _ := filepath.Glob(r.Path("mail/Maildir/tmp/*")); len(left) > 0 {
		t.Errorf("left in tmp: %v", left)
	}
}

// limit puts a script in the place of a program that limits it first.
func (r *rig) limit(program, limits string) (lift func()) {
	r.t.Helper()
	hidden := r.Path("bin", ".limited")
	r.ok(os.MkdirAll(hidden, 0o755))
	r.ok(os.Rename(r.Path("bin", program), filepath.Join(hidden, program)))
	script := "#!/bin/sh\n" + limits + "\nexec " + filepath.Join(hidden, program) + " \"$@\"\n"
	r.ok(os.WriteFile(r.Path("bin", program), []byte(script), 0o755))
	return func() { r.ok(os.Rename(filepath.Join(hidden, program), r.Path("bin", program))) }
}

// A program that may open few files, or start no processes, does its work or
// fails for now.
func TestLimits(t *testing.T) {
	programs := []string{"qmail-queue", "qmail-start", "qmail-lspawn", "qmail-clean", "qmail-local"}
	for name, limits := range map[string]string{
		"4 files": "ulimit -n 4", "12 files": "ulimit -n 12", "1 process": "prlimit --pid $$ --nproc=1",
	} {
		for _, program := range programs {
			t.Run(program+" "+name, func(t *testing.T) {
				t.Parallel()
				r := newRig(t, "", "")
				lift := r.limit(program, limits)
				r.ok(r.Start(r.log, "./Maildir/"))
				r.send(2)
				// It is tried, or nothing is: give it time for that.
				_ = host.Within(time.Second, "a try", func() bool { return len(r.took) == 0 || r.logs("delivery 2: ") > 0 })
				_ = r.Stop() // it may have ended
				r.Kill()
				lift()
				r.up()
				r.account()
			})
		}
	}
}

// Mail is delivered though nobody takes the log.
func TestNoSyslog(t *testing.T) {
	t.Parallel()
	volume(t, "mail") // where there is none, the log may be there
	r := newRig(t, "", "")
	r.ok(r.Start(r.log, "./Maildir/", "splogger", "qmail"))
	r.send(3)
	r.account()
}
