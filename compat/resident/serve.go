package resident

import (
	"errors"
	"io"
	"math"
	"os"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// Job is what a program does once: with its arguments, and the descriptors 0, 1
// and 2. It returns its exit code. tell passes a text on to who may be watching.
// A job that leaves something behind in the process must not stay.
type Job func(args []string, tell func(text string)) (code int, stays bool)

// temporary is the exit code of a child that does not understand its parent.
const temporary = 111

// Serve does the job that the program was started for and returns its exit
// code. Where a Runner started it, it may do others in between: each finds the
// environment and the descriptors that it would find in a process of its own,
// but for the working directory, which is / then.
func Serve(called string, args []string, job Job) int {
	p := Invited()
	if p == nil || !MayStay() || p.Stay(called, nil) != nil {
		code, _ := job(args, func(string) {})
		return code
	}
	environment, shown := os.Environ(), newTitle()
	buf := make([]byte, MaxDatagram)
	for {
		t := teller{post: p}
		code, stays := job(args, t.tell)
		t.end()
		if !stays || Detach() != nil || syscall.Chdir("/") != nil {
			return code
		}
		shown.show(called + " waits")
		if p.Send([]byte{resultWord, byte(code)}) != nil {
			return code
		}
		data, files, err := p.Next(buf)
		if err == io.EOF || errors.Is(err, syscall.ECONNRESET) {
			return code // nobody needs it any more, or ever did
		}
		if err != nil {
			return temporary // there was a job, which is not done
		}
		var ok bool
		if args, ok = arguments(data); !ok || place(files) != nil {
			return temporary
		}
		shown.show(args...)
		restore(environment)
	}
}

// restore makes the environment what it was.
func restore(environment []string) {
	os.Clearenv()
	for _, v := range environment {
		name, value, _ := strings.Cut(v, "=")
		_ = os.Setenv(name, value) // it came from there
	}
}

const (
	// leastProcesses is a limit on a user's processes and threads under which
	// one that only waits would be in the way of others.
	leastProcesses = 512

	// leastFiles is a limit on open files under which the descriptors of a
	// second job might not get in.
	leastFiles = 32
)

// Unlimited reports whether a process may use as much of a resource (setrlimit(2))
// as there is.
func Unlimited(resource int) bool { return limit(resource) == math.MaxUint64 }

// MayStay reports whether a process that lives longer cannot run into limits
// that are meant for one job.
func MayStay() bool {
	return Unlimited(unix.RLIMIT_CPU) && limit(unix.RLIMIT_NPROC) >= leastProcesses &&
		limit(unix.RLIMIT_NOFILE) >= leastFiles
}

// limit returns a soft limit, 0 if it is not known.
func limit(resource int) uint64 {
	var l unix.Rlimit
	_ = unix.Getrlimit(resource, &l)
	return l.Cur
}

// teller passes on what a job tells, until its end.
type teller struct {
	post  *Post
	mu    sync.Mutex
	ended bool
}

func (t *teller) tell(text string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.ended {
		_ = t.post.Send([]byte(string(newsWord) + text[:min(len(text), maxNews-1)]))
	}
}

func (t *teller) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ended = true
}
