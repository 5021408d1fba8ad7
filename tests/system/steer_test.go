package system

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/reqmail/reqmail/compat/steer"
	"github.com/reqmail/reqmail/tests/host"
)

// dial connects to the running qmail-send.
func (s *system) dial() *steer.Client {
	s.t.Helper()
	var c *steer.Client
	s.until("the control socket", func() (ok bool) {
		var err error
		c, err = steer.Dial(s.Path("queue"))
		return err == nil
	})
	s.t.Cleanup(func() { c.Close() })
	return c
}

// waiting queues n messages that are deferred, and returns their names, oldest
// first. The program of their recipient exits with the content of the file
// "verdict".
func (s *system) waiting(n int, sender string) []steer.Name {
	s.t.Helper()
	s.write("alias/.qmail-verdict", "|exit `cat "+s.Path("verdict")+"`\n")
	if _, err := os.Stat(s.Path("verdict")); err != nil {
		s.write("verdict", "111\n")
	}
	for i := range n {
		s.inject("Subject: "+strconv.Itoa(i)+"\n\ntext\n", "-f", sender, "verdict@"+host.Name)
	}
	c := s.dial()
	var names []steer.Name
	s.until("deferrals", func() bool {
		names = names[:0]
		_, err := c.List(steer.Query{
			Filter: steer.Filter{Sender: sender, States: []steer.State{steer.Deferred}, MinTries: 1}, Sort: steer.ByAge,
		}, func(m steer.Message) error {
			names = append(names, m.Name)
			return nil
		})
		s.ok(err)
		return len(names) == n
	})
	return names
}

func (s *system) show(c *steer.Client, name steer.Name) steer.Message {
	s.t.Helper()
	m, err := c.Show(name)
	s.ok(err)
	return m
}

// act acts and wants all messages touched.
func (s *system) act(c *steer.Client, a steer.Act) {
	s.t.Helper()
	r, err := c.Act(a)
	s.ok(err)
	if r.Failed > 0 || r.Touched != len(a.Names) {
		s.t.Errorf("%s touches %d, fails for %v", a.Verb, r.Touched, r.Failures)
	}
}

func (s *system) gone(c *steer.Client, name steer.Name) {
	s.t.Helper()
	s.until("the end of message "+name.String(), func() bool {
		_, err := c.Show(name)
		return err != nil
	})
}

func TestSteerStatusAndList(t *testing.T) {
	s := start(t)
	names := s.waiting(3, "ann@a.example")
	c := s.dial()
	st, err := c.Status()
	s.ok(err)
	if st.Messages != 3 || st.Bytes < 300 || st.Local.Messages != 3 || st.Remote.Messages != 0 || st.Minute.Deferred != 3 ||
		st.Minute.Arrived != 3 || st.Local.Allowed != 10 || st.Oldest == nil || st.NextWake == 0 {
		t.Errorf("status %+v", st)
	}
	m := s.show(c, steer.Name{ID: names[0].ID}) // looking needs no birth
	if m.Name != names[0] || m.Sender != "ann@a.example" || m.Tries != 1 || len(m.Recipients) != 1 ||
		!strings.HasPrefix(m.Recipients[0].Address, "verdict@") || m.Recipients[0].Channel != "local" || m.Left != 1 ||
		m.NextTry <= st.Now || m.Size < 100 {
		t.Errorf("message %+v", m)
	}
	total, err := c.List(steer.Query{Limit: 2}, func(steer.Message) error { return nil })
	if err != nil || total != 3 {
		t.Errorf("total %d, %v", total, err)
	}
	if _, err := c.List(steer.Query{Filter: steer.Filter{Channel: "odd"}}, nil); err == nil {
		t.Error("an odd filter is taken")
	}
	if _, err := c.Show(steer.Name{ID: 1}); err == nil {
		t.Error("an unknown message is shown")
	}
}

