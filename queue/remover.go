package queue

import (
	"golang.org/x/sys/unix"

	"github.com/reqmail/reqmail/compat/fdio"
)

// Remover removes files for who has many to remove. When a call returns the names are
// gone, as without one; to give back the room that a file took may take much
// longer, on a file system that tells the disk so (discard) until the disk has
// answered. That is done at the next Release, or beside it. A nil Remover does it at
// once.
type Remover struct {
	held   []fdio.FD      // open, so that they keep their room
	beside chan []fdio.FD // nil until it is needed
}

const (
	// besides is how many goroutines give room back; each waits for the disk, which
	// may do several things at a time.
	besides = 2

	// mostHeld is how many files are held open, and mostLots how many lots of them
	// wait for a goroutine, at most. What is beyond is released at once.
	mostHeld = 16
	mostLots = 4
)

// hold keeps the room of a file that is about to be removed. One that cannot be held is
// removed all the same.
func (r *Remover) hold(path string) {
	if r == nil || len(r.held) >= mostHeld {
		return
	}
	if f, err := fdio.Open(path, unix.O_PATH|unix.O_NOFOLLOW, 0); err == nil {
		r.held = append(r.held, f)
	}
}

// Release gives back the room of files that were removed: of a single one before it
// returns, of several beside.
func (r *Remover) Release() {
	held := r.held
	r.held = nil
	if len(held) > 1 {
		if r.beside == nil {
			r.open()
		}
		select {
		case r.beside <- held:
			return
		default: // they have enough to do
		}
	}
	closeAll(held)
	r.held = held[:0]
}

// open starts the goroutines beside.
func (r *Remover) open() {
	lots := make(chan []fdio.FD, mostLots)
	r.beside = lots
	for range besides {
		go func() {
			for held := range lots {
				closeAll(held)
			}
		}()
	}
}

func closeAll(files []fdio.FD) {
	for _, f := range files {
		f.Close()
	}
}
