package queue

import (
	"bufio"
	"io"
	"sync"
	"syscall"

	"github.com/reqmail/reqmail/compat/fdio"
)

// Preprocessor turns queued messages' envelopes into the files that qmail-send
// works on, one message after the other.
type Preprocessor struct {
	// Route decides about a recipient: its channel, and the address to
	// deliver to on it.
	Route func(recipient string) (Channel, string)

	// Commits makes many messages durable at once.
	Commits *Commits

	// Began is called once the message is being preprocessed.
	Began func(id ID)

	// Sender is called for the envelope sender, with the size of the mess
	// file in bytes and the process and user that queued the message.
	Sender func(id ID, size uint64, sender string, qp, uid uint64)

	buffers [1 + Channels]*bufio.Writer // of the files, which are written one message at a time
}

// Preprocessed is what preprocessing has made of a message.
type Preprocessed struct {
	Used  [Channels]bool // channels that have recipients
	Size  int64          // of the text, bytes
	Birth int64          // Unix seconds
}

// Written is a message whose files are written, and not yet durable.
type Written struct {
	Preprocessed
	out outputs
}

// Write preprocesses a message: in state S4, it writes info and a recipient
// file for each channel that has recipients. What an earlier run left behind is
// removed first. copied is a local recipient that is added to those of the
// envelope; empty: none.
//
// Nothing is durable when it returns; Commits.Keep must follow. A crash or an error
// leaves the envelope in todo, and the message is preprocessed again from scratch.
func (p *Preprocessor) Write(id ID, copied string) (*Written, error) {
	todo, err := openRead(id.Todo())
	if err != nil {
		return nil, &FileError{"unable to open", id.Todo(), err}
	}
	defer todo.Close()
	var mess syscall.Stat_t
	if err := syscall.Stat(id.Mess(), &mess); err != nil {
		return nil, &FileError{"unable to stat", id.Mess(), err}
	}
	for _, stale := range []string{id.Recipients(Local), id.Recipients(Remote), id.Info(), id.Bounce()} {
		if err := removeStale(stale); err != nil {
			return nil, &FileError{"unable to unlink", stale, err}
		}
	}
	w := &Written{Preprocessed: Preprocessed{Size: mess.Size}}
	p.Commits.begin()
	if err := p.fill(w, id, todo, copied); err != nil {
		w.out.close()
		p.Commits.end(1)
		return nil, err
	}
	return w, nil
}

// fill writes the files of a message.
func (p *Preprocessor) fill(w *Written, id ID, todo io.Reader, copied string) (err error) {
	if w.out.info, err = p.create(0, id.Info()); err != nil {
		return err
	}
	p.Began(id)
	if err := p.copy(id, uint64(w.Size), todo, &w.out); err != nil {
		return err
	}
	if copied != "" {
		if err := p.recipient(&w.out, id, Local, copied); err != nil {
			return err
		}
	}
	if err := w.out.flush(); err != nil {
		return err
	}
	st, err := w.out.info.file.Stat()
	if err != nil {
		return &FileError{"unable to stat", w.out.info.path, err}
	}
	w.Birth = int64(st.Mtim.Sec)
	for c := range w.Used {
		w.Used[c] = w.out.recipients[c] != nil
	}
	return nil
}

// Keep makes the files of messages and their names durable, so that the
// envelopes may then be removed from todo (qmail-clean, S4 → S5), and closes them. It
// returns the error of each. Where the file system cannot be synced as a whole, or that
// failed, it is done file by file, which tells what the trouble is.
func (c *Commits) Keep(written []*Written) []error {
	errs := make([]error, len(written))
	if len(written) == 0 {
		return errs
	}
	defer c.end(len(written))
	if !c.serves() || !allOn(c.device, written) || c.wait() != nil {
		atOnce := !c.crowded()
		var others sync.WaitGroup
		for i, w := range written {
			others.Go(func() { errs[i] = w.out.sync(atOnce) })
		}
		others.Wait()
	}
	for _, w := range written {
		w.out.close()
	}
	return errs
}

// allOn reports whether all files of messages are on a device.
func allOn(device uint64, written []*Written) bool {
	for _, w := range written {
		for _, f := range w.out.all() {
			if !onDevice(device, f.file) {
				return false
			}
		}
	}
	return true
}

// copy distributes the records of the envelope.
func (p *Preprocessor) copy(id ID, size uint64, todo io.Reader, out *outputs) error {
	var uid, qp uint64
	records := NewRecords(todo)
	for {
		letter, text, _, err := records.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return &FileError{"trouble reading", id.Todo(), err}
		}
		switch letter {
		case 'u':
			uid = parseNumber(text)
		case 'p':
			qp = parseNumber(text)
		case 'F':
			if err := out.info.record('F', text); err != nil {
				return err
			}
			p.Sender(id, size, text, qp, uid)
		case 'T':
			channel, recipient := p.Route(text)
			if err := p.recipient(out, id, channel, recipient); err != nil {
				return err
			}
		default:
			return &FileError{"unknown record type in", id.Todo(), ErrUnknownRecord}
		}
	}
}

// outputs are the files of one message that preprocessing writes.
type outputs struct {
	info       *output
	recipients [Channels]*output
}

func (p *Preprocessor) recipient(o *outputs, id ID, c Channel, address string) error {
	if o.recipients[c] == nil {
		out, err := p.create(1+int(c), id.Recipients(c))
		if err != nil {
			return err
		}
		o.recipients[c] = out
	}
	return o.recipients[c].record('T', address)
}

func (o *outputs) all() []*output {
	files := make([]*output, 0, 1+Channels)
	for _, f := range []*output{o.info, o.recipients[Local], o.recipients[Remote]} {
		if f != nil {
			files = append(files, f)
		}
	}
	return files
}

func (o *outputs) flush() error {
	for _, f := range o.all() {
		if err := f.out.Flush(); err != nil {
			return &FileError{"trouble writing to", f.path, err}
		}
	}
	return nil
}

// sync makes the files and their names durable, in any order, for the message
// stays in todo until everything is there: all at once, or, where other messages
// keep the disk busy, one after the other.
func (o *outputs) sync(atOnce bool) error {
	var syncs []func() error
	for _, f := range o.all() {
		failing := func(sync func() error) func() error {
			return func() error {
				if err := sync(); err != nil {
					return &FileError{"trouble fsyncing", f.path, err}
				}
				return nil
			}
		}
		syncs = append(syncs, failing(f.file.Sync), failing(func() error { return syncDirOf(f.path) }))
	}
	return syncAll(atOnce, syncs...)
}

func (o *outputs) close() {
	for _, f := range o.all() {
		f.file.Close()
	}
}

// output is a queue file being written.
type output struct {
	path string
	file fdio.FD
	out  *bufio.Writer
}

// create creates a file of a message, with the buffer that such files have.
func (p *Preprocessor) create(buffer int, path string) (*output, error) {
	f, err := createExclusive(path)
	if err != nil {
		return nil, &FileError{"unable to create", path, err}
	}
	if p.buffers[buffer] == nil {
		p.buffers[buffer] = bufio.NewWriterSize(nil, 1024)
	}
	p.buffers[buffer].Reset(f)
	return &output{path, f, p.buffers[buffer]}, nil
}

func (o *output) record(letter byte, text string) error {
	// An error of the writer stays with it until the next call.
	_ = o.out.WriteByte(letter)
	_, _ = o.out.WriteString(text)
	if err := o.out.WriteByte(0); err != nil {
		return &FileError{"trouble writing to", o.path, err}
	}
	return nil
}
