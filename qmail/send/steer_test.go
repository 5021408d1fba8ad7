package send

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/reqmail/reqmail/compat/fdio"
	"github.com/reqmail/reqmail/compat/steer"
	"github.com/reqmail/reqmail/queue"
)

// order acts on message 7 and wants it touched.
func (p *peers) order(a steer.Act) {
	p.t.Helper()
	p.recent = p.clock
	var result steer.Result
	p.act(&a, []steer.Name{p.name(7)}, &result)
	if result.Touched != 1 || result.Failed != 0 {
		p.t.Fatalf("%s: %+v", a.Verb, result)
	}
}

func (p *peers) name(id queue.ID) steer.Name {
	return steer.Name{ID: uint64(id), Birth: int64(p.steer.index.Get(id).Birth)}
}

// deferred is a scheduler with message 7, tried once and deferred.
func deferred(t *testing.T) *peers {
	t.Helper()
	p := newPeers(t, 2, func() { preprocessed(t, 7, 0, "Ta@h\x00Tb@other\x00") })
	p.turns()
	for range 2 {
		c := p.command(queue.Local)
		p.answer(queue.Local, string([]byte{byte(c.Slot)})+"Zlater\n\x00")
	}
	p.turns()
	return p
}

// started tells how many deliveries have been started.
func (p *peers) started() int { return strings.Count(p.logged(), "starting delivery") }

// wantStarted lets time pass and wants that many deliveries started since.
func (p *peers) wantStarted(after int64, want int) {
	p.t.Helper()
	before := p.started()
	p.clock += after
	p.turns()
	if got := p.started() - before; got != want {
		p.t.Fatalf("%d deliveries start, want %d; log:\n%s", got, want, p.logged())
	}
}

func (p *peers) due() []int64 {
	var times []int64
	for e := range p.channel[queue.Local].entries() {
		times = append(times, e.due)
	}
	return times
}

func TestHoldUntil(t *testing.T) {
	p := deferred(t)
	p.order(steer.Act{Verb: steer.Hold, Until: p.clock + 5000})
	p.wantStarted(1000, 0) // the schedule's time comes
	p.signals.alarm.Store(true)
	p.wantStarted(0, 0)
	if due := p.due(); !slices.Equal(due, []int64{p.clock + 4000}) {
		t.Errorf("due at %v, want %d", due, p.clock+4000)
	}
	p.wantStarted(3999, 0)
	p.wantStarted(1, 2)
	p.wantLog("steer msg 7: held\n", "steer msg 7: hold has ended\n", "starting delivery 3")
}

// A message that is held while its recipients are being gone through stops
// there.
func TestHoldDuringPass(t *testing.T) {
	p := newPeers(t, 1, func() { preprocessed(t, 7, 0, "Ta@h\x00Tb@h\x00") })
	p.turns()
	p.order(steer.Act{Verb: steer.Hold})
	p.answer(queue.Local, "\x00Kfine\n\x00")
	p.wantStarted(100000, 0)
	p.order(steer.Act{Verb: steer.Release})
	p.wantStarted(0, 1)
	if data, _ := os.ReadFile("local/7/7"); string(data) != "Da@h\x00Tb@h\x00" {
		t.Errorf("records %q", data)
	}
}

// What is held does not expire: released too late it gets one last try.
func TestHeldBeyondLifetime(t *testing.T) {
	p := deferred(t)
	p.order(steer.Act{Verb: steer.Hold})
	p.wantStarted(2*p.config.Lifetime, 0)
	p.order(steer.Act{Verb: steer.Release})
	p.wantStarted(0, 2)
	p.answer(queue.Local, "\x00Zlater\n\x00")
	p.wantLog("delivery 3: failure: later/I'm_not_going_to_try_again")
}

func TestPostponeEarlier(t *testing.T) {
	p := deferred(t)
	p.order(steer.Act{Verb: steer.Postpone, Until: p.clock + 5000})
	p.wantStarted(1000, 0)
	p.order(steer.Act{Verb: steer.Postpone, Until: p.clock + 10})
	p.wantStarted(10, 2)
}

// A lifetime of its own ends a message at that time, between two tries of the
// schedule, or lets it outlive the others.
func TestOwnLifetime(t *testing.T) {
	p := deferred(t)
	p.order(steer.Act{Verb: steer.Expire, Until: p.clock + 50})
	p.wantStarted(49, 0)
	p.wantStarted(1, 2)
	p.answer(queue.Local, "\x00Zlater\n\x00")
	p.wantLog("delivery 3: failure: later/I'm_not_going_to_try_again")

	p = deferred(t)
	p.order(steer.Act{Verb: steer.Expire, Until: p.clock + 3*p.config.Lifetime})
	p.wantStarted(2*p.config.Lifetime, 2)
	p.answer(queue.Local, "\x00Zlater\n\x00")
	p.wantLog("delivery 3: deferral: later/\n")
}

