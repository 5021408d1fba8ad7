package send

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/reqmail/reqmail/compat/steer"
	"github.com/reqmail/reqmail/queue"
)

// toRemote puts a message with remote recipients into the queue, tried before.
func toRemote(t *testing.T, id queue.ID, recipients ...string) {
	t.Helper()
	write(t, id.Mess(), "text\n")
	write(t, id.Info(), "F#@[]\x00") // whose bounces are discarded
	text := ""
	for _, r := range recipients {
		text += "T" + r + "\x00"
	}
	write(t, id.Recipients(queue.Remote), text)
}

// arrives puts a new message into todo.
func (p *peers) arrives(id queue.ID, recipient string) {
	p.t.Helper()
	write(p.t, id.Mess(), "text\n")
	write(p.t, id.Todo(), "u1\x00p2\x00Fs@y\x00T"+recipient+"\x00")
	p.todo.next = p.clock
	p.turns()
}

// running counts the deliveries under way to a domain.
func (p *peers) running(domain string) (n int) {
	for _, d := range p.spawners[queue.Remote].slots {
		if d != nil && strings.HasSuffix(d.recipient, "@"+domain) {
			n++
		}
	}
	return n
}

// ends reports the end of a delivery to a domain; false if there is none.
func (p *peers) ends(domain, report string) bool {
	p.t.Helper()
	p.recent = p.clock
	for slot, d := range p.spawners[queue.Remote].slots {
		if d != nil && strings.HasSuffix(d.recipient, "@"+domain) {
			p.answer(queue.Remote, string([]byte{byte(slot)})+report+"\n\x00")
			return true
		}
	}
	return false
}

func (p *peers) wantRunning(want map[string]int) {
	p.t.Helper()
	p.turns()
	for domain, n := range want {
		if got := p.running(domain); got != n {
			p.t.Fatalf("%d deliveries to %s, want %d", got, domain, n)
		}
	}
}

// many is n messages to each of some domains.
func many(t *testing.T, n int, domains ...string) {
	for i, domain := range domains {
		for k := range n {
			toRemote(t, queue.ID(1000*i+k+1), fmt.Sprintf("u%d@%s", k, domain))
		}
	}
}

// A host that says nothing leaves slots to others, the next one too.
func TestHangingDestination(t *testing.T) {
	p := newPeers(t, 20, func() { many(t, 200, "hang.example") })
	p.wantRunning(map[string]int{"hang.example": 10})
	p.arrives(5000, "u@ok.example")
	p.wantRunning(map[string]int{"hang.example": 10, "ok.example": 1})
	for id := range queue.ID(20) {
		p.arrives(6000+id, fmt.Sprintf("u%d@HANG.too.example", id))
	}
	p.wantRunning(map[string]int{"hang.example": 10, "HANG.too.example": 5})
}

func TestShares(t *testing.T) {
	p := newPeers(t, 20, func() { many(t, 200, "a.example") })
	p.turns()
	for range 8 {
		p.ends("a.example", "Kfine")
	}
	p.wantRunning(map[string]int{"a.example": 19}) // who answers quickly gets nearly all
	for range 30 {
		p.ends("a.example", "Zgo away")
		p.turns()
	}
	p.wantRunning(map[string]int{"a.example": 10}) // quick refusals: half
	p.clock += 30
	for range 10 {
		p.ends("a.example", "Zno answer")
	}
	p.wantRunning(map[string]int{"a.example": 4})
	p.clock += 30
	for p.ends("a.example", "Zno answer") {
	}
	p.wantRunning(map[string]int{"a.example": 4}) // never less
}

// With control/fairscheduler 0, and where there are few slots, one destination
// may have them all.
func TestSharesNothing(t *testing.T) {
	p := newPeers(t, 9, func() { many(t, 50, "a.example") })
	p.wantRunning(map[string]int{"a.example": 9})
	p = newPeers(t, 20, func() {
		many(t, 50, "a.example")
		write(t, "../control/fairscheduler", "0\n")
	})
	p.wantRunning(map[string]int{"a.example": 20})
	p.arrives(5000, "u@ok.example")
	p.ends("a.example", "Kfine")
	p.wantRunning(map[string]int{"ok.example": 0}) // the others were due before
}

func TestFreshBeforeRetries(t *testing.T) {
	p := newPeers(t, 10, func() {
		for id := range queue.ID(100) {
			toRemote(t, id, fmt.Sprintf("u@d%d.example", id))
		}
	})
	p.turns()
	p.arrives(5000, "u@ok.example")
	for ended := 0; p.running("ok.example") == 0; ended++ {
		if ended > 2 {
			t.Fatal("retries go before a fresh message")
		}
		p.ends("example", "Zlater")
		for _, d := range p.spawners[queue.Remote].slots {
			if d != nil {
				_, domain, _ := strings.Cut(d.recipient, "@")
				p.ends(domain, "Zlater")
				break
			}
		}
		p.turns()
	}
}

