package send

import (
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/reqmail/reqmail/compat/fdio"
	"github.com/reqmail/reqmail/compat/wire"
	"github.com/reqmail/reqmail/queue"
)

// run runs the scheduler's own loop, which must not touch the test's clock any
// more; ended is closed when it is over.
func (p *peers) run() (ended chan struct{}) {
	ended = make(chan struct{})
	go func() {
		p.Run()
		close(ended)
	}()
	return ended
}

// finished waits for the end of the loop.
func finished(t *testing.T, ended chan struct{}) {
	t.Helper()
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Fatal("it does not leave")
	}
}

func kill(t *testing.T, sig syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(os.Getpid(), sig); err != nil {
		t.Fatal(err)
	}
}

// TERM ends it when what runs has ended, and not before: the report must be
// recorded.
func TestTerm(t *testing.T) {
	p := newPeers(t, 1, func() { preprocessed(t, 7, 0, "Ta@h\x00") })
	ended := p.run()
	p.command(queue.Local)
	kill(t, syscall.SIGTERM)
	if _, err := p.reports[queue.Local].WriteString("\x00Kfine\n\x00"); err != nil {
		t.Fatal(err)
	}
	finished(t, ended)
	p.wantLog("starting delivery 1: msg 7 to local a@h\n", "delivery 1: success: fine/\n", "status: exiting\n")
}

func TestNoNewWork(t *testing.T) {
	p := newPeers(t, 1, func() {
		preprocessed(t, 7, 0, "Ta@h\x00Tb@h\x00")
		write(t, "mess/8/8", "text\n")
	})
	p.turns()
	p.command(queue.Local)
	p.signals.term.Store(true)
	write(t, "todo/8", "u1\x00p2\x00Fs@y\x00Tb@me.example\x00")
	p.clock += todoInterval
	p.turns()
	p.answer(queue.Local, "\x00Kfine\n\x00")
	p.turns()
	p.wantLog("delivery 1: success: fine/\n", "status: local 0/1 remote 0/1 exitasap\n")
	if log := p.logged(); strings.Contains(log, "delivery 2") || strings.Contains(log, "new msg 8") {
		t.Errorf("new work after TERM:\n%s", log)
	}
	if data, _ := os.ReadFile("local/7/7"); string(data) != "Da@h\x00Tb@h\x00" {
		t.Errorf("records %q", data)
	}
	if p.outstanding() {
		t.Error("something keeps it")
	}
}

// A pull of the trigger and a signal each wake it from a sleep of many
// minutes.
func TestWakes(t *testing.T) {
	p := newPeers(t, 9, func() { preprocessed(t, 7, 0, "Ta@me.example\x00") })
	p.todo.next = p.clock + todoInterval
	p.channel[queue.Local] = dueQueue{}
	p.channel[queue.Local].add(7, p.clock+1000)
	ended := p.run()
	write(t, "mess/8/8", "text\n")
	write(t, "todo/8", "u1\x00p2\x00Fs@y\x00Tb@me.example\x00")
	queue.Pull()
	if cmd := p.command(queue.Local); cmd.Mess != "8/8" {
		t.Errorf("after the trigger: %+v", cmd)
	}
	kill(t, syscall.SIGALRM)
	if cmd := p.command(queue.Local); cmd.Mess != "7/7" {
		t.Errorf("after ALRM: %+v", cmd)
	}
	if _, err := p.reports[queue.Local].WriteString("\x00Kfine\n\x00\x01Zlater\n\x00"); err != nil {
		t.Fatal(err)
	}
	kill(t, syscall.SIGTERM)
	finished(t, ended)
	p.wantLog("delivery 1: success: fine/\n", "delivery 2: deferral: later/\n")
}

// A spawner that ends takes qmail-send with it: qmail-start's caller starts
// both again.
func TestLostSpawnerEnds(t *testing.T) {
	p := newPeers(t, 9, func() {})
	ended := p.run()
	p.reports[queue.Remote].Close()
	finished(t, ended)
	p.wantLog("alert: oh no! lost spawn connection! dying...\n", "status: exiting\n")
}

