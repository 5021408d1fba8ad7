package submit

import (
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/reqmail/reqmail/compat/child"
	"github.com/reqmail/reqmail/compat/environ"
	"github.com/reqmail/reqmail/compat/fdio"
	"github.com/reqmail/reqmail/compat/home"
	"github.com/reqmail/reqmail/compat/resident"
	"github.com/reqmail/reqmail/compat/status"
)

// Program is what a queue program that stays says it is.
const Program = "qmail-queue"

// Pool keeps qmail-queues that are ours, after their first message, for more.
// A foreign queue program, and a wrapper, is started for each message. Any
// number of goroutines may use a pool. The nil pool keeps none.
type Pool struct {
	waiting resident.Pool
	spare   int32 // messages before the first offer to stay
	opened  atomic.Int32
	found   atomic.Int64 // when one that is shared was there, or was looked for first: Unix nanoseconds
	once    sync.Once
	reaper  *child.Reaper
}

// idle is how long a program waits for its next message.
const idle = 5 * time.Second

// NewPool returns a pool. Up to most programs wait in it at a time, each for a
// moment. The first spare messages get programs that are not asked to stay:
// there may not be another one.
func NewPool(most, spare int) *Pool {
	return &Pool{waiting: resident.Pool{Most: most, Idle: idle}, spare: int32(spare)}
}

// Open is the package's Open with the environment of the queue program, in
// which QMAILQUEUE counts too; nil means the process's own.
func (p *Pool) Open(env []string) (*Message, error) {
	m := &Message{pool: p, env: env, program: programIn(env)}
	m.shares = sharing(m.program, env)
	if p != nil {
		p.opened.Add(1)
		m.worker = p.take(m.program, env)
	}
	if m.worker == nil && m.shares {
		m.worker = connect(p == nil || p.waiting.Most == 1)
		p.looked(m.worker != nil)
	}
	if m.worker == nil {
		if err := m.start(); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// Close lets all programs go that wait.
func (p *Pool) Close() { p.waiting.Close() }

// take returns a program that waits and is the one that would be started now.
func (p *Pool) take(program string, env []string) *resident.Child {
	if p.waiting.Empty() {
		return nil
	}
	path := program
	if path != "" && path[0] != '/' {
		path = home.Dir() + "/" + path
	}
	of, err := resident.Identify(path)
	if err != nil {
		return nil
	}
	return p.waiting.Take(kind(program, env), of)
}

// kind tells programs apart that differ in what they do.
func kind(program string, env environ.List) string {
	queueOf, _ := env.Lookup(home.Variable)
	return program + "\x00" + queueOf
}

// keep has a program wait for its next message.
func (p *Pool) keep(program string, env []string, c *resident.Child) {
	if p == nil {
		c.Close()
		return
	}
	p.waiting.Keep(kind(program, env), c)
}

// adopt keeps a program that has just said that it stays.
func (p *Pool) adopt(program string, env []string, c *resident.Child) {
	p.once.Do(func() { p.reaper = child.NewReaper() })
	go p.reaper.Wait(c.PID)
	p.keep(program, env, c)
}

// patience is how long a pool waits for a program to be there that is shared
// before it has programs of its own stay.
const patience = time.Second

// looked notes whether a program that is shared was there.
func (p *Pool) looked(there bool) {
	if p != nil && (there || p.found.Load() == 0) {
		p.found.Store(time.Now().UnixNano())
	}
}

// offers reports whether a program is asked to stay by now: not the first ones,
// nor where one is likely to be there soon that is shared.
func (p *Pool) offers(shares bool) bool {
	return p != nil && p.opened.Load() > p.spare && !(shares && time.Since(time.Unix(0, p.found.Load())) < patience)
}

// replace starts a queue program for a message whose worker has gone. One that
// was shared is likely to have an heir soon.
func (m *Message) replace() error {
	m.worker.Close()
	m.worker = nil // also where no process can be started: nobody is to keep it
	m.pool.looked(true)
	return m.start()
}

// start starts a queue program for a message.
func (m *Message) start() error {
	p, text, envelope, err := startProcess(m.program, m.env, m.pool.offers(m.shares), m.shares)
	if err != nil {
		return err
	}
	m.worker, m.process = nil, p
	m.text, m.envelope, m.piped = text, envelope, true
	return nil
}

// send gives the worker a job. One that is shared is asked first whether it lets
// us in: it had time to while the message came. After an error it has seen nothing.
func (m *Message) send(job []byte, files ...fdio.FD) (err error) {
	if m.worker.PID == 0 {
		if m.worker.PID, err = m.worker.Greeted(Program); err != nil {
			return err
		}
	}
	return m.worker.Send(job, files...)
}

// begin opens pipes for a message that is too large to travel without. A
// worker that has gone in the meantime has seen nothing of it: another program
// is started.
func (m *Message) begin() error {
	pipes, err := openPipes(2)
	if err != nil {
		return err
	}
	err = m.send([]byte{pipesJob}, pipes[0].r, pipes[1].r)
	pipes[0].r.Close()
	pipes[1].r.Close()
	if err != nil {
		pipes[0].w.Close()
		pipes[1].w.Close()
		return m.replace()
	}
	_, _, _ = syscall.Syscall(syscall.SYS_FCNTL, uintptr(pipes[0].w), syscall.F_SETPIPE_SZ, widePipe)
	m.text, m.envelope = fdio.Pollable(pipes[0].w, "message"), fdio.Pollable(pipes[1].w, "envelope")
	m.piped = true
	return nil
}

// sendInBand gives a worker the whole message, and reports whether it has it.
// One that has gone has not: another program is started.
func (m *Message) sendInBand() bool {
	if m.send(appendJob(m.buf, m.end)) == nil {
		return true
	}
	if m.replace() != nil {
		m.worker, m.failed, m.result = nil, true, noQueue
	}
	return false
}

// workerAnswer waits for a worker and returns its exit code's meaning.
func (m *Message) workerAnswer() (text string, queued bool) {
	var buf [2]byte
	data, files, err := m.worker.Receive(buf[:])
	resident.Close(files)
	if err != nil || len(data) != 1 {
		m.worker.Close()
		return status.Crashed, false
	}
	m.pool.keep(m.program, m.env, m.worker)
	code := int(data[0])
	return status.Text(code, ""), code == status.Queued
}
