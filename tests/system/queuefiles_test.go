package system

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/reqmail/reqmail/tests/host"
)

// TestExportImport exports a queue in which messages are waiting in all states
// while other mail flows, and imports it into a fresh home. There every
// recipient that was left gets his message once, those who were done get none,
// and a sender learns once what has failed.
//
// REQMAIL_EXPORT_MESSAGES makes it larger.
func TestExportImport(t *testing.T) {
	messages := number("REQMAIL_EXPORT_MESSAGES", 24)
	old := start(t)
	refusing, err := host.StartRemote("mx.far.example")
	old.ok(err)
	defer refusing.Stop()
	refusing.Refuse(451, [3]int{4, 3, 0}, "not now")
	old.ok(old.Control("smtproutes", fmt.Sprintf(":127.0.0.1:%d\n", refusing.Port)))
	failing := 0
	var injectors sync.WaitGroup
	const atOnce = 4
	for i := range atOnce {
		injectors.Go(func() {
			for n := i; n < messages; n += atOnce {
				old.inject(numbered(n), inStates[n%len(inStates)]...)
			}
		})
	}
	injectors.Wait()
	for n := range messages {
		if n%len(inStates) == failedInPart {
			failing++
		}
	}
	old.ok(host.Within(forMany(messages), "partial deliveries", func() bool {
		left, _ := filepath.Glob(old.Path("queue/local/*/*"))
		waiting, _ := filepath.Glob(old.Path("queue/remote/*/*"))
		bounces, _ := filepath.Glob(old.Path("queue/bounce/*"))
		return len(left) == 0 && len(waiting) == messages && len(bounces) == failing && refusing.Asked() >= messages
	}))
	old.reqmail(fine, "hold", "--sender", "held@*", "--yes")

	stop := make(chan struct{})
	var flow sync.WaitGroup
	flow.Go(func() {
		for n := messages; ; n++ {
			select {
			case <-stop:
				return
			default:
				if out, err := old.Run(numbered(n), "qmail-inject", "you@demo.example"); err != nil {
					t.Errorf("qmail-inject: %v: %s", err, out)
				}
			}
		}
	})
	for range 3 {
		if out, err := old.Run("", "reqmail", "check"); err != nil || out != "" {
			t.Errorf("check of a running queue: %v: %s", err, out)
		}
	}
	stream := filepath.Join(t.TempDir(), "stream")
	out, err := old.Run("", "reqmail", "export", "--domain", "far.example", "-o", stream)
	close(stop)
	flow.Wait()
	if want := fmt.Sprintf("%d messages exported, 0 left out\n", messages); err != nil || out != want {
		t.Fatalf("export: %v: %s", err, out)
	}
	old.ok(old.Stop()) // writes the next tries to the files
	before := ages(old)

	fresh := layOut(t)
	accepting, err := host.StartRemote("mx.far.example")
	fresh.ok(err)
	defer accepting.Stop()
	fresh.ok(fresh.Control("smtproutes", fmt.Sprintf(":127.0.0.1:%d\n", accepting.Port)))
	for _, want := range []string{
		fmt.Sprintf("%d messages imported, 0 left out\n", messages), fmt.Sprintf("0 messages imported, %d left out\n", messages),
	} {
		if out, err := fresh.Run("", "reqmail", "import", "--even-if-held", stream); err != nil || out != want {
			t.Fatalf("import: %v: %s", err, out)
		}
	}
	if out, err := fresh.Run("", "reqmail", "check"); err != nil || out != "" {
		t.Errorf("check after the import: %v: %s", err, out)
	}
	if after := ages(fresh); !maps.Equal(before, after) {
		t.Errorf("births and next tries were %v, are %v", before, after)
	}
	fresh.up()
	fresh.ok(fresh.Signal(syscall.SIGALRM))
	fresh.ok(host.Within(forMany(messages), "all mail", func() bool {
		return len(accepting.Received()) >= messages && noneQueued(fresh)
	}))
	got := map[string]int{}
	for _, text := range accepting.Received() {
		got[subject(text)]++
	}
	for n := range messages {
		if got[subject(numbered(n))] != 1 {
			t.Errorf("message %d arrived %d times", n, got[subject(numbered(n))])
		}
	}
	bounces, err := host.Mail(fresh.Path("mail/Maildir"))
	if err != nil || len(bounces) != failing {
		t.Errorf("%d messages came to the sender, %d have failed for a recipient, %v", len(bounces), failing, err)
	}
	for _, text := range bounces {
		if !strings.Contains(text, "\n<you-nobody@demo.example>:\nSorry, no mailbox here by that name.") {
			t.Errorf("no bounce: %s", text)
		}
	}
}

