package resident

import (
	"bytes"
	"errors"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/reqmail/reqmail/compat/child"
	"github.com/reqmail/reqmail/compat/fdio"
)

// Runner runs commands that do one job and end, in children that stayed (Serve)
// where there are such. It is for many goroutines.
type Runner struct {
	Pool   Pool
	Reaper *child.Reaper
	Plain  bool  // a process for each
	Turn   *Turn // nil: jobs do not wait for each other

	Gather *Gather // nil: each job is given alone
}

// mostAge is how old a child gets: what a process reads at its start, such as
// the time zone, may have changed.
const mostAge = time.Minute

// Kinds of datagrams between a Runner and Serve, their first bytes.
const (
	jobWord     = 'J' // arguments, each with a NUL behind it; with descriptor 0
	manyWord    = 'M' // several jobs, each a jobWord's with its length before; with their descriptors
	resultWord  = 'R' // exit code, one byte, and what was printed
	resultsWord = 'S' // of several jobs
	newsWord    = 'N' // a text
	outputWord  = 'O' // what was printed, and descriptors to print to are wanted; or those
)

// Collected in a command's Files stands for what goes to the writer of Run.
const Collected fdio.FD = -2

// ErrPipe says that there is no pipe for what a command prints.
var ErrPipe = errors.New("no pipe")

// Run runs a command whose Files are the descriptors 0, 1 and 2, and returns
// how it ended, when nobody can print any more; the error is that of its start.
// out gets what is printed to Collected descriptors, news what the program tells
// meanwhile. A job is given only to a child with the same executable, user and
// groups as a new one would have, never to one of root's.
func (r *Runner) Run(cmd *child.Command, out io.Writer, news func(text []byte)) (syscall.WaitStatus, error) {
	kind, ok := kindOf(cmd)
	t := &task{kind: kind, out: out, news: news}
	if r.Plain || !ok {
		return r.plain(cmd, t)
	}
	if status, done := r.Gather.run(r, cmd, t); done {
		return status, nil
	}
	over := r.Turn.take()
	defer over()
	began := time.Now()
	if c, data, err := r.hire(cmd, kind); c != nil {
		status := r.follow(c, t, data, err)
		r.Turn.took(time.Since(began))
		return status, nil
	}
	extended := *cmd
	o, err := Extend(&extended, NoOffer)
	if err != nil {
		over() // there will be nobody to wait for
		return r.plain(cmd, t)
	}
	return r.start(&extended, o, t)
}

// start starts a child that is offered to stay.
func (r *Runner) start(cmd *child.Command, o *Offer, t *task) (syscall.WaitStatus, error) {
	pid, err := t.start(cmd)
	o.Started()
	if err != nil {
		o.Conn.Close()
		return 0, err
	}
	c := &Child{Conn: o.Conn, Of: o.Of, born: time.Now(), ended: make(chan syscall.WaitStatus, 1)}
	go func() {
		c.ended <- r.Reaper.Wait(pid)
		c.Close() // it may have left its end to others
	}()
	if _, err := o.Accepted(name(cmd)); err != nil {
		return t.lost(c), nil
	}
	c.heard = make([]byte, maxHeard)
	data, err := c.hear()
	return r.follow(c, t, data, err), nil
}

func (r *Runner) plain(cmd *child.Command, t *task) (syscall.WaitStatus, error) {
	pid, err := t.start(cmd)
	if err != nil {
		return 0, err
	}
	status := r.Reaper.Wait(pid)
	t.finish()
	return status, nil
}

// kindOf tells apart which children can do a job, false if it needs a process
// of its own.
func kindOf(cmd *child.Command) (kind string, ok bool) {
	uid, groups := uint32(0), ""
	if c := cmd.Credential; c == nil {
		uid = uint32(os.Geteuid())
	} else {
		uid = c.Uid
		for _, g := range append([]uint32{c.Gid}, c.Groups...) {
			groups += " " + strconv.FormatUint(uint64(g), 10)
		}
	}
	ok = uid != 0 && cmd.Env == nil && len(cmd.Files) == firstSocket && cmd.Files[1] == Collected && !slices.Contains(cmd.Files, child.Closed)
	return name(cmd) + " " + strconv.FormatUint(uint64(uid), 10) + groups, ok
}

// name is what a command's child greets with.
func name(cmd *child.Command) string { return cmd.Path[strings.LastIndexByte(cmd.Path, '/')+1:] }

// hire gives the job of a command to a child that waits, and returns what that
// says first; nil if there is none.
func (r *Runner) hire(cmd *child.Command, kind string) (c *Child, data []byte, err error) {
	job := jobOf(cmd)
	if len(job) > MaxDatagram {
		return nil, nil, nil
	}
	for {
		c := r.idle(cmd, kind)
		if c == nil {
			return nil, nil, nil
		}
		data, files, sent, err := c.Ask(c.heard, job, cmd.Files[0])
		Close(files)
		if sent {
			return c, data, err
		}
		c.Close() // it ended while it waited
	}
}

// idle returns a child that can have a command's job, nil if there is none.
func (r *Runner) idle(cmd *child.Command, kind string) *Child {
	path, err := Resolve(cmd)
	if err != nil {
		return nil
	}
	of, err := Identify(path)
	if err != nil {
		return nil
	}
	return r.Pool.Take(kind, of)
}

// jobOf is the datagram of a command's job.
func jobOf(cmd *child.Command) []byte {
	job := []byte{jobWord}
	for _, arg := range cmd.Args {
		job = append(append(job, arg...), 0)
	}
	return job
}

// keep has a child that has done its job wait for another.
func (r *Runner) keep(c *Child, kind string) {
	if time.Since(c.born) < mostAge {
		r.Pool.Keep(kind, c)
	} else {
		c.Close()
	}
}

// hear waits for what a child says next.
func (c *Child) hear() ([]byte, error) {
	data, files, err := c.Receive(c.heard)
	Close(files)
	return data, err
}

// follow waits for the end of a child's job; data is what it has said. The child
// is a user's: whatever it says concerns that user's job.
func (r *Runner) follow(c *Child, t *task, data []byte, err error) syscall.WaitStatus {
	for ; err == nil; data, err = c.hear() {
		switch {
		case data[0] == newsWord:
			t.news(data[1:])
			continue
		case data[0] == outputWord && t.printed == nil:
			if t.open(c, data[1:]) == nil {
				continue
			}
		case data[0] == resultWord && len(data) > 1:
			if t.printed == nil {
				_, _ = t.out.Write(data[2:])
			}
			code := data[1]
			r.keep(c, t.kind)
			t.finish()
			return syscall.WaitStatus(code) << 8
		}
		break
	}
	return t.lost(c)
}

// maxHeard is more than a child says at a time, in bytes.
const maxHeard = 4096

// maxNews is how much can be told at a time, in bytes.
const maxNews = 1024

// arguments takes a job's datagram apart.
func arguments(data []byte) (args []string, ok bool) {
	text, ok := bytes.CutPrefix(data, []byte{jobWord})
	if !ok || !bytes.HasSuffix(text, []byte{0}) {
		return nil, false
	}
	return strings.Split(string(text[:len(text)-1]), "\x00"), true
}