func TestTimeout(t *testing.T) {
	p := newPeers(t, 2, func() {})
	p.recent, p.todo.next = p.clock, p.clock+todoInterval
	busy := func(p *peers) {
		sp := *p.spawners[queue.Local]
		sp.used = len(sp.slots)
		p.spawners[queue.Local], p.passes[queue.Local] = &sp, &pass{}
	}
	for _, test := range []struct {
		name    string
		prepare func(p *peers)
		want    int // seconds
	}{
		{"a look into todo", func(p *peers) {}, todoInterval + 1},
		{"a walk for abandoned messages", func(p *peers) { p.todo.next, p.nextCleanup = p.clock+9000, p.clock+8000 }, 8001},
		{"a message", func(p *peers) { p.channel[queue.Remote].add(7, p.clock+100) }, 101},
		{"the earlier of two", func(p *peers) {
			p.channel[queue.Local].add(7, p.clock+100)
			p.channel[queue.Local].add(8, p.clock+50)
		}, 51},
		{"a message that is late", func(p *peers) { p.channel[queue.Local].add(7, p.clock-1) }, 0},
		{"one that could not be looked at", func(p *peers) { p.failed.add(7, p.clock+retryTrouble) }, 124},
		{"one to be finished", func(p *peers) { p.done.add(7, p.clock+retryTrouble) }, 124},
		{"todo in progress", func(p *peers) { p.todo.scan = &queue.Scan{} }, 0},
		{"as much of todo as there may be", func(p *peers) {
			p.todo.scan, p.todo.running = &queue.Scan{}, maxPreparing
		}, todoInterval + 1},
		{"a walk in progress", func(p *peers) { p.walking, p.nextCleanup = true, p.clock }, todoInterval + 1},
		{"a pass in progress", func(p *peers) { p.passes[queue.Local] = &pass{} }, 0},
		{"a pass that waits for a slot", busy, todoInterval + 1},
		{"a message for a channel that is busy", func(p *peers) {
			busy(p)
			p.channel[queue.Local].add(7, p.clock)
		}, todoInterval + 1},
		{"no job is free", func(p *peers) {
			p.jobs = p.maxJobs
			p.channel[queue.Local].add(7, p.clock)
		}, todoInterval + 1},
		{"leaving", func(p *peers) {
			p.leaving = true
			p.channel[queue.Local].add(7, p.clock)
			p.nextCleanup = p.clock + 50
		}, 51},
	} {
		q := *p.Scheduler
		p := &peers{Scheduler: &q, clock: p.clock}
		test.prepare(p)
		if got := p.timeout(); got != test.want*1000 {
			t.Errorf("%s: sleeps %d ms, want %d s", test.name, got, test.want)
		}
	}
}

func TestAbandonedMessages(t *testing.T) {
	const dayAndAHalf = 129600 * time.Second
	p := newPeers(t, 2, func() {
		for id, age := range map[queue.ID]time.Duration{7: dayAndAHalf + time.Hour, 8: dayAndAHalf - time.Hour, 9: 2 * dayAndAHalf, 10: 2 * dayAndAHalf} {
			write(t, id.Mess(), "text\n")
			at := time.Now().Add(-age)
			if err := os.Chtimes(id.Mess(), at, at); err != nil {
				t.Fatal(err)
			}
		}
		write(t, queue.ID(9).Info(), "Fs@x\x00") // in the queue
		write(t, queue.ID(10).Todo(), "")        // about to be
	})
	left := func() (ids []queue.ID) {
		for _, id := range []queue.ID{7, 8, 9, 10} {
			if _, err := os.Stat(id.Mess()); err == nil {
				ids = append(ids, id)
			}
		}
		return ids
	}
	walk := func() {
		p.recent = p.clock
		p.cleanUp()
		for p.walking || p.cleaner.busy() {
			ready := readiness{cleaned: p.cleaned()}
			p.beside.serveCalls()
			p.takeAnswers(ready)
			p.sendErrands()
		}
	}
	p.nextCleanup = p.clock
	walk()
	if got := left(); len(got) != 3 || got[0] != 8 {
		t.Errorf("left %v, want 8, 9, 10", got)
	}
	p.clock += cleanupInterval - 1
	walk()
	if got := left(); len(got) != 3 {
		t.Errorf("a second walk too soon: left %v", got)
	}
	p.clock++
	walk()
	if got := left(); len(got) != 2 || got[0] != 9 {
		t.Errorf("after the second walk: left %v, want 9, 10", got)
	}
}

// An envelope without its text that is being looked at just when the walk comes is
// removed all the same.
func TestAbandonedWhileBusy(t *testing.T) {
	p := newPeers(t, 2, func() {
		write(t, queue.ID(7).Todo(), "u1\x00p2\x00Fs@x\x00")
		old := time.Now().Add(-40 * time.Hour)
		if err := os.Chtimes(queue.ID(7).Todo(), old, old); err != nil {
			t.Fatal(err)
		}
	})
	p.todo.next = p.clock + 9000 // it is not looked at otherwise
	p.todo.taken[7] = true
	p.recent, p.nextCleanup = p.clock, p.clock
	p.cleanUp()
	turns := func(until func() bool) {
		for deadline := time.Now().Add(20 * time.Second); !until(); {
			if time.Now().After(deadline) {
				t.Fatal("it does not end")
			}
			ready := readiness{cleaned: p.cleaned()}
			p.beside.serveCalls()
			p.takeAnswers(ready)
			p.sendErrands()
		}
	}
	looked := time.Now().Add(2 * busyPause)
	turns(func() bool { return time.Now().After(looked) })
	if _, err := os.Stat(queue.ID(7).Todo()); err != nil || !p.walking {
		t.Errorf("what is being preprocessed is gone: %v", err)
	}
	delete(p.todo.taken, 7)
	turns(func() bool { return !p.walking })
	if _, err := os.Stat(queue.ID(7).Todo()); !os.IsNotExist(err) {
		t.Errorf("it is there still: %v", err)
	}
}

