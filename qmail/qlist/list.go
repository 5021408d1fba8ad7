// Package qlist lists and counts the messages of the queue, for qmail-qread and
// qmail-qstat. It only reads, beside whatever qmail-send does meanwhile, and
// holds a few buffers. It must not know how the queue is changed.
package qlist

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strconv"
	"syscall"
	"time"

	"github.com/reqmail/reqmail/compat/datetime"
	"github.com/reqmail/reqmail/compat/errno"
	"github.com/reqmail/reqmail/compat/fdio"
	"github.com/reqmail/reqmail/queue"
)

// ErrRead says that a file of a message could be opened but not read: the
// disk is broken, or the file is a directory. The text is the one that
// qmail-qread has always given for it.
var ErrRead = errors.New("out of memory")

// Parts are lists of some messages each, made at the same time: reading the files
// of a queue is work for every processor.
const (
	partSize  = 256      // messages
	partsMade = 4        // at a time
	blockSize = 32 << 10 // of output, bytes
)

// part is the list of some messages, in blocks, and then what ended it early.
type part struct {
	ids    []queue.ID
	blocks chan []byte
	err    error // once blocks is closed
}

// List writes every preprocessed message with its recipients to w, in the order
// of the directories, and a warning for each that cannot be shown. The working
// directory is queue. The error is an *queue.FileError (a directory of info
// that cannot be opened), ErrRead, or w's.
func List(w io.Writer) error {
	order := make(chan *part, partsMade)
	stop := make(chan struct{})
	defer close(stop)
	go scan(order, stop)
	for p := range order {
		for block := range p.blocks {
			if _, err := w.Write(block); err != nil {
				return err
			}
		}
		if p.err != nil {
			return p.err
		}
	}
	return nil
}

// scan hands out the messages of the queue in parts, and begins to list them.
func scan(order chan<- *part, stop <-chan struct{}) {
	defer close(order)
	messages := queue.ScanSplit("info")
	defer messages.Close()
	listers := make(chan *lister, partsMade)
	for range partsMade {
		listers <- newLister()
	}
	for {
		p := &part{blocks: make(chan []byte, 1)}
		more, err := fill(p, messages)
		l := <-listers
		go func() {
			p.err = l.list(p, stop)
			if p.err == nil {
				p.err = err
			}
			close(p.blocks)
			listers <- l
		}()
		select {
		case order <- p:
		case <-stop:
			return
		}
		if !more || err != nil {
			return
		}
	}
}

// fill puts the next messages into a part.
func fill(p *part, messages *queue.Scan) (more bool, err error) {
	for len(p.ids) < partSize {
		id, ok, more, err := messages.Next()
		if err != nil || !more {
			return false, err
		}
		if ok {
			p.ids = append(p.ids, id)
		}
	}
	return true, nil
}

// lister lists one part after the other.
type lister struct {
	out  *bufio.Writer
	in   *bufio.Reader // of the file being read; reset for each
	long []byte        // a record that is larger than in's buffer
}

func newLister() *lister {
	return &lister{out: bufio.NewWriterSize(nil, blockSize), in: bufio.NewReaderSize(nil, 2048)}
}

// blocks sends what is written, unless nobody wants it any more.
type blocks struct {
	to   chan<- []byte
	stop <-chan struct{}
}

func (b blocks) Write(p []byte) (int, error) {
	select {
	case b.to <- bytes.Clone(p):
		return len(p), nil
	case <-b.stop:
		return 0, syscall.EPIPE
	}
}

// list lists the messages of a part.
func (l *lister) list(p *part, stop <-chan struct{}) error {
	l.out.Reset(blocks{p.blocks, stop})
	for _, id := range p.ids {
		if err := l.message(id); err != nil {
			_ = l.out.Flush()
			return err
		}
	}
	return l.out.Flush()
}

