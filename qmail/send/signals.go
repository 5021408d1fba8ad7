package send

import (
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/reqmail/reqmail/compat/fdio"
)

// signals turns TERM, ALRM and HUP into flags and wakes poll(2) through a
// pipe, so that a signal is never slept over.
type signals struct {
	term, alarm, hangup atomic.Bool
	taken               atomic.Int64 // how many there were
	wake                fdio.FD      // becomes readable after a signal
	waker               int          // the other end
}

// catchUp waits a moment for the flag of the signal that has interrupted the loop
// since it had seen so many. A goroutine sets it, and whoever has sent HUP takes
// it for granted that the message that he queues then is routed anew.
func (s *signals) catchUp(seen int64) {
	const pause, most = 50 * time.Microsecond, 100 * time.Millisecond
	for began := time.Now(); s.taken.Load() == seen && time.Since(began) < most; {
		time.Sleep(pause)
	}
}

// poke wakes the loop. Full is as good as written.
func (s *signals) poke() { _, _ = syscall.Write(s.waker, []byte{0}) }

func catchSignals() (*signals, error) {
	var p [2]int
	if err := syscall.Pipe2(p[:], syscall.O_CLOEXEC|syscall.O_NONBLOCK); err != nil {
		return nil, err
	}
	s := &signals{wake: fdio.FD(p[0]), waker: p[1]}
	incoming := make(chan os.Signal, 16)
	signal.Notify(incoming, syscall.SIGTERM, syscall.SIGALRM, syscall.SIGHUP)
	go func() {
		for sig := range incoming {
			switch sig {
			case syscall.SIGTERM:
				s.term.Store(true)
			case syscall.SIGALRM:
				s.alarm.Store(true)
			case syscall.SIGHUP:
				s.hangup.Store(true)
			}
			s.taken.Add(1)
			s.poke()
		}
	}()
	return s, nil
}

// drain empties the wake pipe.
func (s *signals) drain() {
	var buf [64]byte
	for {
		if n, err := syscall.Read(int(s.wake), buf[:]); n <= 0 || err != nil {
			return
		}
	}
}