// Recipients of one message that wait for their destination are tried once in
// the pass, like the others; the message ends with the last one.
func TestRecipientsThatWait(t *testing.T) {
	p := newPeers(t, 20, func() {
		var to []string
		for n := range 30 {
			to = append(to, fmt.Sprintf("u%d@hang.example", n))
		}
		toRemote(t, 7, append(to, "a@ok.example", "b@ok.example")...)
	})
	p.wantRunning(map[string]int{"hang.example": 10, "ok.example": 2})
	p.ends("ok.example", "Kfine")
	p.ends("ok.example", "Zlater")
	for range 29 {
		p.ends("hang.example", "Kfine")
		p.turns()
	}
	p.ends("hang.example", "Zlater")
	p.turns()
	if got := p.started(); got != 32 {
		t.Errorf("%d deliveries, want each recipient once", got)
	}
	if e, ok := p.channel[queue.Remote].first(); !ok || e.due < p.clock+399 {
		t.Errorf("next try %+v, want 400 s after birth", e)
	}
	p.wantStarted(400, 2)
	p.ends("ok.example", "Kfine")
	p.ends("hang.example", "Kfine")
	p.turns()
	p.wantLog("end msg 7\n")
	if p.jobs != 0 || p.fair.later != 0 {
		t.Errorf("%d jobs, %d recipients wait still", p.jobs, p.fair.later)
	}
}

// What waits for its destination can be seen, held and removed, and keeps its
// time for the next qmail-send.
func TestOrdersForWaiting(t *testing.T) {
	p := newPeers(t, 20, func() {
		many(t, 12, "hang.example")
		for id := range queue.ID(13) {
			_ = queue.SetNextTry(id, queue.Remote, 1000)
		}
		toRemote(t, 70, "a@ok.example", "b@hang.example")
	})
	p.wantRunning(map[string]int{"hang.example": 10, "ok.example": 1})
	if due := p.snapshot().Due[queue.Remote]; len(due) != 2 { // 70 is under way
		t.Fatalf("waiting: %v", due)
	}
	var waiting []queue.ID
	for _, d := range p.snapshot().Due[queue.Remote] {
		waiting = append(waiting, d.ID)
		if err := queue.SetNextTry(d.ID, queue.Remote, 1); err != nil {
			t.Fatal(err)
		}
	}
	p.persistSchedule()
	for _, id := range waiting {
		if st, err := os.Stat(id.Recipients(queue.Remote)); err != nil || st.ModTime().Unix() == 1 {
			t.Errorf("%d: time %v, %v", id, st.ModTime(), err)
		}
	}
	var result steer.Result
	p.act(&steer.Act{Verb: steer.Remove}, []steer.Name{p.name(waiting[0]), p.name(70)}, &result)
	p.act(&steer.Act{Verb: steer.Hold}, []steer.Name{p.name(waiting[1])}, &result)
	p.ends("ok.example", "Kfine")
	for p.ends("hang.example", "Kfine") {
		p.turns()
	}
	p.wantLog("steer msg 70: removed\n")
	if got := p.started(); got != 11 || result.Touched != 3 {
		t.Errorf("%d deliveries, want 11; %+v", got, result)
	}
}

// Whatever happens, a message is scheduled once or has a job, until it ends.
func TestFairAtRandom(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	domains := []string{"a.example", "b.example", "c.example", "d.example"}
	p := newPeers(t, 12, func() {
		for id := range queue.ID(60) {
			var to []string
			for n := range 1 + random.IntN(6) {
				to = append(to, fmt.Sprintf("u%d@%s", n, domains[random.IntN(1+int(id)%4)]))
			}
			toRemote(t, id, to...)
		}
	})
	for round := range 800 {
		if round < 500 {
			p.clock += random.Int64N(20)
		} else {
			p.clock += 5000
		}
		for range random.IntN(6) {
			domain := domains[random.IntN(4)]
			report := []string{"Kfine", "Zlater", "Dno"}[random.IntN(3)]
			if round > 600 {
				report = "Kfine"
			}
			p.ends(domain, report)
		}
		p.recent = p.clock
		p.work(readiness{cleaned: p.cleaned()})
		p.wantOnce()
	}
	if p.steer.index.Len() != 0 || p.fair.later != 0 || p.jobs != 0 {
		t.Errorf("%d messages, %d recipients, %d jobs are left", p.steer.index.Len(), p.fair.later, p.jobs)
	}
}

func (p *peers) wantOnce() {
	p.t.Helper()
	times := map[queue.ID]int{}
	for _, q := range append(p.schedules(queue.Remote), &p.done) {
		for e := range q.entries() {
			times[e.id]++
		}
	}
	for r := range p.steer.index.All() {
		if n := times[r.ID] + p.steer.active[r.ID]; n != 1 {
			p.t.Fatalf("message %d is scheduled %d times and has %d jobs", r.ID, times[r.ID], p.steer.active[r.ID])
		}
	}
	if used := p.spawners[queue.Remote].used; used > 12 {
		p.t.Fatalf("%d slots", used)
	}
}

func TestManyDestinations(t *testing.T) {
	f := &fair{known: map[string]*destination{}}
	for n := range 3 * maxDestinations {
		d := f.of(fmt.Sprintf("u@d%d", n))
		d.begun()
		if n%2 == 0 {
			f.ended(d, 'Z', 2*int64(time.Minute/time.Second))
		}
	}
	if len(f.known) > maxDestinations {
		t.Errorf("%d destinations are remembered", len(f.known))
	}
	if d := f.of("u@another"); d != nil {
		t.Error("a destination too many")
	}
}
