package send

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/reqmail/reqmail/compat/fdio"
	"github.com/reqmail/reqmail/compat/wire"
	"github.com/reqmail/reqmail/control"
	"github.com/reqmail/reqmail/queue"
	"golang.org/x/sys/unix"
)

func testRoutes() *routes {
	return &routes{
		envNoAtHost:    "mx.test.example",
		locals:         control.Set([]string{"mx.test.example", "local.example"}),
		percentHack:    control.Set([]string{"hack.example", "local.example"}),
		virtualDomains: control.Pairs([]string{".wild.example:alice-w", "exc.wild.example:", ":catchall-x", "user@one.example:bob", "dup.example:a", "dup.example:b"}),
	}
}

func TestRoute(t *testing.T) {
	r := testRoutes()
	for addr, want := range map[string]string{
		"a@mx.test.example":              "local a@mx.test.example",
		"A@LOCAL.example":                "local A@LOCAL.example",
		"noat":                           "local noat@mx.test.example",
		"a%b.example@hack.example":       "local catchall-x-a@b.example",
		"a%b%local.example@hack.example": "local catchall-x-a@b", // from right to left, as long as the host allows it
		"a@b.example@hack.example":       "local catchall-x-a@b.example@hack.example",
		"x@exc.wild.example":             "remote x@exc.wild.example",
		"x@sub.wild.example":             "local alice-w-x@sub.wild.example",
		"x@a.b.wild.example":             "local alice-w-x@a.b.wild.example",
		"x@wild.example":                 "local catchall-x-x@wild.example", // a dot before it: below it only
		"User@ONE.example":               "local bob-User@ONE.example",
		"other@one.example":              "local catchall-x-other@one.example",
		"x@dup.example":                  "local b-x@dup.example", // the last line counts
		"":                               "local @mx.test.example",
	} {
		c, rewritten := r.route(addr)
		if got := c.String() + " " + rewritten; got != want {
			t.Errorf("%q: got %q, want %q", addr, got, want)
		}
	}
	r.virtualDomains = nil
	if c, addr := r.route("x@far.example"); c != queue.Remote || addr != "x@far.example" {
		t.Errorf("without virtualdomains: %v %q", c, addr)
	}
}

func TestWithoutPrefix(t *testing.T) {
	r := testRoutes()
	for addr, want := range map[string]string{
		"alice-w-x@sub.wild.example": "x@sub.wild.example",
		"catchall-x-y@any.example":   "y@any.example",
		"bob-user@one.example":       "bob-user@one.example", // whole-address entries are not undone
		"alice-wx@sub.wild.example":  "alice-wx@sub.wild.example",
		"x@exc.wild.example":         "x@exc.wild.example",
		"noat":                       "noat",
	} {
		if got := r.withoutPrefix(addr); got != want {
			t.Errorf("%q: got %q, want %q", addr, got, want)
		}
	}
}

func TestDeliverySender(t *testing.T) {
	for _, test := range []struct{ sender, recipient, want string }{
		{"own-@mx.example-@[]", "ann+x@Other.Example", "own-ann+x=Other.Example@mx.example"},
		{"own-@mx.example-@[]", "a@b@c", "own-a@b=c@mx.example"},
		{"own-@mx.example-@[]", "noat", "own-@mx.example-@[]"},
		{"own--@[]", "a@b", "own--@[]"}, // no host before the mark
		{"a@b", "c@d", "a@b"},
		{"#@[]", "c@d", "#@[]"},
		{"", "c@d", ""},
	} {
		if got := deliverySender(test.sender, test.recipient); got != test.want {
			t.Errorf("%q to %q: got %q, want %q", test.sender, test.recipient, got, test.want)
		}
	}
}

func TestParagraph(t *testing.T) {
	for _, test := range []struct{ recipient, report, want string }{
		{"a@b", "no\n", "<a@b>:\nno\n\n"},
		{"a@b", "no", "<a@b>:\nno\n\n"},
		{"a@b", "", "<a@b>:\n\n"},
		{"a\nb@c", "x\n", "<a_b@c>:\nx\n\n"},
		{"a", "one\n\ntwo\n\n\nthree\n", "<a>:\none\n/two\n//three\n\n"}, // no blank line ends the paragraph early
		{"a", "x\n\n", "<a>:\nx\n\n\n"},
	} {
		if got := paragraph(test.recipient, test.report); got != test.want {
			t.Errorf("%q, %q: got %q, want %q", test.recipient, test.report, got, test.want)
		}
	}
}

