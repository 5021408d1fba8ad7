package qlist

import (
	"errors"
	"strconv"
	"syscall"
	"time"

	"github.com/reqmail/reqmail/compat/datetime"
	"github.com/reqmail/reqmail/compat/errno"
	"github.com/reqmail/reqmail/queue"
)

// lister lists one batch after the other.
type lister struct {
	*list
	batch *batch
	text  []byte // of the list, not sent yet
	heads []head // the messages in it

	// bounces is asked about messages whose recipients were read before, since a
	// recipient is marked done after his failure is noted: "done" without
	// "bouncing" would say that he has got it.
	bounces queue.Glance

	near queue.Near
	in   input
	st   syscall.Stat_t
}

// head is where in text a message is called bouncing if it is.
type head struct {
	id queue.ID
	at int
}

// errStopped says that nobody wants the list any more.
var errStopped = errors.New("stopped")

// lister lists batches.
func (l *list) lister() {
	s := &lister{list: l, text: l.block(), near: queue.Near{Quick: true}, in: input{buf: make([]byte, 2048)}, bounces: queue.Glance{Kind: queue.BounceFile}}
	defer s.near.Close()
	for b := range l.work {
		b.err = s.all(b)
		close(b.blocks)
	}
}

// all lists the messages of a batch.
func (l *lister) all(b *batch) error {
	l.batch, l.text, l.heads = b, l.text[:0], l.heads[:0]
	for _, id := range b.ids {
		if err := l.message(id); err != nil {
			return errors.Join(l.flush(), err)
		}
		if len(l.text) >= blockSize {
			if err := l.flush(); err != nil {
				return err
			}
		}
	}
	return l.flush()
}

// message lists one message. Trouble with one of its files is a line of the
// list; the error ends the list.
func (l *lister) message(id queue.ID) error {
	size, err := l.near.Size(id)
	if err != nil {
		l.warn(id, err)
		return nil
	}
	if err := l.open(queue.InfoFile, id); err != nil {
		l.warn(id, err)
		return nil
	}
	sender, _, err := l.in.record()
	statErr := l.in.fd.DescribeQuick(&l.st)
	l.in.fd.Close()
	if err != nil {
		return err
	}
	if statErr != nil {
		l.warn(id, statErr)
		return nil
	}
	birth := l.st.Mtim.Sec
	l.head(id, birth, size, sender)
	if l.batch.locals.may(id, birth) {
		if err := l.recipients(id, queue.Local); err != nil {
			return err
		}
	}
	return l.recipients(id, queue.Remote)
}

// open opens a file of a message to be read by record.
func (l *lister) open(k queue.Kind, id queue.ID) error {
	f, err := l.near.Open(k, id)
	if err != nil {
		return err
	}
	l.in = input{fd: f, buf: l.in.buf}
	return nil
}

// head adds the line of a message. birth is in Unix seconds.
func (l *lister) head(id queue.ID, birth, size int64, sender []byte) {
	if len(sender) > 0 {
		sender = sender[1:] // the record's letter
	}
	t := datetime.AppendListing(l.text, time.Unix(birth, 0))
	t = strconv.AppendUint(append(t, "  #"...), uint64(id), 10)
	t = strconv.AppendInt(append(t, "  "...), size, 10)
	t = append(appendSafe(append(t, "  <"...), sender), "> "...)
	l.heads = append(l.heads, head{id, len(t)})
	l.text = append(t, '\n')
}

// recipients adds a line for each recipient of a channel. Records of other
// kinds, and what was not written to its end, are passed over.
func (l *lister) recipients(id queue.ID, c queue.Channel) error {
	switch err := l.open(queue.Kind(c.String()), id); err {
	case nil:
	case syscall.ENOENT:
		return nil
	default:
		l.warn(id, err)
		return nil
	}
	defer l.in.fd.Close()
	for {
		record, whole, err := l.in.record()
		if err != nil || !whole {
			return err
		}
		if len(record) == 0 || record[0] != 'T' && record[0] != 'D' {
			continue
		}
		if record[0] == 'D' {
			l.text = append(l.text, "  done"...)
		}
		l.text = append(append(append(l.text, '\t'), c.String()...), '\t')
		l.text = append(appendSafe(l.text, record[1:]), '\n')
		if len(l.text) >= blockSize {
			if err := l.flush(); err != nil {
				return err
			}
		}
	}
}

// appendSafe appends p with "_" for what is not printable ASCII.
func appendSafe(text, p []byte) []byte {
	start := len(text)
	text = append(text, p...)
	for i, c := range text[start:] {
		if c < ' ' || c > '~' {
			text[start+i] = '_'
		}
	}
	return text
}

// warn adds that a file of a message cannot be shown.
func (l *lister) warn(id queue.ID, trouble error) {
	l.text = append(l.text, "warning: trouble with #"+id.String()+": "+errno.Text(trouble)+"\n"...)
}

// flush sends the text.
func (l *lister) flush() error {
	select {
	case l.batch.blocks <- l.withBounces():
		l.text, l.heads = l.block(), l.heads[:0]
		return nil
	case <-l.stop:
		return errStopped
	}
}

// withBounces returns the text with a word for the messages that are bouncing.
func (l *lister) withBounces() []byte {
	if len(l.heads) == 0 {
		return l.text
	}
	l.bounces.Look()
	var with []byte
	from := 0
	for _, h := range l.heads {
		if bouncing, _ := l.bounces.Has(h.id); bouncing {
			with = append(append(with, l.text[from:h.at]...), " bouncing"...)
			from = h.at
		}
	}
	if from == 0 {
		return l.text
	}
	return append(with, l.text[from:]...)
}
