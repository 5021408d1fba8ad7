package resident

import (
	"bytes"
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
	Plain  bool // a process for each
}

// mostAge is how old a child gets: what a process reads at its start, such as
// the time zone, may have changed.
const mostAge = time.Minute

// Kinds of datagrams between a Runner and Serve, their first bytes.
const (
	jobWord    = 'J' // arguments, each with a NUL behind it
	resultWord = 'R' // exit code, one byte
	newsWord   = 'N' // a text
)

// Run runs a command whose Files are the descriptors 0, 1 and 2, and returns
// how it ended; the error is that of its start. news gets what the program
// tells meanwhile. A job is given only to a child with the same executable,
// user and groups as a new one would have, never to one of root's.
func (r *Runner) Run(cmd *child.Command, news func(text []byte)) (syscall.WaitStatus, error) {
	kind, ok := kindOf(cmd)
	if r.Plain || !ok {
		return r.plain(cmd)
	}
	if c := r.hire(cmd, kind); c != nil {
		return r.follow(c, kind, news), nil
	}
	extended := *cmd
	o, err := Extend(&extended, NoOffer)
	if err != nil {
		return r.plain(cmd)
	}
	pid, err := extended.Start()
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
		c.Close()
		return <-c.ended, nil
	}
	return r.follow(c, kind, news), nil
}

func (r *Runner) plain(cmd *child.Command) (syscall.WaitStatus, error) {
	pid, err := cmd.Start()
	if err != nil {
		return 0, err
	}
	return r.Reaper.Wait(pid), nil
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
	ok = uid != 0 && cmd.Env == nil && len(cmd.Files) == firstSocket && !slices.Contains(cmd.Files, child.Closed)
	return name(cmd) + " " + strconv.FormatUint(uint64(uid), 10) + groups, ok
}

// name is what a command's child greets with.
func name(cmd *child.Command) string { return cmd.Path[strings.LastIndexByte(cmd.Path, '/')+1:] }

// hire gives the job of a command to a child that waits, nil if there is none.
func (r *Runner) hire(cmd *child.Command, kind string) *Child {
	path, err := Resolve(cmd)
	if err != nil {
		return nil
	}
	of, err := Identify(path)
	if err != nil {
		return nil
	}
	job := []byte{jobWord}
	for _, arg := range cmd.Args {
		job = append(append(job, arg...), 0)
	}
	if len(job) > MaxDatagram {
		return nil
	}
	for {
		c := r.Pool.Take(kind, of)
		if c == nil || c.Send(job, cmd.Files...) == nil {
			return c
		}
		c.Close() // it ended while it waited
	}
}

// follow waits for the end of a child's job. The child is a user's: whatever it
// says concerns that user's job.
func (r *Runner) follow(c *Child, kind string, news func(text []byte)) syscall.WaitStatus {
	buf := make([]byte, maxNews)
	for {
		data, files, err := c.Receive(buf)
		Close(files)
		switch {
		case err == nil && data[0] == newsWord:
			news(data[1:])
			continue
		case err == nil && data[0] == resultWord && len(data) == 2:
			if time.Since(c.born) < mostAge {
				r.Pool.Keep(kind, c)
			} else {
				c.Close()
			}
			return syscall.WaitStatus(data[1]) << 8
		}
		c.Close()
		return <-c.ended
	}
}

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

// place puts descriptors in the place of 0, 1 and 2, and closes them.
func place(files []fdio.FD) error {
	defer Close(files)
	if len(files) != firstSocket {
		return syscall.EBADF
	}
	for i, f := range files {
		if err := syscall.Dup3(int(f), i, 0); err != nil {
			return err
		}
	}
	return nil
}