func TestSteerActs(t *testing.T) {
	s := start(t)
	names := s.waiting(3, "ann@a.example")
	c := s.dial()
	one := names[:1]

	r, err := c.Act(steer.Act{Verb: steer.Hold, Names: names, DryRun: true})
	if err != nil || r.Touched != 3 || s.show(c, one[0]).State != steer.Deferred {
		t.Errorf("dry run: %+v, %v", r, err)
	}
	wrong := steer.Name{ID: one[0].ID, Birth: one[0].Birth + 1}
	r, err = c.Act(steer.Act{Verb: steer.Remove, Names: []steer.Name{wrong, {ID: one[0].ID}, {ID: 1, Birth: 1}}})
	if err != nil || r.Touched != 0 || r.Failed != 3 {
		t.Errorf("wrong names: %+v, %v", r, err)
	}

	// Neither ALRM nor flush nor a restart releases a held message.
	s.act(c, steer.Act{Verb: steer.Hold, Names: one, Reason: "looks odd"})
	s.write("verdict", "0\n")
	s.ok(s.Signal(syscall.SIGALRM))
	s.gone(c, names[1])
	s.gone(c, names[2])
	if r, err := c.Act(steer.Act{Verb: steer.Retry, Names: one}); err != nil || r.Failed != 1 {
		t.Errorf("retry of a held message: %+v, %v", r, err)
	}
	s.Kill()
	s.up()
	c = s.dial()
	_, err = c.Flush("", false)
	s.ok(err)
	m := s.show(c, one[0])
	if m.State != steer.Held || m.Hold == nil || m.Hold.Reason != "looks odd" || m.NextTry != 0 {
		t.Errorf("after a crash: %+v", m)
	}
	s.act(c, steer.Act{Verb: steer.Release, Names: one})
	s.gone(c, one[0])
	s.empty()
}

func TestSteerHoldEnds(t *testing.T) {
	s := start(t)
	names := s.waiting(1, "ann@a.example")
	c := s.dial()
	s.write("verdict", "0\n")
	s.act(c, steer.Act{Verb: steer.Hold, Names: names, Until: time.Now().Unix() + 2})
	s.ok(s.Signal(syscall.SIGALRM))
	if m := s.show(c, names[0]); m.State != steer.Held {
		t.Errorf("message %+v", m)
	}
	s.ok(s.Signal(syscall.SIGALRM)) // makes it due; the hold's end counts
	s.gone(c, names[0])
}

func TestSteerPostponeAndRetry(t *testing.T) {
	s := start(t)
	names := s.waiting(1, "ann@a.example")
	c := s.dial()
	s.write("verdict", "0\n")
	until := time.Now().Unix() + 5000
	s.act(c, steer.Act{Verb: steer.Postpone, Names: names, Until: until})
	s.ok(s.Signal(syscall.SIGALRM))
	s.until("the postponement", func() bool {
		m := s.show(c, names[0])
		return m.State == steer.Postponed && m.NextTry == until
	})
	s.act(c, steer.Act{Verb: steer.Retry, Names: names})
	s.gone(c, names[0])
}

func TestSteerRemove(t *testing.T) {
	s := start(t)
	names := s.waiting(2, "you@"+host.Name)
	c := s.dial()
	s.act(c, steer.Act{Verb: steer.Remove, Names: names[:1]})
	s.gone(c, names[0])
	if mail, _ := host.Mail(s.Path("mail/Maildir")); len(mail) != 0 {
		t.Errorf("silent removal tells the sender: %q", mail)
	}
	s.act(c, steer.Act{Verb: steer.Remove, Names: names[1:], Bounce: true, Reason: "no such\nuser"})
	s.gone(c, names[1])
	wantInOrder(t, s.mail(1)[0], "verdict@", "administrator", "no_such/user", "Below this line is a copy", "text")
	s.empty()
}

