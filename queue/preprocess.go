package queue

import (
	"bufio"
	"io"
	"syscall"

	"github.com/reqmail/reqmail/compat/fdio"
)

// Preprocessor turns a queued message's envelope into the files that
// qmail-send works on.
type Preprocessor struct {
	// Route decides about a recipient: its channel, and the address to
	// deliver to on it.
	Route func(recipient string) (Channel, string)

	// Copy is a local recipient that is added to those of the envelope;
	// empty: none.
	Copy string

	// Commits may make many messages durable at once.
	Commits *Commits

	// Began is called once the message is being preprocessed.
	Began func(id ID)

	// Sender is called for the envelope sender, with the size of the mess
	// file in bytes and the process and user that queued the message.
	Sender func(id ID, size uint64, sender string, qp, uid uint64)
}

// Preprocessed is what preprocessing has made of a message.
type Preprocessed struct {
	Used  [Channels]bool // channels that have recipients
	Size  int64          // of the text, bytes
	Birth int64          // Unix seconds
}

// Run preprocesses a message: in state S4, it writes info and a recipient
// file for each channel that has recipients, and tells which. What an earlier
// run left behind is removed first.
//
// The files and their names are durable when it returns without error, so
// that the envelope may then be removed from todo (qmail-clean, S4 → S5). A
// crash or an error before leaves the envelope in todo, and the message is
// preprocessed again from scratch.
func (p *Preprocessor) Run(id ID) (done Preprocessed, err error) {
	todo, err := openRead(id.Todo())
	if err != nil {
		return done, &FileError{"unable to open", id.Todo(), err}
	}
	defer todo.Close()
	var mess syscall.Stat_t
	if err := syscall.Stat(id.Mess(), &mess); err != nil {
		return done, &FileError{"unable to stat", id.Mess(), err}
	}
	for _, stale := range []string{id.Recipients(Local), id.Recipients(Remote), id.Info(), id.Bounce()} {
		if err := unlinkIfThere(stale); err != nil {
			return done, &FileError{"unable to unlink", stale, err}
		}
	}
	p.Commits.begin()
	defer p.Commits.end()
	info, err := newOutput(id.Info())
	if err != nil {
		return done, err
	}
	p.Began(id)
	out := outputs{info: info}
	defer out.close()
	if err := p.copy(id, uint64(mess.Size), todo, &out); err != nil {
		return done, err
	}
	if p.Copy != "" {
		if err := out.recipient(id, Local, p.Copy); err != nil {
			return done, err
		}
	}
	if err := out.flush(); err != nil {
		return done, err
	}
	if err := out.commit(p.Commits); err != nil {
		return done, err
	}
	st, err := info.file.Stat()
	if err != nil {
		return done, &FileError{"unable to stat", info.path, err}
	}
	done.Birth = int64(st.Mtim.Sec)
	done.Size = mess.Size
	for c := range done.Used {
		done.Used[c] = out.recipients[c] != nil
	}
	return done, nil
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
			if err := out.recipient(id, channel, recipient); err != nil {
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

func (o *outputs) recipient(id ID, c Channel, address string) error {
	if o.recipients[c] == nil {
		out, err := newOutput(id.Recipients(c))
		if err != nil {
			return err
		}
		o.recipients[c] = out
	}
	return o.recipients[c].record('T', address)
}

func (o *outputs) all() []*output {
	files := []*output{o.info}
	for _, r := range o.recipients {
		if r != nil {
			files = append(files, r)
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

// commit makes the files and their names durable. Where the file system cannot
// be synced as a whole, or that failed, it is done file by file, which tells
// what the trouble is.
func (o *outputs) commit(c *Commits) error {
	if c.serves() && o.on(c.device) && c.wait() == nil {
		return nil
	}
	return o.sync(!c.crowded())
}

// on reports whether all files are on a device.
func (o *outputs) on(device uint64) bool {
	for _, f := range o.all() {
		if !onDevice(device, f.file) {
			return false
		}
	}
	return true
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

func newOutput(path string) (*output, error) {
	f, err := createExclusive(path)
	if err != nil {
		return nil, &FileError{"unable to create", path, err}
	}
	return &output{path, f, bufio.NewWriterSize(f, 1024)}, nil
}

func (o *output) record(letter byte, text string) error {
	b := make([]byte, 0, len(text)+2)
	b = append(append(append(b, letter), text...), 0)
	if _, err := o.out.Write(b); err != nil {
		return &FileError{"trouble writing to", o.path, err}
	}
	return nil
}