// A bounce that cannot be queued is kept, and tried again.
func TestBounceIsTriedAgain(t *testing.T) {
	recordQueue(t)
	script := os.Getenv("QMAILQUEUE")
	works, err := os.ReadFile(script)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(script, []byte("#!/bin/sh\nexit 53\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	p := newPeers(t, 9, func() {
		write(t, "mess/7/7", "text\n")
		write(t, "info/7/7", "Fs@x\x00")
		write(t, "bounce/7", "<a@h>:\nno\n\n")
	})
	p.turns()
	p.wantLog("warning: trouble injecting bounce message, will try later\n")
	for _, path := range []string{"mess/7/7", "info/7/7", "bounce/7"} {
		if _, err := os.Stat(path); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
	if err := os.WriteFile(script, works, 0o755); err != nil {
		t.Fatal(err)
	}
	p.clock += retryTrouble - 1
	p.turns()
	if strings.Contains(p.logged(), "end msg") {
		t.Error("tried again too soon")
	}
	p.clock++
	p.turns()
	p.wantLog("bounce msg 7 qp ", "end msg 7\n")
}

// Half a message must not be returned as if it were all of it.
func TestBounceOfUnreadableMessage(t *testing.T) {
	target := recordQueue(t)
	p := newPeers(t, 9, func() {
		write(t, "info/7/7", "Fs@x\x00")
		write(t, "bounce/7", "<a@h>:\nno\n\n")
		if err := os.Mkdir("mess/7/7", 0o700); err != nil {
			t.Fatal(err)
		}
	})
	p.turns()
	p.wantLog("warning: trouble injecting bounce message, will try later\n")
	if data, _ := os.ReadFile(target); strings.HasSuffix(string(data), "\x00\x00") {
		t.Errorf("queued %q", data)
	}
}

// refusing puts a qmail-clean in place that gives that answer, or ends.
func (p *peers) refusing(answer string) {
	p.t.Helper()
	var pipes [2][2]fdio.FD
	for i := range pipes {
		r, w, err := fdio.Pipe()
		if err != nil {
			p.t.Fatal(err)
		}
		pipes[i] = [2]fdio.FD{r, w}
	}
	p.cleaner = cleaner{request: pipes[0][1], answer: pipes[1][0]}
	if _, err := pipes[1][1].WriteString(answer); err != nil {
		p.t.Fatal(err)
	}
	pipes[1][1].Close()
}

func TestCleaner(t *testing.T) {
	p := newPeers(t, 2, func() {})
	for _, test := range []struct {
		name, answer, want string
		leaving            bool
	}{
		{"trouble", "!", "warning: qmail-clean unable to clean up foop/7\n", false},
		{"no understanding", "x", "warning: qmail-clean unable to clean up foop/7\n", false},
		{"gone", "", "alert: oh no! lost qmail-clean connection! dying...\n", true},
	} {
		p.refusing(test.answer)
		p.askCleaner(wire.CleanRequest{Kind: wire.CleanMess, ID: 7}, func(done bool) {
			if done {
				t.Errorf("%s: it was done", test.name)
			}
		})
		p.sendErrands()
		p.takeAnswers(readiness{cleaned: p.cleaned()})
		p.flushLog()
		if !strings.HasSuffix(p.logged(), test.want) {
			t.Errorf("%s: logged %q, want %q at its end", test.name, p.logged(), test.want)
		}
		if p.leaving != test.leaving {
			t.Errorf("%s: leaving %v, want %v", test.name, p.leaving, test.leaving)
		}
	}
}

// A message stays in todo, undelivered, until qmail-clean has taken it out.
func TestTodoThatStays(t *testing.T) {
	p := newPeers(t, 9, func() {
		write(t, "mess/7/7", "text\n")
		write(t, "todo/7", "u12\x00p34\x00Fs@y\x00Ta@me.example\x00")
	})
	works := p.cleaner
	p.refusing("!")
	p.turns()
	p.wantLog("new msg 7\n", "warning: qmail-clean unable to clean up todo/7\n")
	if strings.Contains(p.logged(), "starting") {
		t.Error("it is delivered")
	}
	p.cleaner = works
	p.clock += todoInterval
	p.turns()
	p.wantLog("new msg 7\n", "new msg 7\n", "starting delivery 1: msg 7 to local a@me.example\n")
}

// A message with recipients on both channels ends with the later one.
func TestBothChannels(t *testing.T) {
	p := newPeers(t, 9, func() {
		preprocessed(t, 7, 0, "Ta@h\x00")
		write(t, "remote/7/7", "Tb@far\x00")
	})
	p.turns()
	p.command(queue.Local)
	p.command(queue.Remote)
	p.answer(queue.Local, "\x00K\x00")
	p.turns()
	if _, err := os.Stat("local/7/7"); !os.IsNotExist(err) {
		t.Errorf("local is done: %v", err)
	}
	if strings.Contains(p.logged(), "end msg") {
		t.Fatal("the message has ended before its last recipient")
	}
	p.answer(queue.Remote, "\x00K\x00")
	p.turns()
	p.wantLog("end msg 7\n")
	for _, path := range []string{"mess/7/7", "info/7/7", "remote/7/7"} {
		if _, err := os.Stat(path); !os.IsNotExist(err) {
			t.Errorf("%s: %v, want it removed", path, err)
		}
	}
}

func TestBrokenRecipients(t *testing.T) {
	p := newPeers(t, 9, func() { preprocessed(t, 7, 0, "Ta@h\x00Xb@h\x00") })
	p.turns()
	p.command(queue.Local)
	p.wantLog("warning: unknown record type in local/7/7!\n")
	p.answer(queue.Local, "\x00K\x00")
	p.turns()
	if _, err := os.Stat("local/7/7"); err != nil {
		t.Errorf("nobody knows who else there is, but the file is gone: %v", err)
	}
}

// What cannot be looked at is looked at again.
func TestStatTrouble(t *testing.T) {
	p := newPeers(t, 9, func() {
		preprocessed(t, 7, 0, "Ta@h\x00")
		if err := os.Rename("info/7/7", "info/7/away"); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink("7", "info/7/7"); err != nil { // a loop
			t.Fatal(err)
		}
	})
	p.wantLog("warning: unable to stat info/7/7; will try again later\n")
	if err := os.Rename("info/7/away", "info/7/7"); err != nil {
		t.Fatal(err)
	}
	p.clock += retryTrouble - 1
	p.turns()
	if strings.Contains(p.logged(), "starting") {
		t.Error("tried again too soon")
	}
	p.clock += 2 // the scheduler had its own clock at its start
	p.turns()
	p.wantLog("starting delivery 1: msg 7 to local a@h\n")
}

// The signals' flags, as the loop finds them.
func TestFlags(t *testing.T) {
	p := newPeers(t, 9, func() { preprocessed(t, 7, 0, "Ta@h\x00") })
	write(t, p.home+"/control/locals", "new.example\n")
	p.signals.hangup.Store(true)
	p.turns()
	if c, _ := p.config.route("a@new.example"); c != queue.Local {
		t.Error("HUP does not read locals again")
	}
	p.command(queue.Local)
	p.answer(queue.Local, "\x00Z\x00")
	p.signals.alarm.Store(true)
	p.turns()
	if cmd := p.command(queue.Local); cmd.Mess != "7/7" {
		t.Errorf("after ALRM: %+v", cmd)
	}
}

func TestStandard(t *testing.T) {
	want := Files{Log: 0, Commands: [2]fdio.FD{1, 3}, Reports: [2]fdio.FD{2, 4}, CleanRequest: 5, CleanAns: 6}
	if got := Standard(); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// TestClockSteps: a clock that steps by a day loses and bounces nothing. Tries
// are made at times of the clock: a step back makes mail wait, until ALRM.
func TestClockSteps(t *testing.T) {
	const day = 24 * 60 * 60
	for _, step := range []int64{day, -day} {
		p := newPeers(t, 9, func() { preprocessed(t, 7, 0, "Ta@h\x00Tb@h\x00") })
		p.turns()
		p.command(queue.Local)
		p.command(queue.Local)
		p.clock += step
		p.answer(queue.Local, "\x00Z\x00\x01Z\x00")
		p.turns()
		if step < 0 {
			p.wantStarted(0, 0)
			p.signals.alarm.Store(true)
		}
		p.turns()
		p.command(queue.Local)
		p.command(queue.Local)
		p.clock -= step
		p.answer(queue.Local, "\x00K\x00\x01K\x00")
		p.turns()
		p.wantLog("end msg 7\n")
		if strings.Contains(p.logged(), "failure") {
			t.Errorf("a step of %d s had mail returned: %s", step, p.logged())
		}
	}
}
