package send

import (
	"golang.org/x/sys/unix"

	"github.com/reqmail/reqmail/queue"
)

// readiness is what poll(2) found.
type readiness struct {
	readable [queue.Channels]bool // reports
	cleaned  bool                 // answers of qmail-clean
	trigger  bool
}

// wait sleeps until a descriptor is ready, a signal comes, or something is
// due.
func (s *Scheduler) wait() (readiness, error) {
	fds := []unix.PollFd{{Fd: int32(s.signals.wake), Events: unix.POLLIN}}
	var targets []*bool
	var ready readiness
	watch := func(fd int32, events int16, target *bool) {
		fds = append(fds, unix.PollFd{Fd: fd, Events: events})
		targets = append(targets, target)
	}
	for c, sp := range s.spawners {
		if !sp.alive {
			continue
		}
		watch(int32(sp.reports), unix.POLLIN, &ready.readable[c])
		if len(sp.pending) > 0 {
			watch(int32(sp.commands), unix.POLLOUT, new(bool))
		}
	}
	if len(s.cleaner.asked) > 0 {
		watch(int32(s.cleaner.answer), unix.POLLIN, &ready.cleaned)
	}
	if !s.leaving && s.trigger >= 0 && s.todo.scan == nil {
		watch(int32(s.trigger), unix.POLLIN, &ready.trigger)
	}
	seen := s.signals.taken.Load()
	_, err := unix.Poll(fds, s.timeout())
	if err == unix.EINTR {
		s.signals.catchUp(seen)
		return readiness{}, nil
	}
	if err != nil {
		return readiness{}, err
	}
	if fds[0].Revents != 0 {
		s.signals.drain()
	}
	for i, target := range targets {
		*target = fds[i+1].Revents != 0
	}
	return ready, nil
}

// timeout returns how long the loop may sleep, in milliseconds.
func (s *Scheduler) timeout() int {
	wake := s.nextWake()
	if wake <= s.recent {
		return 0
	}
	return int(wake-s.recent+sleepFuzz) * 1000
}
