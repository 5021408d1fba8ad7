package system

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/reqmail/reqmail/queue"
	"github.com/reqmail/reqmail/tests/host"
)

// TestBigQueue: what administrators ask of a large queue is answered within a
// second, also while qmail-send is stopped, and fresh mail does not wait for
// the old.
//
// REQMAIL_BIG_QUEUE is the number of messages in it; only where it is set does
// the time count, for then nothing else should run beside.
func TestBigQueue(t *testing.T) {
	messages := number("REQMAIL_BIG_QUEUE", 3000)
	s := layOut(t)
	s.fill(messages)
	began := time.Now()
	s.up()
	s.inject("Subject: fresh\n\nx\n", "you@"+host.Name)
	s.mail(1)
	t.Logf("%d messages: a fresh one was delivered %v after the start", messages, time.Since(began))
	s.ok(host.Within(forMany(messages), "the whole queue", func() bool {
		return strings.Contains(s.reqmail(fine, "status"), fmt.Sprintf(" %d, ", messages))
	}))
	_, timed := os.LookupEnv("REQMAIL_BIG_QUEUE")
	s.answers("with qmail-send", timed)
	s.ok(s.Stop())
	s.answers("without qmail-send", false) // that depends on the disk
}

// answers asks, and where it is timed fails if an answer takes more than a
// second.
func (s *system) answers(when string, timed bool) {
	s.t.Helper()
	for _, line := range []string{"status", "list --limit 50", "list --limit 50 --sort size", "list --domain d7.example --limit 50"} {
		began := time.Now()
		s.reqmail(fine, args(line)...)
		took := time.Since(began)
		s.t.Logf("%s, %s: %v", line, when, took)
		if timed && took > time.Second {
			s.t.Errorf("%s, %s: %v, want a second at most", line, when, took)
		}
	}
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
