package resident

import (
	"io"
	"sync"
	"syscall"

	"github.com/reqmail/reqmail/compat/fdio"
)

// Job is what a program does once. What is written to it is what the program
// prints.
type Job struct {
	Args []string
	In   fdio.FD // what the program reads, its descriptor 0

	among    bool   // others that are done together
	post     *Post  // nil where nobody is told anything
	own      bool   // it has the descriptors 1 and 2: the first job, others once Inherit was called
	apart    bool   // complaints go to descriptor 2 in any case: it is the program's, not the job's
	printed  []byte // so far; goes with the job's end
	telling  sync.Mutex
	hasEnded bool
}

// maxText is how much output goes with a job's end, in bytes.
const maxText = 2048

var _ io.Writer = (*Job)(nil)

// Write prints.
func (j *Job) Write(p []byte) (int, error) {
	if !j.own && len(j.printed)+len(p) > maxText {
		if err := j.Inherit(); err != nil {
			return 0, err
		}
	}
	if j.own {
		return fdio.FD(1).Write(p)
	}
	j.printed = append(j.printed, p...)
	return len(p), nil
}

// Errors is where complaints are printed.
func (j *Job) Errors() io.Writer {
	if j.own || j.apart {
		return fdio.FD(2)
	}
	return j
}

// Inherit makes the descriptors 1 and 2 what they would be in a process of the
// job's own, for programs that it runs. Until then the job has none, unless it is
// the first: most print a few words, for which no pipe is made.
func (j *Job) Inherit() error {
	if j.own {
		return nil
	}
	if j.among {
		return syscall.ENOTSUP
	}
	if err := j.post.Send(append([]byte{outputWord}, j.printed...)); err != nil {
		return err
	}
	j.printed = nil
	data, files, err := j.post.Receive(make([]byte, 1))
	if err != nil {
		return err
	}
	defer Close(files)
	if data[0] != outputWord || len(files) != 1 {
		return syscall.EMFILE // of which there are no more
	}
	j.own = true
	return j.occupy(files[0])
}

// occupy puts a file in the place of the descriptors that output goes to.
func (j *Job) occupy(file fdio.FD) error {
	err := syscall.Dup3(int(file), 1, 0)
	if err == nil && !j.apart {
		err = syscall.Dup3(int(file), 2, 0)
	}
	return err
}

// Tell passes a text on to who may be watching. Any goroutine may, also when the
// job has ended.
func (j *Job) Tell(text string) {
	j.telling.Lock()
	defer j.telling.Unlock()
	if j.post != nil && !j.hasEnded {
		_ = j.post.Send([]byte(string(newsWord) + text[:min(len(text), maxNews-1)]))
	}
}

// do does the job. What it printed is on its way where the program does not
// stay, or breaks.
func (j *Job) do(do func(*Job) (code int, stays bool)) (code int, stays bool) {
	defer func() {
		j.end()
		if !stays {
			_ = j.Inherit()
		}
	}()
	return do(j)
}

// end is the end of telling.
func (j *Job) end() {
	j.telling.Lock()
	defer j.telling.Unlock()
	j.hasEnded = true
}

// vacate gives back the descriptors that the job had. /dev/null is in the place
// of 0 to 2 from the first one's end on.
func (j *Job) vacate() error {
	if j.In != 0 {
		j.In.Close()
	} else if err := detach(0); err != nil {
		return err
	}
	if j.own {
		return j.occupy(0)
	}
	return nil
}
