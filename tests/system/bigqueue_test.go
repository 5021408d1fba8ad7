package system

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/reqmail/reqmail/queue"
	"github.com/reqmail/reqmail/tests/host"
)

// TestBigQueue: what administrators ask of a large queue is answered at once, also
// while qmail-send is stopped; fresh mail does not wait for the old, nor when all
// of that is tried again; and qmail-send stays small and leaves quickly.
//
// REQMAIL_BIG_QUEUE is the number of messages in it; only where it is set do
// time and memory count, for then nothing else should run beside. A million
// takes 12 GB below TMPDIR.
func TestBigQueue(t *testing.T) {
	b := newBigQueue(t)
	began := time.Now()
	b.up()
	b.fresh(1, "after a start", began)
	b.ok(host.Within(forMany(b.count), "the whole queue", func() bool {
		return strings.Contains(b.reqmail(fine, "status"), fmt.Sprintf(" %d, ", b.count))
	}))
	b.timed("qmail-send knows the whole queue after the start", began, 0)
	b.answers("with qmail-send")
	b.memory()
	b.tryAll()
	b.memory()
	began = time.Now()
	b.ok(b.Stop())
	b.timed("TERM after ALRM", began, 10*time.Second)
	b.up()
	began = time.Now()
	b.ok(b.Stop())
	b.timed("TERM after a start", began, 10*time.Second)
	b.answers("without qmail-send")
	b.lists()
}

// bigQueue is a system with many messages that a remote host defers.
type bigQueue struct {
	*system
	remote  *host.Remote
	count   int
	measure bool // time and memory count
}

func newBigQueue(t *testing.T) *bigQueue {
	b := &bigQueue{system: layOut(t), count: number("REQMAIL_BIG_QUEUE", 3000)}
	_, b.measure = os.LookupEnv("REQMAIL_BIG_QUEUE")
	var err error
	b.remote, err = host.StartRemote("mx.remote.example")
	b.ok(err)
	t.Cleanup(b.remote.Stop)
	b.remote.Refuse(451, [3]int{4, 3, 0}, "not now")
	b.ok(b.Control("smtproutes", fmt.Sprintf(":127.0.0.1:%d\n", b.remote.Port)))
	b.fill(b.count)
	return b
}

// timed logs how long something took, and fails if that was more than a limit for
// 200 000 messages, in proportion; 0 is no limit.
func (b *bigQueue) timed(what string, began time.Time, limit time.Duration) {
	b.t.Helper()
	took := time.Since(began)
	b.t.Logf("%d messages: %s: %v", b.count, what, took.Round(time.Millisecond))
	limit = max(limit, limit*time.Duration(b.count)/200_000)
	if b.measure && limit > 0 && took > limit {
		b.t.Errorf("%s: %v, want %v at most", what, took, limit)
	}
}

// fresh waits until so many local messages have come; one is sent now.
func (b *bigQueue) fresh(n int, when string, began time.Time) {
	b.t.Helper()
	b.inject("Subject: fresh\n\nx\n", "you@"+host.Name)
	b.mail(n)
	b.timed("a fresh message "+when, began, 2*time.Second)
}

// answers asks what administrators ask.
func (b *bigQueue) answers(when string) {
	b.t.Helper()
	for _, line := range []string{"status", "list --limit 50", "list --limit 50 --sort size", "list --domain d7.example --limit 50"} {
		began := time.Now()
		b.reqmail(fine, args(line)...)
		limit := time.Second
		if when == "without qmail-send" {
			limit = 0 // that depends on the disk
		}
		b.timed(line+" "+when, began, limit)
	}
}

// memory checks how much memory qmail-send takes.
func (b *bigQueue) memory() {
	b.t.Helper()
	const most = 150 << 20
	var size, resident int
	_, err := fmt.Sscan(b.read(fmt.Sprintf("/proc/%d/statm", b.PID())), &size, &resident)
	b.ok(err)
	resident *= os.Getpagesize()
	b.t.Logf("%d messages: qmail-send takes %d bytes", b.count, resident)
	if b.measure && b.count <= 1_000_000 && resident > most {
		b.t.Errorf("qmail-send takes %d bytes, want %d at most", resident, most)
	}
}

// lists has qmail-qread list the queue again and again, also where the runtime
// collects garbage on every thread all the while.
func (b *bigQueue) lists() {
	b.t.Helper()
	for n := range 10 {
		c := b.Command("qmail-qread")
		if n > 0 {
			c.Env = append(slices.Clip(c.Env), "GOGC=1")
		}
		began := time.Now()
		out, err := c.Output()
		if lines := bytes.Count(out, []byte("\n")); err != nil || lines != 2*b.count {
			b.t.Fatalf("qmail-qread: %v, %d lines of %d messages", err, lines, b.count)
		}
		b.timed("qmail-qread", began, 0)
		if b.measure {
			break
		}
	}
}

// tryAll has all messages tried, and looks on for the first ones.
func (b *bigQueue) tryAll() {
	b.t.Helper()
	tries := min(b.count/3, 20_000)
	before, began := b.remote.Asked(), time.Now()
	b.ok(b.Signal(syscall.SIGALRM))
	b.fresh(2, "after ALRM", began)
	b.ok(host.Within(forMany(tries), fmt.Sprint(tries, " tries after ALRM"), func() bool { return b.remote.Asked()-before >= tries }))
	b.timed(fmt.Sprint(tries, " tries after ALRM"), began, 0)
}

// fill puts deferred messages into the queue, as qmail-queue and qmail-send
// would have left them; none is due.
func (s *system) fill(messages int) {
	s.t.Helper()
	due := time.Now().Add(24 * time.Hour)
	for n := range messages {
		// Numbers that no file of this system has.
		id := queue.ID(1<<40 + n)
		for file, text := range map[string]string{
			id.Mess():                   "Received: (qmail 1 invoked by uid 1); 1 Jan 2026 00:00:00 -0000\nSubject: old\n\nold\n",
			id.Info():                   fmt.Sprintf("Fs%d@s.example\x00", n%1000),
			id.Recipients(queue.Remote): fmt.Sprintf("Tr%d@d%d.example\x00", n, n%50),
		} {
			s.ok(os.WriteFile(s.Path("queue", file), []byte(text), 0o600))
		}
		s.ok(os.Chtimes(s.Path("queue", id.Recipients(queue.Remote)), due, due))
	}
}
