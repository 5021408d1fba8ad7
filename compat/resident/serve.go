package resident

import (
	"errors"
	"io"
	"math"
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/reqmail/reqmail/compat/fdio"
)

// temporary is the exit code of a child that does not understand its parent.
const temporary = 111

// Program is what a program that a Runner may keep does.
type Program struct {
	Name string

	// Do does a job and returns the exit code; a job that leaves something behind in
	// the process must not stay.
	Do func(*Job) (code int, stays bool)

	// Together does jobs that have come together, which have nothing but In and what
	// is written to them, all or some of them. Nil: they come one by one.
	Together func([]*Job) (results []Result, stays bool)
}

// Serve does the job that the program was started for and returns its exit
// code. Where a Runner started it, it may do others in between: each finds the
// environment that it would find in a process of its own, but for the working
// directory, which is / then, and for the descriptors (Job).
func (p *Program) Serve(args []string) int {
	first := &Job{Args: args, own: true}
	post := Invited()
	if post == nil || !MayStay() || post.Stay(p.Name, nil) != nil {
		code, _ := first.do(p.Do)
		return code
	}
	s := &server{Program: p, post: post, apart: !sameFile(1, 2), title: newTitle()}
	first.post, first.apart = post, s.apart
	environment := os.Environ()
	buf := make([]byte, MaxDatagram)
	answer, code, stays := s.one(first)
	for stays {
		s.title.show(p.Name + " waits")
		data, files, sent, err := post.Ask(buf, answer)
		if !sent || err == io.EOF || errors.Is(err, syscall.ECONNRESET) {
			break // nobody needs it any more, or ever did
		}
		if err != nil {
			return temporary
		}
		restore(environment)
		answer, code, stays = s.next(data, files)
	}
	return code
}

// server is a program that stays.
type server struct {
	*Program
	post  *Post
	apart bool // see Job
	title title
}

// next does what a datagram asks for. One that is not understood is a job that is not
// done.
func (s *server) next(data []byte, files []fdio.FD) (answer []byte, code int, stays bool) {
	if data[0] == manyWord {
		return s.many(data, files)
	}
	args, ok := arguments(data)
	if !ok || len(files) != 1 {
		return nil, temporary, false
	}
	s.title.show(args...)
	return s.one(&Job{Args: args, In: files[0], post: s.post, apart: s.apart})
}

// one does a job.
func (s *server) one(j *Job) (answer []byte, code int, stays bool) {
	code, stays = j.do(s.Do)
	stays = stays && j.vacate() == nil && fdio.Chdir("/") == nil
	return append([]byte{resultWord, byte(code)}, j.printed...), code, stays
}

// many does several jobs together.
func (s *server) many(data []byte, files []fdio.FD) (answer []byte, code int, stays bool) {
	jobs, ok := parseJobs(data, files)
	if !ok || s.Together == nil {
		return nil, temporary, false
	}
	s.title.show(jobs[0].Args...)
	jobs[0].post = s.post // what it tells is told of all
	results, stays := s.Together(jobs)
	stays = fdio.Chdir("/") == nil && stays
	answer = beginResults(stays)
	for i, j := range jobs {
		j.end()
		results[i].text = string(j.printed)
		answer = appendResult(answer, results[i])
		j.In.Close()
	}
	if !stays {
		_ = s.post.Send(answer)
	}
	return answer, temporary, stays
}

// sameFile reports whether two descriptors are of one file.
func sameFile(a, b fdio.FD) bool {
	one, err := a.Stat()
	other, otherErr := b.Stat()
	return err == nil && otherErr == nil && one.Dev == other.Dev && one.Ino == other.Ino
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

	// leastFiles is a limit on open files under which the descriptors of
	// further jobs might not get in, or what those open.
	leastFiles = 128
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