func TestDomainLifetime(t *testing.T) {
	c := &Config{Lifetime: 100, domainLifetime: map[string]string{"a.example": "5", ".example": "7", "bad": "x", ".c.example": "9"}}
	for recipient, want := range map[string]int64{
		"u@a.example": 5, "u@A.EXAMPLE": 5, "u@b.example": 7, "u@x.c.example": 9, "u@example": 100, "u@bad": 100, "u": 100, "@": 100,
	} {
		if got := c.lifetimeFor(recipient); got != want {
			t.Errorf("%s: %d, want %d", recipient, got, want)
		}
	}
}

// Recipients of one message go different ways: one is suspended, the other is
// tried by its schedule.
func TestSuspendedRecipient(t *testing.T) {
	p := deferred(t)
	p.recent = p.clock
	number, err := p.addRule(steer.Rule{Verb: steer.Suspend, Destination: "other", Until: p.clock + 5000})
	if err != nil {
		t.Fatal(err)
	}
	p.wantStarted(400, 1)
	p.answer(queue.Local, "\x00Kfine\n\x00")
	p.wantStarted(4599, 0)
	if r := p.steer.index.Get(7); int(r.Rule) != number {
		t.Errorf("record %+v", r)
	}
	var result steer.Result
	p.act(&steer.Act{Verb: steer.Retry}, []steer.Name{p.name(7)}, &result)
	if result.Failed != 1 || !strings.Contains(result.Failures[0].Reason, "suspension") {
		t.Errorf("retry of what is suspended: %+v", result)
	}
	p.wantStarted(1, 1) // the suspension ends
	p.steer.dropEndedRules(p.clock)
	if len(p.steer.orders.Rules()) != 0 {
		t.Error("the suspension is in force still")
	}
}

func TestBouncedRecipient(t *testing.T) {
	p := deferred(t)
	p.recent = p.clock
	if _, err := p.addRule(steer.Rule{Verb: steer.BounceRule, Destination: "other", Reason: "closed\ndown"}); err != nil {
		t.Fatal(err)
	}
	p.wantStarted(400, 1)
	if data, _ := os.ReadFile("bounce/7"); !strings.HasPrefix(string(data), "<b@other>:\n") || !strings.Contains(string(data), "closed/down") {
		t.Errorf("bounce %q", data)
	}
	if data, _ := os.ReadFile("local/7/7"); string(data) != "Ta@h\x00Db@other\x00" {
		t.Errorf("records %q", data)
	}
}

func TestSuspendedChannelWakes(t *testing.T) {
	p := deferred(t)
	p.beside.serveCalls() // reasons, looked up beside the loop
	p.recent = p.clock
	if _, err := p.addRule(steer.Rule{Verb: steer.Suspend, Channel: steer.Local, Until: p.clock + 5000}); err != nil {
		t.Fatal(err)
	}
	p.wantStarted(1000, 0)
	p.recent, p.todo.next = p.clock, p.clock+90000
	if wake := p.nextWake(); wake != p.clock+4000 {
		t.Errorf("it wakes in %d seconds, want 4000", wake-p.clock)
	}
	p.wantStarted(4000, 2)
}

// A removal that was ordered is carried out by the next qmail-send if need be.
func TestRemoveAfterCrash(t *testing.T) {
	p := deferred(t)
	var result steer.Result
	p.act(&steer.Act{Verb: steer.Remove}, []steer.Name{p.name(7)}, &result)
	if err := p.steer.orders.Sync(); err != nil || result.Touched != 1 {
		t.Fatal(err, result)
	}
	p.steer.socket.Close()
	again := &peers{t: t, log: p.log, clock: p.clock}
	s, err := New(p.config, p.home, again.files(2))
	if err != nil {
		t.Fatal(err)
	}
	again.Scheduler = s
	s.now = func() int64 { return again.clock }
	again.wantStarted(1000, 0)
	for _, path := range []string{"info/7/7", "local/7/7", "mess/7/7"} {
		if _, err := os.Stat(path); err == nil {
			t.Errorf("%s is there", path)
		}
	}
	if s.steer.index.Len() != 0 || s.steer.orders.Len() != 0 {
		t.Error("it is remembered still")
	}
	again.wantLog("steer msg 7: removed\n", "end msg 7\n")
}

// Held messages keep their place in the schedule for the next qmail-send, also
// C's.
func TestHoldIsNotPersisted(t *testing.T) {
	p := deferred(t)
	before := p.due()[0]
	p.persistSchedule()
	p.order(steer.Act{Verb: steer.Hold})
	p.wantStarted(1000, 0)
	p.persistSchedule()
	if st, err := os.Stat("local/7/7"); err != nil || st.ModTime().Unix() != before {
		t.Errorf("next try %v, want %d; %v", st.ModTime().Unix(), before, err)
	}
}

