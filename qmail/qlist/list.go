// Package qlist lists and counts the messages of the queue, for qmail-qread and
// qmail-qstat. It only reads, beside whatever qmail-send does meanwhile, and
// holds a few buffers. It must not know how the queue is changed.
package qlist

import (
	"errors"
	"io"
	"strconv"

	"github.com/reqmail/reqmail/queue"
)

// ErrRead says that a file of a message could be opened but not read: the
// disk is broken, or the file is a directory. The text is the one that
// qmail-qread has always given for it.
var ErrRead = errors.New("out of memory")

// Listers is how many goroutines list messages at the same time: reading the
// files of a queue is work for every processor, and waits for the disk. Each
// keeps a processor of the Go runtime for itself while it does.
const Listers = 4

const (
	batchSize = 256      // messages
	blockSize = 32 << 10 // of output, bytes
)

// batch is the list of some messages of one directory, in blocks, and then what
// ended it early.
type batch struct {
	ids    []queue.ID
	locals *locals
	blocks chan []byte
	err    error // once blocks is closed
}

// list is a list being made.
type list struct {
	work, order chan *batch   // those to be listed; those to be written
	free        chan []byte   // blocks that are written
	stop        chan struct{} // closed when nobody wants the rest
}

// List writes every preprocessed message with its recipients to w, in the order
// of the directories, and a warning for each that cannot be shown. The working
// directory is queue. The error is an *queue.FileError (a directory of info
// that cannot be opened), ErrRead, or w's.
func List(w io.Writer) error {
	l := &list{
		work: make(chan *batch, Listers), order: make(chan *batch, 2*Listers),
		free: make(chan []byte, 2*Listers), stop: make(chan struct{}),
	}
	defer close(l.stop)
	for range Listers {
		go l.lister()
	}
	go l.scan()
	for b := range l.order {
		for block := range b.blocks {
			if _, err := w.Write(block); err != nil {
				return err
			}
			l.release(block)
		}
		if b.err != nil {
			return b.err
		}
	}
	return nil
}

// block returns an empty block.
func (l *list) block() []byte {
	select {
	case b := <-l.free:
		return b[:0]
	default:
		return make([]byte, 0, blockSize+blockSize/4) // the last line may be longer
	}
}

// release takes back a block that is not needed any more.
func (l *list) release(b []byte) {
	if cap(b) > 2*blockSize {
		return
	}
	select {
	case l.free <- b:
	default:
	}
}

// scan hands out the messages of the queue in batches.
func (l *list) scan() {
	defer close(l.work)
	defer close(l.order)
	for n := range queue.Split() {
		if !l.scanPart(n) {
			return
		}
	}
}

// scanPart hands out the messages of a directory; false ends the list.
func (l *list) scanPart(n uint64) bool {
	part := strconv.FormatUint(n, 10)
	locals := listLocals("local/" + part)
	messages := queue.ScanPart("info", n)
	defer messages.Close()
	for {
		b := &batch{locals: locals, blocks: make(chan []byte, 1)}
		more, err := fill(b, messages)
		if err != nil {
			b.err = err
			close(b.blocks)
			l.hand(b, l.order)
			return false
		}
		if len(b.ids) > 0 && (!l.hand(b, l.order) || !l.hand(b, l.work)) {
			return false
		}
		if !more {
			return true
		}
	}
}

// hand passes a batch on; false if the list has been stopped.
func (l *list) hand(b *batch, to chan<- *batch) bool {
	select {
	case to <- b:
		return true
	case <-l.stop:
		return false
	}
}

// fill puts the next messages into a batch.
func fill(b *batch, messages *queue.Scan) (more bool, err error) {
	b.ids = make([]queue.ID, 0, batchSize)
	for len(b.ids) < batchSize {
		id, ok, more, err := messages.Next()
		if err != nil || !more {
			return false, err
		}
		if ok {
			b.ids = append(b.ids, id)
		}
	}
	return true, nil
}