// inStates are the arguments of qmail-inject for messages that wait, each in
// another state: delivered in part, failed in part, not delivered at all, held.
var inStates = [][]string{
	{"you@demo.example", "far@far.example"},
	failedInPart: {"you@demo.example", "you-nobody@demo.example", "far@far.example"},
	{"far@far.example"},
	{"-fheld@demo.example", "far@far.example"},
}

// failedInPart is the place among them of those that have failed in part.
const failedInPart = 1

// ages counts the messages with remote recipients by birth and next try.
func ages(s *system) map[string]int {
	all := map[string]int{}
	files, _ := filepath.Glob(s.Path("queue/remote/*/*"))
	for _, remote := range files {
		due, err := os.Stat(remote)
		s.ok(err)
		birth, err := os.Stat(strings.Replace(remote, "/queue/remote/", "/queue/info/", 1))
		s.ok(err)
		all[fmt.Sprint(birth.ModTime().Unix(), " ", due.ModTime().Unix())]++
	}
	return all
}

// subject returns what tells a message of numbered from others.
func subject(text string) string {
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "X-Number:") {
			return strings.TrimSpace(line)
		}
	}
	return ""
}

// TestImportRunning imports new messages into a running system: they are
// delivered at once.
func TestImportRunning(t *testing.T) {
	old := layOut(t)
	old.inject("Subject: new\n\n", "you@demo.example")
	cmd := old.Command("reqmail", "export")
	stream, err := cmd.Output()
	old.ok(err)
	fresh := start(t)
	if out, err := fresh.Run(string(stream), "reqmail", "import"); err != nil {
		t.Fatalf("import: %v: %s", err, out)
	}
	fresh.mail(1)
	fresh.empty()
}

// TestRepair: a queue restored by ordinary tools, whose names are no inode
// numbers any more, delivers its mail after a repair; while qmail-send runs
// repair leaves it alone.
func TestRepair(t *testing.T) {
	s := layOut(t)
	for n := range 5 {
		s.inject(numbered(n), "you@demo.example")
	}
	messes, _ := filepath.Glob(s.Path("queue/mess/*/*"))
	for _, path := range messes {
		text := s.read(path)
		s.ok(os.WriteFile(path+".copy", []byte(text), 0o644))
		s.ok(os.Chmod(path+".copy", 0o644))
		s.ok(os.Rename(path+".copy", path))
	}
	out, err := s.Run("", "reqmail", "check")
	if err == nil || strings.Count(out, "wrong-inode: ") != 5 {
		t.Fatalf("check: %v: %s", err, out)
	}
	if out, err := s.Run("", "reqmail", "repair", "--dry-run"); err == nil || strings.Count(out, "would be renumbered") != 5 {
		t.Fatalf("dry run: %v: %s", err, out)
	}
	if out, err := s.Run("", "reqmail", "repair"); err != nil || strings.Count(out, "; renumbered") != 5 {
		t.Fatalf("repair: %v: %s", err, out)
	}
	if out, err := s.Run("", "reqmail", "--json", "check"); err != nil || !strings.Contains(out, `{"findings":[]}`) {
		t.Fatalf("check: %v: %s", err, out)
	}
	s.up()
	s.mail(5)
	s.write("queue/bounce/1", "x")
	if out, err := s.Run("", "reqmail", "repair"); err == nil || !strings.Contains(out, "orphan-bounce: bounce/1: there is no such message; left: qmail-send runs") {
		t.Fatalf("repair of a running queue: %v: %s", err, out)
	}
}
