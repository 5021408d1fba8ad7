package child

import (
	"os"
	"os/signal"
	"sync"
	"syscall"
)

// Reaper waits for many children at once without a thread for each: a
// process under a small limit of threads must not die of its own deliveries.
type Reaper struct {
	mu      sync.Mutex
	waiting map[int]chan syscall.WaitStatus
}

// NewReaper starts to catch SIGCHLD.
func NewReaper() *Reaper {
	r := &Reaper{waiting: map[int]chan syscall.WaitStatus{}}
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGCHLD)
	go func() {
		for range ended {
			r.collect()
		}
	}()
	return r
}

// lost is the end of a child that somebody else has waited for: nobody must
// take that for success.
const lost = syscall.WaitStatus(syscall.SIGKILL)

// Wait waits for the process pid, a child that nobody else waits for.
func (r *Reaper) Wait(pid int) syscall.WaitStatus {
	end := make(chan syscall.WaitStatus, 1)
	r.mu.Lock()
	r.waiting[pid] = end
	r.look(pid) // it may have ended before it was known
	r.mu.Unlock()
	return <-end
}

// collect takes in every child that has ended.
func (r *Reaper) collect() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for pid := range r.waiting {
		r.look(pid)
	}
}

// look takes in a child if it has ended. The mutex is held.
func (r *Reaper) look(pid int) {
	var status syscall.WaitStatus
	n, err := syscall.Wait4(pid, &status, syscall.WNOHANG, nil)
	if err == syscall.ECHILD {
		n, status = pid, lost
	}
	if n == pid {
		r.waiting[pid] <- status
		delete(r.waiting, pid)
	}
}