func TestDueQueue(t *testing.T) {
	var q dueQueue
	for _, due := range []int64{50, 10, 40, 20, 30} {
		q.add(queue.ID(due), due)
	}
	if _, ok := q.take(9); ok {
		t.Error("taken before it is due")
	}
	if e, ok := q.take(10); !ok || e.id != 10 {
		t.Errorf("got %v, %v", e, ok)
	}
	q.allDue(35)
	var order []queue.ID
	for {
		e, ok := q.take(35)
		if !ok {
			break
		}
		order = append(order, e.id)
	}
	// The order in which C's heap gives them up: 30 was overdue, too.
	if want := []queue.ID{20, 50, 40, 30}; !slices.Equal(order, want) {
		t.Errorf("after ALRM: %v, want %v", order, want)
	}
}

// tooBig is what a C spawner says to a probe.
const tooBig = "\xffZInternal error: delnum too big. (#4.3.5)\n\x00"

// peers is a Scheduler with its peers played by the test.
type peers struct {
	*Scheduler
	t        *testing.T
	log      string
	commands [queue.Channels]fdio.FD // what the scheduler sends
	reports  [queue.Channels]fdio.FD // what the test answers
	clock    int64
	parsers  [queue.Channels]wire.CommandParser
}

// newPeers starts a scheduler on a queue that prepare has filled.
func newPeers(t *testing.T, slots byte, prepare func()) *peers {
	t.Helper()
	dir := t.TempDir()
	if err := os.MkdirAll(dir+"/control", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir+"/control/me", []byte("me.example\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, p := range queue.Layout() {
		if err := p.Make(dir+"/queue", func(path string, p queue.Place) error { return os.Chmod(path, os.FileMode(p.Mode)|0o600) }); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir + "/queue")
	prepare()
	p := &peers{t: t, log: dir + "/log", clock: time.Now().Unix()}
	files := p.files(slots)
	config, err := ReadConfig(dir + "/control")
	if err != nil {
		t.Fatal(err)
	}
	if p.Scheduler, err = New(config, dir, files); err != nil {
		t.Fatal(err)
	}
	p.clock = max(p.clock, p.recent) // a second may have begun since
	p.now = func() int64 { return p.clock }
	p.nextCleanup = p.clock + cleanupInterval
	p.takeInShort()
	return p
}

// takeInShort gives a short queue more time to be taken in than a start does: the
// machine may have other things to do.
func (p *peers) takeInShort() {
	for deadline := time.Now().Add(time.Second); !p.takingIn.over() && !p.takingIn.long && time.Now().Before(deadline); {
		p.beside.serveCalls()
		time.Sleep(time.Millisecond)
	}
}

// files makes the pipes, and a qmail-clean that does what it is asked.
func (p *peers) files(slots byte) Files {
	pipe := func() (r, w fdio.FD) {
		r, w, err := fdio.Pipe()
		if err != nil {
			p.t.Fatal(err)
		}
		return r, w
	}
	log, err := fdio.Open(p.log, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		p.t.Fatal(err)
	}
	f := Files{Log: log}
	for c := range f.Commands {
		p.commands[c], f.Commands[c] = pipe()
		f.Reports[c], p.reports[c] = pipe()
		_, _ = p.reports[c].WriteString(string([]byte{slots}) + tooBig)
	}
	var requests, answers fdio.FD
	requests, f.CleanRequest = pipe()
	f.CleanAns, answers = pipe()
	go func() {
		buf := make([]byte, 4096)
		for {
			n, err := requests.Read(buf)
			if err != nil {
				return
			}
			for line := range bytes.SplitSeq(buf[:n-1], []byte{0}) {
				if r, ok := wire.ParseCleanRequest(line); ok && r.Kind == wire.CleanTodo {
					_ = (*queue.Remover)(nil).RemoveTodo(queue.ID(r.ID))
				} else if ok {
					_ = (*queue.Remover)(nil).RemoveMess(queue.ID(r.ID))
				}
				_, _ = answers.Write([]byte{wire.CleanDone})
			}
		}
	}()
	return f
}

// turns lets the scheduler do what it can do without waiting.
func (p *peers) turns() {
	p.t.Helper()
	for range 50 {
		p.recent = p.clock
		p.actOnSignals()
		p.work(readiness{cleaned: p.cleaned()})
	}
}

// cleaned waits for what goes on beside the loop, and reports whether there are
// answers of qmail-clean.
func (p *peers) cleaned() bool {
	p.t.Helper()
	for p.todo.running > 0 && len(p.todo.results) == 0 || len(p.cleaner.asked) > 0 || p.walking && len(p.beside.calls) == 0 {
		fds := []unix.PollFd{{Fd: int32(p.signals.wake), Events: unix.POLLIN}}
		if len(p.cleaner.asked) > 0 {
			fds = append(fds, unix.PollFd{Fd: int32(p.cleaner.answer), Events: unix.POLLIN})
		}
		n, err := unix.Poll(fds, 10000)
		if err == unix.EINTR {
			continue
		}
		if n <= 0 {
			p.t.Fatalf("nothing comes from beside the loop: %v", err)
		}
		p.signals.drain()
		if len(fds) > 1 && fds[1].Revents != 0 {
			return true
		}
	}
	return false
}

// command returns the next command to a spawner.
func (p *peers) command(c queue.Channel) wire.Command {
	p.t.Helper()
	for {
		cmd, ok := p.parsers[c].Next()
		if ok && cmd == wire.Probe() {
			continue
		}
		if ok {
			return cmd
		}
		buf := make([]byte, 4096)
		n, err := p.commands[c].Read(buf)
		if err != nil {
			p.t.Fatal(err)
		}
		p.parsers[c].Add(buf[:n])
	}
}

// answer reports the end of a delivery.
func (p *peers) answer(c queue.Channel, report string) {
	p.t.Helper()
	if _, err := p.reports[c].WriteString(report); err != nil {
		p.t.Fatal(err)
	}
	var ready readiness
	ready.readable[c] = true
	p.takeReports(p.spawners[c], ready)
	p.flushLog()
}

func (p *peers) logged() string {
	data, err := os.ReadFile(p.log)
	if err != nil {
		p.t.Fatal(err)
	}
	return string(data)
}

func (p *peers) wantLog(texts ...string) {
	p.t.Helper()
	rest := p.logged()
	for _, text := range texts {
		_, after, ok := strings.Cut(rest, text)
		if !ok {
			p.t.Fatalf("no %q in its place in the log:\n%s", text, p.logged())
		}
		rest = after
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// preprocessed puts a message with local recipients into the queue.
func preprocessed(t *testing.T, id queue.ID, age time.Duration, recipients string) {
	t.Helper()
	write(t, id.Mess(), "text\n")
	write(t, id.Info(), "Fs@x\x00")
	write(t, id.Recipients(queue.Local), recipients)
	birth := time.Now().Add(-age)
	if err := os.Chtimes(id.Info(), birth, birth); err != nil {
		t.Fatal(err)
	}
}

func TestSlotsAndReports(t *testing.T) {
	p := newPeers(t, 2, func() { preprocessed(t, 7, 0, "Ta@h\x00Dold@h\x00Tb@h\x00Tc@h\x00") })
	p.turns()
	first, second := p.command(queue.Local), p.command(queue.Local)
	if first.Slot != 0 || second.Slot != 1 || first.Recipient != "a@h" || second.Recipient != "b@h" || first.Mess != "7/7" {
		t.Fatalf("commands %+v, %+v", first, second)
	}
	p.answer(queue.Local, "\x01Kfine\n\x00\x05Kwhat\x00\x01Klate\x00")
	p.wantLog("delivery 2: success: fine/\n", "status: local 1/2 remote 0/2\n",
		"warning: internal error: delivery report out of range\n", "warning: internal error: delivery report out of range\n")
	p.turns()
	if third := p.command(queue.Local); third.Slot != 1 || third.Recipient != "c@h" {
		t.Errorf("the lowest free slot is to be used: %+v", third)
	}
	p.answer(queue.Local, "\x00Zlater\n\x00\x01Xodd\x00")
	p.wantLog("delivery 1: deferral: later/\n", "delivery 3: report mangled, will defer\n")
	p.turns()
	if data, _ := os.ReadFile("local/7/7"); string(data) != "Ta@h\x00Dold@h\x00Db@h\x00Tc@h\x00" {
		t.Errorf("records: %q", data)
	}
	if e, ok := p.channel[queue.Local].first(); !ok || e.due < p.clock+99 || e.due > p.clock+100 {
		t.Errorf("next try %+v, want 100 s after birth", e)
	}
}

func TestLastTryBounces(t *testing.T) {
	p := newPeers(t, 9, func() { preprocessed(t, 7, 8*24*time.Hour, "Ta@h\x00") })
	p.turns()
	p.command(queue.Local)
	p.answer(queue.Local, "\x00Zstill not\n\x00")
	p.wantLog("delivery 1: failure: still_not/I'm_not_going_to_try_again;_this_message_has_been_in_the_queue_too_long./\n")
	if data, _ := os.ReadFile("bounce/7"); string(data) != "<a@h>:\nstill not\n"+tooLong+"\n" {
		t.Errorf("bounce: %q", data)
	}
}

// recordQueue puts a script in qmail-queue's place; it returns where that
// leaves message and envelope.
func recordQueue(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	target := filepath.Join(dir, "queued")
	write(t, filepath.Join(dir, "queue"), "#!/bin/sh\nexec 3<&1\n{ cat; cat <&3; } > "+target+"\n")
	if err := os.Chmod(filepath.Join(dir, "queue"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("QMAILQUEUE", filepath.Join(dir, "queue"))
	t.Setenv("REQMAIL_HOME", dir)
	return target
}

func TestBounceTexts(t *testing.T) {
	for _, test := range []struct {
		sender string
		want   string // behind the date
	}{
		{"s@x", "From: MAILER-DAEMON@me.example\nTo: s@x\nSubject: failure notice\n\n" +
			"Hi. This is the qmail-send program at me.example.\n" +
			"I'm afraid I wasn't able to deliver your message to the following addresses.\n" +
			"This is a permanent error; I've given up. Sorry it didn't work out.\n\n" +
			"<a@h>:\nno\n\n--- Below this line is a copy of the message.\n\nReturn-Path: <s@x>\ntext\nF\x00Ts@x\x00\x00"},
		{"own-@x-@[]", "From: MAILER-DAEMON@me.example\nTo: own-@x\nSubject: failure notice\n\n" +
			"Hi. This is the qmail-send program at me.example.\n" +
			"I'm afraid I wasn't able to deliver your message to the following addresses.\n" +
			"This is a permanent error; I've given up. Sorry it didn't work out.\n\n" +
			"<a@h>:\nno\n\n--- Below this line is a copy of the message.\n\nReturn-Path: <own-@x>\ntext\nF\x00Town-@x\x00\x00"},
		{"", "From: MAILER-DAEMON@me.example\nTo: postmaster@me.example\nSubject: failure notice\n\n" +
			"Hi. This is the qmail-send program at me.example.\n" +
			"I tried to deliver a bounce message to this address, but the bounce bounced!\n\n" +
			"<a@h>:\nno\n\n--- Below this line is the original bounce.\n\nReturn-Path: <>\ntext\nF#@[]\x00Tpostmaster@me.example\x00\x00"},
		{"#@[]", ""},
	} {
		target := recordQueue(t)
		p := newPeers(t, 9, func() {
			write(t, "mess/7/7", "text\n")
			write(t, "info/7/7", "F"+test.sender+"\x00")
			write(t, "bounce/7", "<a@h>:\nno\n\n")
		})
		p.turns()
		data, _ := os.ReadFile(target)
		_, got, _ := strings.Cut(string(data), "\n")
		if got != test.want {
			t.Errorf("from %q: queued %q, want %q", test.sender, got, test.want)
		}
		if test.want == "" {
			p.wantLog("triple bounce: discarding bounce/7\n")
		} else {
			p.wantLog("bounce msg 7 qp ")
		}
		p.wantLog("end msg 7\n")
		if left, _ := filepath.Glob("*/7"); len(left) > 0 && slices.Contains(left, "bounce/7") {
			t.Error("the bounce file is still there")
		}
	}
}

// TestRemovedMessage: a message whose files somebody removed is reported once
// and forgotten, where C's qmail-send tries it for ever.
func TestRemovedMessage(t *testing.T) {
	p := newPeers(t, 9, func() { preprocessed(t, 7, 0, "Ta@h\x00") })
	for _, path := range []string{"mess/7/7", "info/7/7", "local/7/7"} {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	p.turns()
	p.clock += retryTrouble
	p.turns()
	if n := strings.Count(p.logged(), "warning: trouble opening local/7/7; will try again later\n"); n != 1 {
		t.Errorf("reported %d times, want once:\n%s", n, p.logged())
	}
}

func TestTroubleIsTriedAgain(t *testing.T) {
	p := newPeers(t, 9, func() { preprocessed(t, 7, 0, "Ta@h\x00") })
	if err := os.Rename("info/7/7", "info/7/away"); err != nil {
		t.Fatal(err)
	}
	p.turns()
	p.wantLog("warning: trouble opening info/7/7; will try again later\n")
	if err := os.Rename("info/7/away", "info/7/7"); err != nil {
		t.Fatal(err)
	}
	p.clock += retryTrouble - 1
	p.turns()
	if strings.Contains(p.logged(), "starting") {
		t.Error("tried too soon")
	}
	p.clock++
	p.turns()
	p.wantLog("starting delivery 1: msg 7 to local a@h\n")
}

func TestLostSpawner(t *testing.T) {
	p := newPeers(t, 9, func() { preprocessed(t, 7, 0, "Ta@h\x00") })
	p.turns()
	p.command(queue.Local)
	p.reports[queue.Local].Close()
	p.takeReports(p.spawners[queue.Local], readiness{readable: [queue.Channels]bool{true, false}})
	p.flushLog()
	p.wantLog("alert: oh no! lost spawn connection! dying...\n")
	if !p.leaving || p.outstanding() {
		t.Error("what a dead spawner owes must not keep qmail-send")
	}
}

func TestNoGreeting(t *testing.T) {
	r, w, err := fdio.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	w.Close()
	if _, err := newSpawner(queue.Local, -1, r, 10, true); err == nil || err.Error() != "hath the daemon spawn no fire?" {
		t.Errorf("got %v", err)
	}
}

// TestTermWritesWhatChanged: times that say when a message is due stay as they are
// to the nanosecond, and ALRM is remembered.
func TestTermWritesWhatChanged(t *testing.T) {
	due := time.Unix(2_000_000_000, 123456789)
	for _, flushed := range []bool{false, true} {
		p := newPeers(t, 9, func() {
			for _, id := range []queue.ID{7, 8} {
				preprocessed(t, id, 0, "Ta@h\x00")
				if err := os.Chtimes(id.Recipients(queue.Local), due, due); err != nil {
					t.Fatal(err)
				}
			}
		})
		want := due
		if flushed {
			want = time.Unix(p.clock, 0)
			p.recent = p.clock
			p.flush("")
		}
		p.leaving = true
		p.Run()
		for _, id := range []queue.ID{7, 8} {
			if st, err := os.Stat(id.Recipients(queue.Local)); err != nil || !st.ModTime().Equal(want) {
				t.Errorf("flushed %v, %d: %v, %v, want %v", flushed, id, st.ModTime(), err, want)
			}
		}
	}
}

// TestDueQueueInPieces: a queue of several pieces gives up what it holds in order,
// like one that is in one piece.
func TestDueQueueInPieces(t *testing.T) {
	var q dueQueue
	const n = 3*piece + 7
	for i := range int64(n) {
		q.add(queue.ID(i), i*7919%n)
	}
	gone := map[queue.ID]bool{}
	for i := range queue.ID(n) {
		if i%3 == 0 {
			gone[i] = true
		}
	}
	q.drop(gone)
	q.addKept(n, -1<<63) // as far as a time goes
	q.addKept(n+1, 1<<62)
	last, count := int64(-1<<62), 0
	for e, ok := q.first(); ok; e, ok = q.first() {
		if _, early := q.take(e.due - 1); early {
			t.Fatalf("%+v was taken before it was due", e)
		}
		if _, ok := q.take(e.due); !ok || e.due < last || gone[e.id] || e.kept != (e.id >= n) {
			t.Fatalf("%+v after %d", e, last)
		}
		last = e.due
		count++
	}
	if count != n-len(gone)+2 || q.len() != 0 || len(q.pieces) != 0 {
		t.Errorf("%d of %d", count, n)
	}
}

func TestSchedulePersists(t *testing.T) {
	p := newPeers(t, 9, func() { preprocessed(t, 7, 0, "Ta@h\x00") })
	p.channel[queue.Local] = dueQueue{}
	p.channel[queue.Local].add(7, 2_000_000_000)
	p.leaving = true
	p.Run()
	p.wantLog("status: exiting\n")
	st, err := os.Stat("local/7/7")
	if err != nil || st.ModTime().Unix() != 2_000_000_000 {
		t.Errorf("%v, %v", st.ModTime(), err)
	}
	q := newPeers(t, 9, func() {
		preprocessed(t, 7, 0, "Ta@h\x00")
		if err := queue.SetNextTry(7, queue.Local, 2_000_000_000); err != nil {
			t.Fatal(err)
		}
	})
	if e, _ := q.channel[queue.Local].first(); e.due != 2_000_000_000 {
		t.Errorf("after a start: %+v", e)
	}
}

func TestReread(t *testing.T) {
	p := newPeers(t, 9, func() {})
	write(t, p.home+"/control/locals", "new.example\n")
	p.reread()
	if c, _ := p.config.route("a@new.example"); c != queue.Local {
		t.Error("locals were not read again")
	}
	if err := os.Remove(p.home + "/control/locals"); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(p.home+"/control/locals", 0o700); err != nil {
		t.Fatal(err)
	}
	p.reread()
	p.flushLog()
	p.wantLog("alert: unable to reread control/locals\n")
	if c, _ := p.config.route("a@new.example"); c != queue.Local {
		t.Error("after trouble the old locals must stay")
	}
}

func TestPreprocessOrderOfLog(t *testing.T) {
	p := newPeers(t, 9, func() {
		write(t, "mess/7/7", "text\n")
		write(t, "todo/7", "u12\x00p34\x00Fs x@y\x00Ta@me.example\x00Tb@far\x00")
	})
	p.turns()
	p.wantLog("status: local 0/9 remote 0/9\n", "new msg 7\n", "info msg 7: bytes 5 from <s_x@y> qp 34 uid 12\n",
		"starting delivery 1: msg 7 to local a@me.example\n", "starting delivery 2: msg 7 to remote b@far\n")
	if there, _ := filepath.Glob("todo/*"); len(there) > 0 {
		t.Errorf("still in todo: %q", there)
	}
}

func FuzzRoute(f *testing.F) {
	f.Add("a%b@hack.example")
	f.Fuzz(func(t *testing.T, addr string) {
		_, rewritten := testRoutes().route(addr)
		if !strings.Contains(rewritten, "@") {
			t.Errorf("%q is rewritten to %q", addr, rewritten)
		}
	})
}

func FuzzParagraph(f *testing.F) {
	f.Add("a@b", "x\n\ny")
	f.Fuzz(func(t *testing.T, recipient, report string) {
		text := paragraph(recipient, report)
		body := strings.TrimRight(text, "\n")
		if strings.Contains(body, "\n\n") {
			t.Errorf("%q, %q: a blank line inside %q", recipient, report, text)
		}
	})
}

// A message whose info tells no sender is left alone, though nobody is to get it any more
// and nothing is to be returned: something has gone wrong with it.
func TestBrokenInfoStays(t *testing.T) {
	p := newPeers(t, 9, func() {
		write(t, "mess/7/7", "text\n")
		write(t, "info/7/7", "")
	})
	p.turns()
	p.clock += 2 * retryTrouble
	p.turns()
	for _, path := range []string{"mess/7/7", "info/7/7"} {
		if _, err := os.Stat(path); err != nil {
			t.Error(err)
		}
	}
	if strings.Contains(p.logged(), "end msg") {
		t.Errorf("log:\n%s", p.logged())
	}
}
