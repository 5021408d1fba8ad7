package qlist

import (
	"syscall"
	"time"

	"github.com/reqmail/reqmail/compat/fdio"
	"github.com/reqmail/reqmail/queue"
)

// Most messages in a large queue have no local recipients and are not bouncing.
// To ask for files that are not there takes a fifth of a listing, so the
// directories are read instead. What they tell is older than what is read of the
// message itself, which must not show.

// locals is which messages had a file of local recipients at some time.
//
// Such a file appears only while a message is preprocessed, which also writes
// info anew: one with an older info that was not listed has none since.
type locals struct {
	ids map[queue.ID]bool // nil: not known
	at  int64             // Unix seconds
}

// lag is how many seconds the times that a file system gives to files may be
// behind the clock.
const lag = 2

// listLocals lists a directory of local recipients.
func listLocals(dir string) *locals {
	l := &locals{ids: map[queue.ID]bool{}, at: time.Now().Unix() - lag}
	err := entries(dir, make([]byte, 16<<10), func(_ byte, name []byte) {
		if id, ok := queue.ParseID(string(name)); ok {
			l.ids[id] = true
		}
	})
	if err != nil {
		l.ids = nil
	}
	return l
}

// may reports whether a message may have a file of local recipients.
func (l *locals) may(id queue.ID, birth int64) bool {
	return l.ids == nil || birth >= l.at || l.ids[id]
}

// entries calls f for each entry of dir but "." and ".."; kind is one of the
// DT_ constants of readdir(3). name is valid during the call.
func entries(dir string, buf []byte, f func(kind byte, name []byte)) error {
	file, err := fdio.Open(dir, syscall.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	for more := true; more && err == nil; {
		more, err = file.Entries(buf, f)
	}
	return err
}