func TestSteerExpire(t *testing.T) {
	s := start(t)
	names := s.waiting(1, "you@"+host.Name)
	s.act(s.dial(), steer.Act{Verb: steer.Expire, Names: names, Until: time.Now().Unix()})
	wantInOrder(t, s.mail(1)[0], "verdict@", "has been in the queue too long")
	s.empty()
}

func TestSteerDomainLifetime(t *testing.T) {
	s := layOut(t)
	s.ok(s.Control("domainlifetime", "other.example:9\n"+host.Name+":3\n"))
	s.write("alias/.qmail-verdict", "|exit 111\n")
	s.up()
	s.inject("\ntext\n", "-f", "you@"+host.Name, "verdict@"+host.Name)
	// Its last try is when that is over, long before the schedule's second.
	wantInOrder(t, s.mail(1)[0], "verdict@", "has been in the queue too long")
}

func TestSteerSuspend(t *testing.T) {
	s := start(t)
	names := s.waiting(2, "ann@a.example")
	c := s.dial()
	s.write("verdict", "0\n")
	rule := steer.Rule{Verb: steer.Suspend, Destination: "*", Reason: "moving"}
	if r, err := c.AddRule(rule, true); err != nil || r.Touched != 2 || r.Rule != 0 {
		t.Errorf("dry run: %+v, %v", r, err)
	}
	r, err := c.AddRule(rule, false)
	if err != nil || r.Touched != 2 {
		t.Fatalf("suspend: %+v, %v", r, err)
	}
	s.inject("\nnew\n", "-f", "bob@b.example", "verdict@"+host.Name)
	s.ok(s.Signal(syscall.SIGALRM))
	s.until("all to be suspended", func() bool {
		total, err := c.List(steer.Query{Filter: steer.Filter{States: []steer.State{steer.Suspended}}}, func(m steer.Message) error {
			if m.Rule != r.Rule {
				t.Errorf("message %+v", m)
			}
			return nil
		})
		return err == nil && total == 3
	})
	s.Kill() // a suspension outlives a crash
	s.up()
	c = s.dial()
	rules, err := c.Rules()
	if err != nil || len(rules) != 1 || rules[0].Reason != "moving" {
		t.Fatalf("rules: %+v, %v", rules, err)
	}
	_, err = c.CancelRule(r.Rule, false)
	s.ok(err)
	for _, name := range names {
		s.gone(c, name)
	}
	s.empty()
	if _, err := c.CancelRule(r.Rule, false); err == nil {
		t.Error("a rule is cancelled twice")
	}
}

func TestSteerSuspendChannel(t *testing.T) {
	s := start(t)
	c := s.dial()
	r, err := c.AddRule(steer.Rule{Verb: steer.Suspend, Channel: steer.Local}, false)
	s.ok(err)
	s.inject("\nx\n", "you@"+host.Name)
	s.logged("info msg")
	st, err := c.Status()
	if err != nil || !st.Local.Suspended || st.Remote.Suspended {
		t.Errorf("status %+v, %v", st, err)
	}
	if strings.Contains(s.read(s.log), "starting delivery") {
		t.Error("a suspended channel delivers")
	}
	_, err = c.CancelRule(r.Rule, false)
	s.ok(err)
	s.mail(1)
}

func TestSteerBounceRule(t *testing.T) {
	s := start(t)
	s.waiting(1, "you@"+host.Name)
	c := s.dial()
	_, err := c.AddRule(steer.Rule{Verb: steer.BounceRule, Destination: "verdict@*", Reason: "gone away"}, false)
	s.ok(err)
	wantInOrder(t, s.mail(1)[0], "verdict@", "gone_away")
	s.inject("\nnew\n", "-f", "you@"+host.Name, "verdict@"+host.Name)
	s.mail(2)
	s.empty()
}

