package enqueue

import (
	"io"
	"math"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/reqmail/reqmail/compat/child"
	"github.com/reqmail/reqmail/compat/fdio"
	"github.com/reqmail/reqmail/compat/limits"
	"github.com/reqmail/reqmail/compat/resident"
	"github.com/reqmail/reqmail/compat/status"
	"github.com/reqmail/reqmail/compat/submit"
	"github.com/reqmail/reqmail/control"
	"github.com/reqmail/reqmail/queue"
)

// Where messages follow each other, a qmail-queue leaves another one behind,
// which all clients of ours that the same user runs find by its name (package
// submit): their messages need no process of their own, and become durable
// together. It belongs to no client, ends when nobody has come for a while, and
// a message that it had not answered for when it is killed was not accepted.

// variable tells a qmail-queue that it is to be shared: it has the socket by which
// it is found as the descriptor given.
const (
	variable = "REQMAIL_SHARED"
	given    = 3
)

const (
	busy      = time.Second     // messages that follow each other so closely leave one behind
	idleShare = 2 * time.Second // how long one waits for its next message
	mostShare = time.Minute     // how long it takes new messages
	lastShare = 5 * time.Second // how long messages may take when it is told to end
	mostConns = 256             // clients at a time; others start their own
	perConn   = 8               // files open for each
	ownFiles  = 32              // and besides
	leastOpen = 512             // limit on open files
	threads   = 4               // some wait for the disk

	firstOther = 3 // descriptor that is not standard input, output or error
)

// Wanted reports whether the process's client would rather share a qmail-queue,
// and another message has come just before: it looks at when files came and went
// in queue/pid. The working directory is queue.
func Wanted(now time.Time) bool {
	_, wanted := os.LookupEnv(submit.Wanted)
	if !wanted {
		return false
	}
	st, err := fdio.Stat("pid")
	if err != nil {
		return false
	}
	age := now.Sub(time.Unix(st.Mtim.Unix()))
	return age >= 0 && age < busy
}

// Leave leaves a qmail-queue behind that is shared, if there is none yet. Where
// that cannot be done, messages are queued as ever. The process keeps its own
// descriptors and what it was given, but must not run anything else after it.
func Leave(home string) {
	name, mine, ok := sharedName()
	theirs, err := resident.Identify(home + program)
	if !ok || err != nil || theirs != mine || !mayShare(home) {
		return // or not what clients run, but behind a wrapper
	}
	l, err := resident.Listen(name)
	if err != nil {
		return // there is one
	}
	defer l.Close()
	null, err := fdio.Open("/dev/null", syscall.O_RDWR, 0)
	if err != nil {
		return
	}
	defer null.Close()
	// Whoever reads from the other end of what we were given waits for its end.
	if unix.CloseRange(firstOther, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC) != nil {
		return
	}
	cmd := child.Command{
		Path:  home + program,
		Args:  []string{submit.Program},
		Env:   append(os.Environ(), variable+"=1"),
		Files: []fdio.FD{null, null, null, l.Socket()},
	}
	if pid, err := cmd.Start(); err == nil {
		go func() { _, _ = child.Wait(pid) }() // where this process ends before it, init does
	}
}

// IsShared reports whether the process is one that was left behind.
func IsShared() bool {
	_, ok := os.LookupEnv(variable)
	return ok
}

// sharedName is the name that this program, executable, is found under, for the
// queue that is the working directory.
func sharedName() (name string, executable resident.Identity, ok bool) {
	executable, err := resident.Identify("/proc/self/exe")
	if err != nil {
		return "", executable, false
	}
	here, err := resident.Identify(".")
	if err != nil {
		return "", executable, false
	}
	name, err = submit.SharedName(executable, here, os.Getuid())
	return name, executable, err == nil
}

// program is what clients run, below the home.
const program = "/bin/qmail-queue"

// mayShare reports whether what a user is bound to binds all that a shared
// process would do for him as well: limits, priority, and the control file.
func mayShare(home string) bool {
	var files unix.Rlimit
	if !resident.MayStay() || !resident.Unlimited(unix.RLIMIT_FSIZE) ||
		unix.Getrlimit(unix.RLIMIT_NOFILE, &files) != nil || files.Max < leastOpen {
		return false
	}
	return usualPriority() && control.Residents(home)
}

// usualPriority reports whether the kernel treats the process like most others,
// on the processor and on the disk.
func usualPriority() bool {
	const (
		nice0      = 20 // getpriority(2): what nice 0 is to the kernel
		normal     = 0  // SCHED_OTHER of sched(7)
		thisOne    = 1  // IOPRIO_WHO_PROCESS of ioprio_get(2)
		classShift = 13 // IOPRIO_CLASS_SHIFT
		bestEffort = 2  // IOPRIO_CLASS_BE; 0 stands for it, too
	)
	nice, err := unix.Getpriority(unix.PRIO_PROCESS, 0)
	policy, _, _ := unix.RawSyscall(unix.SYS_SCHED_GETSCHEDULER, 0, 0, 0)
	io, _, _ := unix.RawSyscall(unix.SYS_IOPRIO_GET, thisOne, 0, 0)
	class := io >> classShift
	return err == nil && nice == nice0 && policy == normal && (class == 0 || class == bestEffort)
}

