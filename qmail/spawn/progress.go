package spawn

import (
	"time"

	"github.com/reqmail/reqmail/compat/wire"
)

// tellInterval is how often qmail-send is told how deliveries get on. One that
// ends sooner is not told of.
const tellInterval = 500 * time.Millisecond

// answerProbe tells a qmail-send of ours how many slots there are; from now on
// it wants to know how deliveries get on, too.
func (s *Server) answerProbe() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wanted = true
	s.unsent = wire.ProbeAnswer(s.Slots).Append(s.unsent)
	s.flush()
}

// follower notes how a delivery gets on. Its server's mutex guards it.
type follower struct {
	server *Server
	slot   int
	ended  bool // or nobody wants to know
	latest wire.Progress
}

func (s *Server) follow(slot int) *follower {
	s.mu.Lock()
	defer s.mu.Unlock()
	return &follower{server: s, slot: slot, ended: !s.wanted}
}

// note is Delivery.Progress.
func (f *follower) note(phase, host string, sent, total int64) {
	s := f.server
	s.mu.Lock()
	defer s.mu.Unlock()
	if f.ended {
		return
	}
	f.latest = wire.Progress{Phase: phase, Host: host, Sent: sent, Total: total}
	if !s.telling {
		s.telling = true
		time.AfterFunc(tellInterval, s.tell)
	}
	s.news[f] = struct{}{}
}

// end is the end of the delivery: its slot may be another one's from now on.
func (f *follower) end() {
	s := f.server
	s.mu.Lock()
	defer s.mu.Unlock()
	f.ended = true
	delete(s.news, f)
}

// tell tells qmail-send the latest of each delivery that there is news of.
func (s *Server) tell() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for f := range s.news {
		s.unsent = f.latest.Report(f.slot).Append(s.unsent)
	}
	clear(s.news)
	s.telling = false
	s.flush()
}
