package send

import (
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/reqmail/reqmail/queue"
)

// laterDue puts n messages into the queue that are due in an hour.
func laterDue(t *testing.T, n int) {
	t.Helper()
	for id := range queue.ID(n) {
		toRemote(t, id, "a@far.example")
		if err := queue.SetNextTry(id, queue.Remote, time.Now().Unix()+3600); err != nil {
			t.Fatal(err)
		}
	}
}

// A long queue is taken in while it serves, whatever is preprocessed meanwhile:
// every message is scheduled once.
func TestTakingInBeside(t *testing.T) {
	const many = 4 * takeInBatch
	p := newPeers(t, 9, func() { laterDue(t, many) })
	if n := p.steer.index.Len(); p.takingIn.over() || n == 0 || n > takeInBatch {
		t.Fatalf("a start takes in %d messages", p.steer.index.Len())
	}
	p.arrives(many+7, "a@me.example") // the walk meets it or not
	p.command(queue.Local)
	p.answer(queue.Local, "\x00Kfine\n\x00")
	p.arrives(many+7, "b@far.example") // the number is used again
	p.untilTakenIn()
	if n := p.steer.index.Len(); n != many+1 {
		t.Errorf("%d messages, want %d", n, many+1)
	}
	p.wantOnce()
}

// What a crash has left in todo is preprocessed anew, however much waits there, and
// not taken in besides.
func TestTakingInBesideTodo(t *testing.T) {
	for _, backlog := range []queue.ID{0, 1000} {
		p := newPeers(t, 9, func() {
			laterDue(t, 100)
			write(t, queue.ID(7).Todo(), "u1\x00p2\x00Fs@y\x00Ta@far.example\x00")
			for id := 1000 + backlog; id > 1000; id-- {
				write(t, id.Todo(), "") // without text
			}
		})
		if n := p.steer.index.Len(); n != 99 || !p.takingIn.over() {
			t.Errorf("%d in todo: %d messages are taken in, want 99", backlog+1, n)
		}
	}
}

// ALRM counts for what is not taken in yet, too.
func TestAlarmWhileTakingIn(t *testing.T) {
	p := newPeers(t, 9, func() { laterDue(t, 2*takeInBatch) })
	if p.takingIn.over() {
		t.Fatal("all is taken in")
	}
	p.flush("")
	p.untilTakenIn()
	p.persistSchedule()
	late := 0
	for id := range queue.ID(2 * takeInBatch) {
		st, err := os.Stat(id.Recipients(queue.Remote))
		if err != nil {
			t.Fatal(err)
		}
		if time.Until(st.ModTime()) > time.Minute {
			late++
		}
	}
	if late > 9 { // they are being delivered
		t.Errorf("%d messages are not due", late)
	}
}

// untilTakenIn serves until the walk over the queue has ended.
func (p *peers) untilTakenIn() {
	p.t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for !p.takingIn.over() {
		if time.Now().After(deadline) {
			p.t.Fatal("the queue is not taken in")
		}
		p.turns()
	}
}

// What the walk has found of a message that the loop knows better is no news,
// before, while and after it is preprocessed, and when it has ended.
func TestOldNews(t *testing.T) {
	p := newPeers(t, 9, func() {})
	p.takingIn.met = map[queue.ID]bool{}
	toRemote(t, 7, "stale@far.example") // a crash left it: 7 is in todo
	before := p.lookAt(7)
	p.arrives(7, "a@me.example")
	p.takeIn([]found{before}, false)
	p.takeIn([]found{p.lookAt(7)}, false)
	p.command(queue.Local)
	p.turns()
	p.wantOnce()
	after := p.lookAt(7)
	p.answer(queue.Local, "\x00Kfine\n\x00")
	p.turns()
	p.takeIn([]found{after}, true)
	p.wantLog("end msg 7\n")
	if n := p.steer.index.Len(); n != 0 || !p.takingIn.over() {
		t.Errorf("%d messages that have ended", n)
	}
}

// A directory that cannot be opened is told of, and the others wait for it; mail
// goes on.
func TestTakingInTrouble(t *testing.T) {
	p := newPeers(t, 9, func() {
		if err := os.Rename("info/3", "info/away"); err != nil {
			t.Fatal(err)
		}
	})
	p.wantLog("alert: unable to opendir info/3, sleeping...\n", "status: local 0/9 remote 0/9\n")
	p.arrives(7, "a@me.example")
	p.command(queue.Local)
	if p.takingIn.over() {
		t.Error("all is taken in")
	}
}

// TERM does not wait for the walk, and leaves the times of messages that it has
// not come to.
func TestTermWhileTakingIn(t *testing.T) {
	p := newPeers(t, 9, func() { laterDue(t, 3*takeInBatch) })
	ended := p.run()
	kill(t, syscall.SIGTERM)
	finished(t, ended)
	p.wantLog("status: exiting\n")
	st, err := os.Stat(queue.ID(3*takeInBatch - 1).Recipients(queue.Remote))
	if err != nil || time.Until(st.ModTime()) < 3000*time.Second {
		t.Errorf("%v, %v", st.ModTime(), err)
	}
}
