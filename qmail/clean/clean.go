// Package clean is qmail-clean: it removes queue files that qmail-send, under
// its own uid, may not. It owns the order in which requests are answered and
// must not decide what is to be removed.
package clean

import (
	"bufio"
	"bytes"
	"io"
	"time"

	"github.com/reqmail/reqmail/compat/wire"
	"github.com/reqmail/reqmail/queue"
)

// sweepEvery is how many requests are served between two walks over pid, and
// intdEvery how much time passes at least between two over intd, which holds all
// that waits to be preprocessed.
const (
	sweepEvery = 31
	intdEvery  = time.Hour
)

// together is how many requests are answered at once where so many wait: about
// half of what qmail-send sends ahead.
const together = 8

// Exit codes.
const (
	ExitDone     = 0
	ExitNoAnswer = 100 // the answer could not be written
	ExitNoQueue  = 111
)

// Run serves requests from the current directory, which must be the queue,
// until its input ends, and returns the exit code.
func Run(requests io.Reader, answers io.Writer, now func() time.Time) int {
	in := bufio.NewReaderSize(requests, 4096)
	var intdSwept time.Time
	var done []byte
	var remover queue.Remover
	for served := 0; ; served++ {
		if served%sweepEvery == 0 {
			at := now()
			queue.SweepPid(at.Unix())
			if at.Sub(intdSwept) >= intdEvery {
				intdSwept = at
				queue.SweepIntd(at.Unix())
			}
		}
		line, err := readRequest(in)
		if err != nil {
			return ExitDone
		}
		if done = append(done, answer(line, &remover)); len(done) < together && more(in) {
			continue
		}
		if _, err := answers.Write(done); err != nil {
			return ExitNoAnswer
		}
		done = done[:0]
		remover.Release()
	}
}

// more reports whether another request is there.
func more(in *bufio.Reader) bool {
	read, _ := in.Peek(in.Buffered())
	return bytes.IndexByte(read, 0) >= 0
}

// readRequest reads up to the next NUL. Of a line that is too long to be a
// request it keeps only enough to tell.
func readRequest(in *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		c, err := in.ReadByte()
		if err != nil {
			return nil, err
		}
		if c == 0 {
			return line, nil
		}
		if len(line) < wire.MaxCleanRequest+1 {
			line = append(line, c)
		}
	}
}

// answer carries out a request.
func answer(line []byte, remover *queue.Remover) byte {
	request, ok := wire.ParseCleanRequest(line)
	if !ok {
		return wire.CleanMalformed
	}
	remove := remover.RemoveMess
	if request.Kind == wire.CleanTodo {
		remove = remover.RemoveTodo
	}
	if remove(queue.ID(request.ID)) != nil {
		return wire.CleanFailed
	}
	return wire.CleanDone
}