func TestSteerFrozen(t *testing.T) {
	s := layOut(t)
	s.ok(s.Control("freezebounces", "1\n"))
	s.write("alias/.qmail-postmaster", "|exit `cat "+s.Path("verdict")+"`\n")
	s.write("verdict", "100\n")
	s.up()
	s.inject("\ntext\n", "-f", "nobody@"+host.Name, "nowhere@"+host.Name)
	c := s.dial()
	var frozen []steer.Name
	s.until("a frozen message", func() bool {
		frozen = nil
		_, err := c.List(steer.Query{Filter: steer.Filter{States: []steer.State{steer.Frozen}}}, func(m steer.Message) error {
			frozen = append(frozen, m.Name)
			return nil
		})
		s.ok(err)
		return len(frozen) == 1
	})
	if m := s.show(c, frozen[0]); m.Sender != "#@[]" || m.NextTry != 0 || m.Recipients[0].Done {
		t.Errorf("message %+v", m)
	}
	s.write("verdict", "0\n")
	s.act(c, steer.Act{Verb: steer.Release, Names: frozen})
	s.empty()
}

// A message that is being delivered is removed when the delivery has ended;
// meanwhile it is among the live ones.
func TestSteerWhileDelivering(t *testing.T) {
	s := layOut(t)
	s.write("alias/.qmail-slow", "|while test ! -e "+s.Path("go")+"; do sleep 0.1; done; exit 111\n")
	s.up()
	s.inject("\ntext\n", "-f", "you@"+host.Name, "slow@"+host.Name)
	c := s.dial()
	var d steer.Delivery
	s.until("the delivery", func() bool {
		n := 0
		s.ok(c.Live(func(live steer.Delivery) error {
			d, n = live, n+1
			return nil
		}))
		return n == 1
	})
	if d.Sender != "you@"+host.Name || !strings.HasPrefix(d.Recipient, "slow@") || d.Size < 50 || d.Since == 0 || d.Number != 1 {
		t.Errorf("delivery %+v", d)
	}
	s.act(c, steer.Act{Verb: steer.Remove, Names: []steer.Name{d.Name}})
	if r, err := c.Act(steer.Act{Verb: steer.Hold, Names: []steer.Name{d.Name}}); err != nil || r.Failed != 1 {
		t.Errorf("hold of what is being removed: %+v, %v", r, err)
	}
	s.write("go", "")
	s.gone(c, d.Name)
	s.empty()
	s.logged("steer msg " + strconv.FormatUint(d.ID, 10) + ": removed")
}

// Administrators at once: every message ends as one of them said, none is
// touched by both, the mail that nobody acts on arrives once.
func TestSteerTwoAtOnce(t *testing.T) {
	s := start(t)
	const n = 30
	names := s.waiting(n, "ann@a.example")
	var mu sync.Mutex
	removed := map[uint64]int{}
	var admins sync.WaitGroup
	for range 3 {
		c := s.dial()
		admins.Go(func() {
			for _, name := range names {
				r, err := c.Act(steer.Act{Verb: steer.Remove, Names: []steer.Name{name}})
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				removed[name.ID] += r.Touched
				mu.Unlock()
			}
		})
	}
	for i := range 10 {
		s.inject(fmt.Sprintf("\n%d\n", i), "you@"+host.Name)
	}
	admins.Wait()
	for _, name := range names {
		if removed[name.ID] != 1 {
			t.Errorf("message %v was removed %d times", name, removed[name.ID])
		}
	}
	if mail := s.mail(10); len(mail) != 10 {
		t.Errorf("%d messages arrived", len(mail))
	}
	s.empty()
}

// A client that sends half a request, or does not read, is in nobody's way.
func TestSteerSilentClients(t *testing.T) {
	s := start(t)
	s.waiting(5, "ann@a.example")
	for range 20 {
		fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
		s.ok(err)
		defer syscall.Close(fd)
		s.ok(syscall.Connect(fd, &syscall.SockaddrUnix{Name: s.Path("queue", steer.Socket)}))
		_, err = syscall.Write(fd, []byte(strings.Repeat(`{"verb":"list","query":{"filter":{}}}`+"\n", 100)+`{"verb":"st`))
		s.ok(err)
	}
	s.inject("\nx\n", "you@"+host.Name)
	s.mail(1)
	if st, err := s.dial().Status(); err != nil || st.Messages != 5 {
		t.Errorf("status %+v, %v", st, err)
	}
}

