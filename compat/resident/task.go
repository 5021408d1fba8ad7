package resident

import (
	"io"
	"slices"
	"syscall"

	"github.com/reqmail/reqmail/compat/child"
	"github.com/reqmail/reqmail/compat/fdio"
)

// task is a command that a Runner runs.
type task struct {
	kind    string
	out     io.Writer
	news    func(text []byte)
	printed <-chan struct{} // closed when nobody can print to its pipe any more; nil: there is none
}

// start starts the command's process, with a pipe for what is Collected.
func (t *task) start(cmd *child.Command) (pid int, err error) {
	if !slices.Contains(cmd.Files, Collected) {
		return cmd.Start()
	}
	w, printed, err := fdio.Collect(t.out)
	if err != nil {
		return 0, ErrPipe
	}
	defer w.Close()
	t.printed = printed
	piped := *cmd
	piped.Files = slices.Clone(cmd.Files)
	for i, f := range piped.Files {
		if f == Collected {
			piped.Files[i] = w
		}
	}
	return piped.Start()
}

// open gives a child that has printed a text a pipe to print to.
func (t *task) open(c *Child, text []byte) error {
	_, _ = t.out.Write(text)
	w, printed, err := fdio.Collect(t.out)
	if err != nil {
		return c.Send([]byte{outputWord}) // it knows what to do without
	}
	defer w.Close()
	t.printed = printed
	return c.Send([]byte{outputWord}, w)
}

// finish waits until nobody can print any more.
func (t *task) finish() {
	if t.printed != nil {
		<-t.printed
	}
}

// lost is the end of a child that does not finish its job.
func (t *task) lost(c *Child) syscall.WaitStatus {
	c.Close()
	status := <-c.ended
	t.finish()
	return status
}
