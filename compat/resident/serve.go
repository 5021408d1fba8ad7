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

// Serve does the job that the program was started for and returns its exit
// code. Where a Runner started it, it may do others in between: each finds the
// environment that it would find in a process of its own, but for the working
// directory, which is / then, and for the descriptors (Job). do returns the exit
// code; a job that leaves something behind in the process must not stay.
func Serve(called string, args []string, do func(*Job) (code int, stays bool)) int {
	j := &Job{Args: args, own: true}
	p := Invited()
	if p == nil || !MayStay() || p.Stay(called, nil) != nil {
		code, _ := j.do(do)
		return code
	}
	j.post, j.apart = p, !sameFile(1, 2)
	environment, shown := os.Environ(), newTitle()
	buf := make([]byte, MaxDatagram)
	for {
		code, stays := j.do(do)
		if !stays || j.vacate() != nil || fdio.Chdir("/") != nil {
			return code
		}
		shown.show(called + " waits")
		data, files, sent, err := p.Ask(buf, append([]byte{resultWord, byte(code)}, j.printed...))
		if !sent || err == io.EOF || errors.Is(err, syscall.ECONNRESET) {
			return code // nobody needs it any more, or ever did
		}
		args, ok := arguments(data)
		if err != nil || !ok || len(files) != 1 {
			return temporary // there was a job, which is not done
		}
		j = &Job{Args: args, In: files[0], post: p, apart: j.apart}
		shown.show(args...)
		restore(environment)
	}
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
