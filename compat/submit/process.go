package submit

import (
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/reqmail/reqmail/compat/child"
	"github.com/reqmail/reqmail/compat/fdio"
	"github.com/reqmail/reqmail/compat/home"
	"github.com/reqmail/reqmail/compat/resident"
	"github.com/reqmail/reqmail/compat/status"
)

// process is a queue program that was started for a message.
type process struct {
	pid    int // 0 where it could not be executed …
	broken int // … and the exit code for that
	custom fdio.FD
	offer  *resident.Offer // to stay; nil for none
}

// startProcess starts a queue program with pipes to it, which is offered to stay,
// or told that it had better be shared.
func startProcess(program string, env []string, offers, shares bool) (p process, text, envelope fdio.FD, err error) {
	pipes, err := openPipes(3)
	if err != nil {
		return p, text, envelope, err
	}
	custom := pipes[2]
	if shares && resident.TakesOffer(home.Dir()+"/"+program, resident.OfferToo) {
		env = wanting(env)
	}
	// Descriptor 6 is notqmail's pipe for a custom text, 4 the one that
	// filters of the patch world write to.
	cmd := child.Command{
		Path:  program,
		Args:  []string{program},
		Env:   env,
		Dir:   home.Dir(),
		Files: []fdio.FD{pipes[0].r, pipes[1].r, 2, inherited(3), custom.w, inherited(5), custom.w},
	}
	if offers {
		p.offer, _ = resident.Extend(&cmd, resident.OfferToo) // without an offer it ends with this message
	}
	p.pid, err = startWithoutPipe(&cmd)
	if p.offer != nil {
		p.offer.Started()
	}
	pipes[0].r.Close()
	pipes[1].r.Close()
	custom.w.Close()
	p.custom = custom.r
	if err == syscall.EAGAIN || err == syscall.ENOMEM {
		p.abandon()
		pipes[0].w.Close()
		pipes[1].w.Close()
		return p, text, envelope, err
	}
	if err != nil {
		p.broken = status.ExecFailed
		if syscall.Access(home.Dir(), 1) != nil {
			p.broken = status.HomeDirectory
		}
	}
	return p, pipes[0].w, pipes[1].w, nil
}

type pipe struct{ r, w fdio.FD }

// openPipes makes n pipes, or none.
func openPipes(n int) ([]pipe, error) {
	pipes := make([]pipe, n)
	for i := range pipes {
		r, w, err := fdio.Pipe()
		if err != nil {
			for _, p := range pipes[:i] {
				p.r.Close()
				p.w.Close()
			}
			return nil, err
		}
		pipes[i] = pipe{r, w}
	}
	return pipes, nil
}

// answer waits for the program, whose pipes are closed, and returns its exit
// code's meaning. One that stays is returned for more messages.
func (p *process) answer() (text string, queued bool, staying *resident.Child) {
	custom := readCustom(p.custom)
	if p.pid == 0 {
		p.decline()
		return status.Text(p.broken, ""), false, nil
	}
	if p.offer != nil {
		// Who stays says so before it lets go of its descriptors.
		if first, err := p.offer.Answered(Program); err == nil && len(first) == 1 {
			code := int(first[0])
			return status.Text(code, ""), code == status.Queued, p.offer.Child(p.pid)
		}
	}
	p.decline()
	end, err := child.Wait(p.pid)
	switch {
	case err != nil:
		return status.WaitFailed, false, nil
	case end.Signaled():
		return status.Crashed, false, nil
	}
	return status.Text(end.ExitStatus(), custom), end.ExitStatus() == status.Queued, nil
}

// decline lets a program go that was offered to stay.
func (p *process) decline() {
	if p.offer != nil {
		p.offer.Conn.Close()
	}
}

// abandon waits for a program without interest in what it says.
func (p *process) abandon() {
	p.decline()
	p.custom.Close()
	if p.pid != 0 {
		_, _ = child.Wait(p.pid)
	}
}

// readCustom drains the error pipe.
func readCustom(custom fdio.FD) string {
	defer custom.Close()
	all, err := io.ReadAll(io.LimitReader(custom, maxCustom))
	if err != nil && len(all) == 0 {
		return ""
	}
	text, _, _ := strings.Cut(string(all), "\x00")
	return text
}

// startWithoutPipe starts the queue program with SIGPIPE ignored, as C's clients
// do: a filter in its place sees an error, and does not die, where the
// qmail-queue that it feeds has ended. A caller that does not ignore SIGPIPE
// throughout is never ended by it from here on; its other children get the
// default again.
func startWithoutPipe(cmd *child.Command) (int, error) {
	if signal.Ignored(syscall.SIGPIPE) {
		return cmd.Start()
	}
	signal.Ignore(syscall.SIGPIPE)
	defer signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	return cmd.Start()
}

// plain is the queue program where nothing else is asked for, below the home.
const plain = "bin/qmail-queue"

// programIn is what QMAILQUEUE names, or qmail-queue.
func programIn(env []string) string {
	if env == nil {
		if program, ok := os.LookupEnv("QMAILQUEUE"); ok {
			return program
		}
	}
	for _, e := range env {
		if program, ok := strings.CutPrefix(e, "QMAILQUEUE="); ok {
			return program
		}
	}
	return plain
}

// inherited returns fd if the caller was given it across its own exec, so
// that the child gets it too, as a child of a C program would.
func inherited(fd fdio.FD) fdio.FD {
	flags, _, errno := syscall.Syscall(syscall.SYS_FCNTL, uintptr(fd), syscall.F_GETFD, 0)
	if errno != 0 || flags&syscall.FD_CLOEXEC != 0 {
		return child.Closed
	}
	return fd
}
