package enqueue

import (
	"bytes"
	"io"
	"syscall"
	"time"

	"github.com/reqmail/reqmail/compat/fdio"
	"github.com/reqmail/reqmail/compat/resident"
	"github.com/reqmail/reqmail/compat/status"
	"github.com/reqmail/reqmail/compat/submit"
)

// Stay serves more messages of the client that the process was started by,
// one at a time and under the same uid, until the client lets it go. first is
// what became of the first message; the result is what became of the last.
// Before each message renew is called; leave, once, when nobody waits any more
// for the end of what came with the first.
func Stay(post *resident.Post, first int, who Invoker, renew, leave func()) int {
	if post.Stay(submit.Program, []byte{byte(first)}) != nil {
		return first
	}
	if resident.Detach() != nil {
		return first
	}
	letGo()
	leave()
	code := first
	buf := make([]byte, resident.MaxDatagram)
	for {
		job, files, err := post.Next(buf)
		if err != nil {
			return code
		}
		renew()
		code = serve(job, files, asTheyAre, func(text, envelope io.Reader) int { return Run(text, envelope, who, time.Now()) })
		if post.Send([]byte{byte(code)}) != nil {
			return code
		}
	}
}

// serve has the message of a job queued by run. Pipes, which are read as open has
// it, are closed in the end: a client that still writes must not wait for ever.
func serve(job []byte, files []fdio.FD, open func(fdio.FD) io.ReadCloser, run func(text, envelope io.Reader) int) int {
	const pipes = 2 // text, envelope
	if len(files) == pipes {
		text, envelope := open(files[0]), open(files[1])
		defer text.Close()
		defer envelope.Close()
		return run(text, envelope)
	}
	defer resident.Close(files)
	text, envelope, ok := submit.SplitJob(job)
	if !ok || len(files) > 0 {
		return status.ReadError
	}
	return run(bytes.NewReader(text), bytes.NewReader(envelope))
}

// asTheyAre reads from a pipe in a thread, which is the only one.
func asTheyAre(pipe fdio.FD) io.ReadCloser { return pipe }

// letGo closes the descriptors that belong to the first message and to
// nothing of the process's own: the client waits for the end of the pipe for a
// text.
func letGo() {
	const first, last = 3, 6
	for fd := first; fd <= last; fd++ {
		flags, _, errno := syscall.Syscall(syscall.SYS_FCNTL, uintptr(fd), syscall.F_GETFD, 0)
		if errno == 0 && flags&syscall.FD_CLOEXEC == 0 {
			_ = syscall.Close(fd)
		}
	}
}
