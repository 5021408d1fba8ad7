package send

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/reqmail/reqmail/queue"
)

// inTodo puts messages into todo.
func inTodo(t *testing.T, n int) {
	t.Helper()
	for id := range queue.ID(n) {
		write(t, id.Mess(), "text\n")
		write(t, id.Todo(), fmt.Sprintf("u1\x00p%d\x00Fs@y\x00Ta%d@me.example\x00", id, id))
	}
}

// Many messages at once: each is logged as one block, taken out of todo, and
// scheduled once; qmail-clean is never asked more than fits into a pipe.
func TestPreprocessingTogether(t *testing.T) {
	const n = 5 * maxTaken / 2
	p := newPeers(t, 9, func() { inTodo(t, n) })
	for round := 0; p.steer.index.Len() < n; round++ {
		if round > 100*n {
			t.Fatalf("%d of %d messages are preprocessed", p.steer.index.Len(), n)
		}
		p.recent = p.clock
		p.work(readiness{cleaned: p.cleaned()})
		if len(p.cleaner.asked) > maxAsked || p.todo.running > maxPreparing || len(p.todo.taken) > maxTaken {
			t.Fatalf("%d asked, %d running, %d taken", len(p.cleaner.asked), p.todo.running, len(p.todo.taken))
		}
	}
	log := p.logged()
	for id := range n {
		block := fmt.Sprintf("new msg %d\ninfo msg %d: bytes 5 from <s@y> qp %d uid 1\n", id, id, id)
		if strings.Count(log, block) != 1 {
			t.Fatalf("no block %q in the log", block)
		}
	}
	if left, _ := os.ReadDir("todo"); len(left) > 0 {
		t.Errorf("%d are in todo still", len(left))
	}
	if p.channel[queue.Local].len()+p.jobs != n {
		t.Errorf("%d messages wait, %d are tried, want %d", p.channel[queue.Local].len(), p.jobs, n)
	}
}

// A look into todo that meets messages which are on their way passes them over,
// also when they have left todo since it read their names.
func TestPreprocessingIsMetAgain(t *testing.T) {
	p := newPeers(t, 9, func() { inTodo(t, 3) })
	p.recent = p.clock
	p.lookIntoTodo(false)
	p.lookIntoTodo(true) // all names are read
	if p.todo.scan != nil {
		t.Fatal("the look goes on")
	}
	p.lookIntoTodo(true)
	p.turns()
	log := p.logged()
	if strings.Count(log, "new msg") != 3 || strings.Contains(log, "warning") {
		t.Errorf("log:\n%s", log)
	}
	p.arrives(3, "b@me.example")
	if !strings.Contains(p.logged(), "new msg 3\n") {
		t.Error("a later message is passed over")
	}
}

// TERM does not leave a message half-way.
func TestTermWhilePreprocessing(t *testing.T) {
	p := newPeers(t, 9, func() { inTodo(t, 1) })
	p.recent = p.clock
	p.lookIntoTodo(false)
	p.leaving = true
	if !p.outstanding() {
		t.Error("it does not wait for what is being preprocessed")
	}
	finished(t, p.run())
	p.wantLog("new msg 0\n", "info msg 0:", "status: exiting\n")
	if _, err := os.Stat("todo/0"); !os.IsNotExist(err) {
		t.Errorf("it is in todo still: %v", err)
	}
}