func TestDueQueueSelection(t *testing.T) {
	var q dueQueue
	for _, due := range []int64{50, 10, 40, 20, 30} {
		q.add(queue.ID(due), due)
	}
	found := map[queue.ID]bool{}
	q.hasten(map[queue.ID]bool{50: true, 20: true, 99: true}, found, 5)
	q.drop(map[queue.ID]bool{10: true, 98: true})
	if len(found) != 2 || !q.has(40) || q.has(10) {
		t.Errorf("found %v, places %v", found, q.pieces)
	}
	var order []int64
	for {
		e, ok := q.take(1000)
		if !ok {
			break
		}
		order = append(order, e.due)
	}
	if !slices.Equal(order, []int64{5, 5, 30, 40}) {
		t.Errorf("order %v", order)
	}
}

// The number of a message that ends in the second of its birth is kept from
// others until that is over, and no longer.
func TestNumberIsKept(t *testing.T) {
	p := newPeers(t, 2, func() {})
	p.arrives(7, "a@me.example")
	p.clock = p.name(7).Birth // in that second still
	text, err := fdio.Open("mess/7/7", os.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	kept, err := text.Stat()
	text.Close()
	if err != nil {
		t.Fatal(err)
	}
	p.answer(queue.Local, string([]byte{byte(p.command(queue.Local).Slot)})+"Kdone\n\x00")
	p.turns()
	if _, err := os.Stat("mess/7/7"); !os.IsNotExist(err) {
		t.Fatalf("the message has not ended: %v", err)
	}
	opened := func() bool {
		links, _ := filepath.Glob("/proc/self/fd/*")
		return slices.ContainsFunc(links, func(link string) bool {
			st, err := os.Stat(link)
			return err == nil && st.Sys().(*syscall.Stat_t).Ino == kept.Ino
		})
	}
	if !opened() {
		t.Error("its number can be given to another message")
	}
	if wake := p.nextWake(); wake != p.clock+1 {
		t.Errorf("it wakes in %d seconds, want 1", wake-p.clock)
	}
	p.clock++
	p.turns()
	for deadline := time.Now().Add(20 * time.Second); opened(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("its number is never given to another message")
		}
	}
}

// Who has the message is not told that it is returned, also where it was to be removed
// while the last delivery was under way: the file with his name is still there then.
func TestReturnDuringLastDelivery(t *testing.T) {
	p := newPeers(t, 3, func() { preprocessed(t, 7, 0, "Ta@h\x00Tb@other\x00") })
	p.turns()
	first, last := p.command(queue.Local), p.command(queue.Local)
	p.answer(queue.Local, string([]byte{byte(first.Slot)})+"Kdone\n\x00")
	p.turns()
	p.order(steer.Act{Verb: steer.Remove, Bounce: true, Reason: "closed"})
	p.answer(queue.Local, string([]byte{byte(last.Slot)})+"Kdone\n\x00")
	p.turns()
	p.wantLog("end msg 7\n")
	if log := p.logged(); strings.Contains(log, "returned") || strings.Contains(log, "bounce") {
		t.Errorf("log:\n%s", log)
	}
}

// Where the file of a message all of whose recipients are done cannot be removed, it
// says so at least, for the message is tried again.
func TestDoneWhereFileStays(t *testing.T) {
	p := newPeers(t, 3, func() { preprocessed(t, 7, 0, "Ta@h\x00Tb@other\x00") })
	p.turns()
	keepNames(t, "local/7")
	for range 2 {
		c := p.command(queue.Local)
		p.answer(queue.Local, string([]byte{byte(c.Slot)})+"Kdone\n\x00")
	}
	p.turns()
	if data, _ := os.ReadFile("local/7/7"); string(data) != "Da@h\x00Db@other\x00" {
		t.Errorf("records %q", data)
	}
	p.wantLog("warning: unable to unlink local/7/7; will try again later\n")
}

// keepNames has the file system refuse to remove names from a directory.
func keepNames(t *testing.T, dir string) {
	t.Helper()
	const appendOnly = 0x20 // FS_APPEND_FL of ioctl_iflags(2)
	f, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	flags, err := unix.IoctlGetInt(int(f.Fd()), unix.FS_IOC_GETFLAGS)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(f.Fd()), unix.FS_IOC_SETFLAGS, flags|appendOnly)
	}
	if err != nil {
		t.Skipf("%s takes no flags: %v", dir, err)
	}
	t.Cleanup(func() {
		_ = unix.IoctlSetPointerInt(int(f.Fd()), unix.FS_IOC_SETFLAGS, flags)
		f.Close()
	})
}
