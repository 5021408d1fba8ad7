package system

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/reqmail/reqmail/tests/host"
)

// TestKilledSendLosesNothing injects messages from several processes while
// qmail-send is killed and started again. Every message must arrive
// unchanged; one that was delivered but not yet recorded may arrive twice.
//
// REQMAIL_KILL_MESSAGES and REQMAIL_KILLS make it larger.
func TestKilledSendLosesNothing(t *testing.T) {
	messages, kills := number("REQMAIL_KILL_MESSAGES", 400), number("REQMAIL_KILLS", 5)
	const injectors = 8
	s := start(t)
	var injected atomic.Int64
	var wg sync.WaitGroup
	for i := range injectors {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for n := i; n < messages; n += injectors {
				if out, err := s.Run(numbered(n), "qmail-inject", "you@demo.example"); err != nil {
					t.Errorf("message %d: %v: %s", n, err, out)
				}
				injected.Add(1)
			}
		}()
	}
	for k := 1; k <= kills; k++ {
		s.ok(host.Within(forMany(messages), "the next kill", func() bool {
			return injected.Load() >= int64(k*messages/(kills+1))
		}))
		s.Kill()
		s.up()
	}
	wg.Wait()
	arrived := map[int]int{}
	deadline := time.Now().Add(forMany(messages))
	seen := map[string]bool{}
	for len(arrived) < messages && time.Now().Before(deadline) {
		s.count(arrived, seen)
		time.Sleep(20 * time.Millisecond)
	}
	s.ok(host.Within(forMany(messages), "an empty queue", func() bool {
		out, _ := s.Run("", "qmail-qstat")
		return strings.HasSuffix(out, "preprocessed: 0\n") && noneQueued(s)
	}))
	s.count(arrived, seen)
	total := 0
	for n := range messages {
		if arrived[n] == 0 {
			t.Errorf("message %d is lost", n)
		}
		total += arrived[n]
	}
	t.Logf("%d messages, %d kills, %d duplicates", messages, kills, total-messages)
}

// noneQueued reports whether no message waits for a delivery. A message that
// was just ending when qmail-send was killed may leave its text behind, which
// is collected after 36 hours.
func noneQueued(s *system) bool {
	files, _ := filepath.Glob(s.Path("queue/info/*/*"))
	return len(files) == 0
}

func number(variable string, otherwise int) int {
	if n, err := strconv.Atoi(os.Getenv(variable)); err == nil {
		return n
	}
	return otherwise
}

// numbered is a message that tells its number and the checksum of its body.
func numbered(n int) string {
	body := strings.Repeat(fmt.Sprintf("line of message %d\n", n), 1+n%50)
	return fmt.Sprintf("X-Number: %d\nX-Sum: %x\n\n%s", n, sha256.Sum256([]byte(body)), body)
}

// count takes in what is new in the mailbox.
func (s *system) count(arrived map[int]int, seen map[string]bool) {
	s.t.Helper()
	files, _ := filepath.Glob(s.Path("mail/Maildir/new/*"))
	for _, file := range files {
		if seen[file] {
			continue
		}
		seen[file] = true
		header, body, _ := strings.Cut(s.read(file), "\n\n")
		var n int
		var sum string
		for line := range strings.Lines(header) {
			_, _ = fmt.Sscanf(line, "X-Number: %d", &n)
			_, _ = fmt.Sscanf(line, "X-Sum: %s", &sum)
		}
		if fmt.Sprintf("%x", sha256.Sum256([]byte(body))) != sum {
			s.t.Errorf("message %d is corrupted", n)
		}
		arrived[n]++
	}
}