// Share queues messages for all who come. Before each message renew is called.
// The exit code tells whoever may have set the variable himself, and waits for
// it, that his message was not queued.
func Share(home string, who Invoker, renew func()) int {
	name, _, ok := sharedName()
	if !ok || !mayShare(home) {
		return status.InternalBug
	}
	l, err := resident.Adopt(given, name)
	if err != nil {
		return status.InternalBug
	}
	_, _ = syscall.Setsid() // what ends the client's session is not meant for it
	limits.Widen(threads)
	limits.ManyFiles()
	s := &shared{
		who: who, renew: renew, commits: queue.NewCommits(), most: room(),
		conns: map[*resident.Conn]bool{}, latest: time.Now(), end: make(chan struct{}),
	}
	go s.heed()
	go s.accept(l, home)
	s.await()
	s.stop(l)
	return status.InternalBug
}

// room is for how many clients files may be open.
func room() int {
	var files unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &files) != nil {
		return 1
	}
	return int(min(mostConns, (max(files.Cur, leastOpen)-ownFiles)/perConn))
}

// shared is a qmail-queue that is shared.
type shared struct {
	who     Invoker
	renew   func()
	commits *queue.Commits
	most    int            // clients at a time
	running sync.WaitGroup // a goroutine for each
	end     chan struct{}  // closed when it is to end
	once    sync.Once

	mu     sync.Mutex
	conns  map[*resident.Conn]bool // clients
	jobs   int                     // messages being queued
	latest time.Time               // when the last one was done
	ending bool
}

// finish has the process end as soon as what it has begun is done.
func (s *shared) finish() { s.once.Do(func() { close(s.end) }) }

// heed ends the process when it is told to, which leaves little time.
func (s *shared) heed() {
	told := make(chan os.Signal, 1)
	signal.Notify(told, syscall.SIGTERM)
	<-told
	s.finish()
	time.Sleep(lastShare)
	os.Exit(status.InternalBug)
}

// await returns when no message has come for a while, when it is time for
// another process, or when this one is told to end.
func (s *shared) await() {
	last := time.After(mostShare)
	wait := idleShare
	for {
		select {
		case <-s.end:
			return
		case <-last:
			return
		case <-time.After(wait):
		}
		s.mu.Lock()
		jobs, rest := s.jobs, time.Since(s.latest)
		s.mu.Unlock()
		if wait = idleShare - rest; jobs > 0 {
			wait = idleShare
		} else if wait <= 0 {
			return
		}
	}
}

// accept lets clients in until the listener is closed, or does not work any more.
func (s *shared) accept(l *resident.Listener, home string) {
	for {
		c, err := l.Accept(s.who.UID)
		if err == resident.ErrStranger {
			continue
		}
		if err != nil {
			s.finish()
			return
		}
		if !control.Residents(home) || !s.admit(c) {
			c.Close()
		}
	}
}

// admit begins to serve a client, false if it has to go elsewhere.
func (s *shared) admit(c *resident.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ending || len(s.conns) >= s.most || c.Welcome(submit.Program) != nil {
		return false
	}
	s.conns[c] = true
	s.running.Add(1)
	go s.serve(c)
	return true
}

// serve queues the messages of one client.
func (s *shared) serve(c *resident.Conn) {
	defer s.running.Done()
	defer s.forget(c)
	for {
		job, files, err := c.ReceiveWhole()
		if err != nil {
			return
		}
		s.count(1)
		s.renew()
		code := serve(job, files, withoutThread, s.run)
		s.count(-1)
		if c.Send([]byte{byte(code)}) != nil {
			return
		}
	}
}

func (s *shared) forget(c *resident.Conn) {
	s.mu.Lock()
	delete(s.conns, c)
	s.mu.Unlock()
	c.Close()
}

func (s *shared) count(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.jobs += n
	s.latest = time.Now()
}

// withoutThread reads from a pipe without holding a thread for a slow client.
func withoutThread(pipe fdio.FD) io.ReadCloser { return fdio.Pollable(pipe, "client") }

// run is Run, with others.
func (s *shared) run(text, envelope io.Reader) int {
	now := time.Now()
	d, err := s.commits.NewDraft(s.who.PID, now)
	if err != nil {
		return code(err)
	}
	return finish(d, text, envelope, s.who, now)
}

// stop sends away who comes, and returns when the messages that are there are
// done: a client whose message did not get in sees that, and starts its own
// qmail-queue.
func (s *shared) stop(l *resident.Listener) {
	l.Close()
	s.mu.Lock()
	s.ending = true
	for c := range s.conns {
		c.Refuse()
	}
	s.mu.Unlock()
	s.running.Wait()
}
