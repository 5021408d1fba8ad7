package rspawn

import (
	"bytes"
	"sync"
	"time"

	"github.com/reqmail/reqmail/compat/errand"
	"github.com/reqmail/reqmail/compat/resident"
	"github.com/reqmail/reqmail/qmail/spawn"
)

// member is a qmail-remote that stays.
type member struct {
	conn *resident.Conn
	of   resident.Identity // its executable

	mu    sync.Mutex
	jobs  map[uint32]*job
	last  uint32 // number that was given
	since time.Time
	idle  *time.Timer // dismisses it
	over  bool        // it gets no more jobs
}

// job is a delivery that a member has.
type job struct {
	end      chan errand.Answer // one of Kind 0 if the member has crashed
	progress func(phase, host string, sent, total int64)
	printed  <-chan struct{} // of the member's first one: closed when nobody can print any more
}

// take gives the member a job if it has room for one and its executable is the
// one that would be run now.
func (m *member) take(of resident.Identity, j *job) (number uint32, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.of != of || time.Since(m.since) > lifetime {
		m.endLocked()
	}
	if m.over || len(m.jobs) >= mostJobs {
		return 0, false
	}
	for used := true; used; {
		m.last++
		_, used = m.jobs[m.last]
	}
	m.jobs[m.last] = j
	m.idle.Stop()
	return m.last, true
}

// leaving reports whether the member gets no more jobs.
func (m *member) leaving() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.over
}

// dismiss ends a member that has nothing to do.
func (m *member) dismiss() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.jobs) == 0 {
		m.endLocked()
	}
}

// end lets the member finish its jobs, and no more.
func (m *member) end() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.endLocked()
}

func (m *member) endLocked() {
	m.over = true
	if len(m.jobs) == 0 {
		m.conn.Close()
	}
}

// forget takes a job back, or out when it has ended. It returns the job.
func (m *member) forget(number uint32) (j *job, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	j, ok = m.jobs[number]
	delete(m.jobs, number)
	if len(m.jobs) == 0 {
		m.idle.Reset(idleTime)
		if m.over {
			m.endLocked()
		}
	}
	return j, ok
}

// await waits for a job's end. ok is false where the member does not do it.
func (m *member) await(j *job, d spawn.Delivery) (end spawn.End, ok bool) {
	a := <-j.end
	if a.Kind == errand.Declined {
		m.end()
	}
	if j.printed != nil {
		<-j.printed
	}
	switch a.Kind {
	case errand.Done:
		_, _ = d.Output.Write(a.Output)
		return spawn.End{}, true
	case errand.Declined:
		return spawn.End{}, false
	}
	return spawn.End{Crashed: true}, true
}

// receive takes what the member says until it ends. What it has then not
// finished, nobody will.
func (m *member) receive() {
	buf := make([]byte, resident.MaxDatagram)
	for {
		data, files, err := m.conn.Receive(buf)
		if err != nil {
			break
		}
		resident.Close(files)
		a, ok := errand.ParseAnswer(data)
		if !ok {
			break
		}
		m.answered(a)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.over = true
	m.idle.Stop()
	for _, j := range m.jobs {
		j.end <- errand.Answer{}
	}
	clear(m.jobs)
	m.conn.Close()
}

func (m *member) answered(a errand.Answer) {
	if a.Kind != errand.Progress {
		if j, ok := m.forget(a.Number); ok {
			a.Output = bytes.Clone(a.Output)
			j.end <- a
		}
		return
	}
	m.mu.Lock()
	j, ok := m.jobs[a.Number]
	m.mu.Unlock()
	if ok && j.progress != nil {
		j.progress(a.News.Phase, a.News.Host, a.News.Sent, a.News.Total)
	}
}
