package system

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/reqmail/reqmail/compat/steer"
	"github.com/reqmail/reqmail/tests/host"
)

// TestActsInTheFlow: many messages are removed, held and retried, chosen by
// chance, while others flow through the same queue. Nothing else is touched:
// every message but the removed ones arrives once.
//
// REQMAIL_FLOW_MESSAGES and REQMAIL_FLOW_ACTS make it larger.
func TestActsInTheFlow(t *testing.T) {
	messages, acts := number("REQMAIL_FLOW_MESSAGES", 400), number("REQMAIL_FLOW_ACTS", 20)
	s := start(t)
	// Every other message waits until the gate is open.
	s.write("alias/.qmail-gate", "|test -e ../open || exit 111\n"+s.Path("mail/Maildir")+"/\n")
	injected := s.injectToGate(messages)
	f := flow{system: s, batch: max(1, acts/20), sender: map[string]bool{}, done: map[string]int{}}
	verbs := []string{"remove", "hold", "retry"}
	s.ok(host.Within(forMany(messages), "the acts", func() bool { return f.each(verbs, acts) }))
	s.write("open", "")
	// Some more, now that messages end while they are acted on, if any are left.
	s.ok(host.Within(forMany(messages), "more acts", func() bool { return f.each(verbs, acts+acts/4) || f.idle }))
	injected.Wait()
	s.reqmail(fine, args("release --state held --yes")...)
	s.ok(host.Within(forMany(messages), "the end of all", func() bool {
		s.reqmail(fine, args("flush --yes")...)
		return noneQueued(s) && strings.HasSuffix(s.qstat(), "preprocessed: 0\n")
	}))
	f.account(messages)
}

// injectToGate queues messages from several processes: sender and text tell the
// number of each. Every other one is for the mailbox, the rest for the gate.
func (s *system) injectToGate(messages int) *sync.WaitGroup {
	const injectors = 4
	var all sync.WaitGroup
	for i := range injectors {
		all.Add(1)
		go func() {
			defer all.Done()
			for n := i; n < messages; n += injectors {
				to := []string{"gate@", "you@"}[n/injectors%2] + host.Name
				if out, err := s.Run(numbered(n), "qmail-inject", "-f", sender(n), to); err != nil {
					s.t.Errorf("message %d: %v: %s", n, err, out)
				}
			}
		}()
	}
	return &all
}

func sender(n int) string { return fmt.Sprintf("n%d@x.example", n) }

func (s *system) qstat() string {
	out, _ := s.Run("", "qmail-qstat")
	return out
}

// flow is what was done to messages in the queue.
type flow struct {
	*system
	batch  int
	sender map[string]bool // of messages acted on; true: removed
	done   map[string]int  // messages, by act
	idle   bool            // there was nothing left to act on
}

// each does one batch of every act that was not done often enough, and reports
// whether there is none.
func (f *flow) each(verbs []string, enough int) bool {
	all := true
	for _, verb := range verbs {
		if f.done[verb] < enough {
			f.act(verb)
			all = false
		}
	}
	return all
}

// act has reqmail act on a batch of messages chosen by chance, none of them
// twice.
func (f *flow) act(verb string) {
	f.t.Helper()
	list := f.messages()
	rand.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	senders := map[string]string{} // by name
	command := []string{"reqmail", "--json", verb, "--yes"}
	for _, m := range list {
		if _, used := f.sender[m.Sender]; !used && len(senders) < f.batch {
			senders[m.Name.String()] = m.Sender
			command = append(command, m.Name.String())
		}
	}
	if f.idle = len(senders) == 0; f.idle {
		return
	}
	out, err := f.Command(command...).Output()
	if exit := (*exec.ExitError)(nil); err != nil && !(errors.As(err, &exit) && exit.ExitCode() == look) {
		f.t.Fatalf("%s: %v: %s", verb, err, out)
	}
	var result steer.Result
	f.ok(json.Unmarshal(out, &result))
	for _, failure := range result.Failures {
		delete(senders, failure.Name.String()) // it ended meanwhile
	}
	if len(senders) != result.Touched {
		f.t.Errorf("%s: %d touched, %d failures, of %d", verb, result.Touched, result.Failed, len(command)-4)
	}
	for _, sender := range senders {
		f.sender[sender] = verb == "remove"
	}
	f.done[verb] += len(senders)
}

// account compares what arrived with what must have.
func (f *flow) account(messages int) {
	f.t.Helper()
	arrived := map[int]int{}
	f.count(arrived, map[string]bool{})
	late := 0
	for n := range messages {
		removed := f.sender[sender(n)]
		switch {
		case removed && arrived[n] == 1:
			late++ // its delivery was under way
		case removed && arrived[n] == 0, arrived[n] == 1:
		default:
			f.t.Errorf("message %d arrived %d times (removed: %v)", n, arrived[n], removed)
		}
	}
	f.t.Logf("%d messages; %v; %d arrived before they were removed", messages, f.done, late)
}