// message lists one message. Trouble with one of its files is a line of the
// list; the error ends the list.
func (l *lister) message(id queue.ID) error {
	var mess, bounce syscall.Stat_t
	if err := syscall.Stat(id.Mess(), &mess); err != nil {
		return l.warn(id, err)
	}
	bouncing := syscall.Stat(id.Bounce(), &bounce) == nil
	info, err := openRead(id.Info())
	if err != nil {
		return l.warn(id, err)
	}
	l.in.Reset(info)
	sender, _, err := l.record()
	st, statErr := info.Stat()
	info.Close()
	if err != nil {
		return err
	}
	if statErr != nil {
		return l.warn(id, statErr)
	}
	l.head(id, st.Mtim.Sec, mess.Size, sender, bouncing)
	for _, c := range []queue.Channel{queue.Local, queue.Remote} {
		if err := l.recipients(id, c); err != nil {
			return err
		}
	}
	return nil
}

// file is an open file of a message. A read that does not fill its buffer has
// reached the end of the file: to ask again would cost a tenth of a listing.
type file struct{ fdio.FD }

func (f file) Read(p []byte) (int, error) {
	n, err := f.FD.Read(p)
	if err == nil && n < len(p) {
		err = io.EOF
	}
	return n, err
}

func openRead(path string) (file, error) {
	fd, err := fdio.Open(path, syscall.O_RDONLY|syscall.O_NONBLOCK, 0)
	return file{fd}, err
}

// head writes the line of a message. birth is in Unix seconds.
func (l *lister) head(id queue.ID, birth, size int64, sender []byte, bouncing bool) {
	if len(sender) > 0 {
		sender = sender[1:] // the record's letter
	}
	b := l.out.AvailableBuffer()
	b = append(b, datetime.Listing(time.Unix(birth, 0))...)
	b = strconv.AppendUint(append(b, "  #"...), uint64(id), 10)
	b = strconv.AppendInt(append(b, "  "...), size, 10)
	b = append(b, "  <"...)
	_, _ = l.out.Write(b)
	l.safe(sender)
	tail := "> \n"
	if bouncing {
		tail = ">  bouncing\n"
	}
	_, _ = l.out.WriteString(tail)
}

// recipients writes a line for each recipient of a channel. Records of other
// kinds, and what was not written to its end, are passed over.
func (l *lister) recipients(id queue.ID, c queue.Channel) error {
	in, err := openRead(id.Recipients(c))
	if err == syscall.ENOENT {
		return nil
	}
	if err != nil {
		return l.warn(id, err)
	}
	defer in.Close()
	l.in.Reset(in)
	for {
		record, whole, err := l.record()
		if err != nil || !whole {
			return err
		}
		if len(record) == 0 || record[0] != 'T' && record[0] != 'D' {
			continue
		}
		if record[0] == 'D' {
			_, _ = l.out.WriteString("  done")
		}
		_, _ = l.out.WriteString("\t" + c.String() + "\t")
		l.safe(record[1:])
		if err := l.out.WriteByte('\n'); err != nil {
			return err
		}
	}
}

// record returns the next record without its NUL, valid until the next call.
// whole is false for what stands at the end of the file without one.
func (l *lister) record() (record []byte, whole bool, err error) {
	part, err := l.in.ReadSlice(0)
	if err == nil {
		return part[:len(part)-1], true, nil
	}
	l.long = l.long[:0]
	for err == bufio.ErrBufferFull {
		l.long = append(l.long, part...)
		part, err = l.in.ReadSlice(0)
	}
	l.long = append(l.long, part...)
	switch err {
	case nil:
		return l.long[:len(l.long)-1], true, nil
	case io.EOF:
		return l.long, false, nil
	}
	return nil, false, ErrRead
}

// safe writes p with "_" for what is not printable ASCII.
func (l *lister) safe(p []byte) {
	for i, c := range p {
		if c < ' ' || c > '~' {
			p[i] = '_' // p lies in our own buffer, and is not read again
		}
	}
	_, _ = l.out.Write(p)
}

// warn writes that a file of a message cannot be shown.
func (l *lister) warn(id queue.ID, trouble error) error {
	_, err := l.out.WriteString("warning: trouble with #" + id.String() + ": " + errno.Text(trouble) + "\n")
	return err
}