func TestSteerNobody(t *testing.T) {
	s := start(t)
	s.dial()
	s.Kill()
	if _, err := steer.Dial(s.Path("queue")); !errors.Is(err, steer.ErrNobody) {
		t.Errorf("after a crash: %v", err)
	}
	s.up() // in spite of the socket that is left
	if _, err := s.dial().Status(); err != nil {
		t.Error(err)
	}
	s.ok(s.Stop())
	if _, err := os.Lstat(s.Path("queue", steer.Socket)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("after TERM the socket is there: %v", err)
	}
	// Without the folder it runs without.
	s.ok(os.RemoveAll(s.Path("queue", steer.Folder)))
	s.up()
	s.inject("\nx\n", "you@"+host.Name)
	s.mail(1)
	if _, err := steer.Dial(s.Path("queue")); !errors.Is(err, steer.ErrNobody) {
		t.Errorf("without a folder: %v", err)
	}
	if strings.Contains(s.read(s.log), "warning") {
		t.Error("it warns")
	}
}

func TestMailPolicy(t *testing.T) {
	s := layOut(t)
	s.ok(s.Control("mailpolicy", "pass sender=boss@*\nhold:odd header=\"Subject: *casino*\"\n"+
		"archive domain="+host.Name+" sender=arch@*\npostpone:00:00 size>5000\nwrong\n"))
	s.write("alias/.qmail-archive", "./archived\n")
	s.up()
	s.logged("alert: control/mailpolicy: line 5: ")
	c := s.dial()
	s.inject("Subject: Casino\n\nx\n", "-f", "ann@a.example", "you@"+host.Name)
	s.inject("Subject: y\n\n"+strings.Repeat("long\n", 2000), "-f", "ann@a.example", "you@"+host.Name)
	s.inject("Subject: Casino, to the boss\n\nx\n", "-f", "boss@a.example", "you@"+host.Name)
	s.inject("Subject: for the files\n\nx\n", "-f", "arch@a.example", "you@"+host.Name)
	s.mail(2)
	s.ok(host.FileSays(s.Path("alias/archived"), "for the files"))
	s.ok(s.Signal(syscall.SIGALRM))
	byArea := func(area string) (list []steer.Message) {
		_, err := c.List(steer.Query{Filter: steer.Filter{Area: area}}, func(m steer.Message) error {
			list = append(list, m)
			return nil
		})
		s.ok(err)
		return list
	}
	s.until("a held and a postponed message", func() bool { return len(byArea("odd")) == 1 && len(byArea("postponed")) == 1 })
	held, postponed := byArea("odd")[0], byArea("postponed")[0]
	if held.State != steer.Held || held.Hold.Reason != "mailpolicy line 2" || held.Tries != 0 {
		t.Errorf("held: %+v", held)
	}
	if at := time.Unix(postponed.NextTry, 0); postponed.State != steer.Postponed || at.Hour() != 0 || at.Minute() != 0 {
		t.Errorf("postponed: %+v", postponed)
	}
	s.Kill() // a hold outlives a crash
	s.up()
	c = s.dial()
	if m := s.show(c, held.Name); m.State != steer.Held || m.Area != "odd" {
		t.Errorf("held, after a crash: %+v", m)
	}
	s.act(c, steer.Act{Verb: steer.Release, Names: []steer.Name{held.Name}})
	s.act(c, steer.Act{Verb: steer.Retry, Names: []steer.Name{postponed.Name}})
	s.mail(4)
	s.empty()
}
