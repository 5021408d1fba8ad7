package transfer

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"

	"github.com/reqmail/reqmail/compat/steer"
	"github.com/reqmail/reqmail/queue"
	"github.com/reqmail/reqmail/queue/orders"
)

// Export writes the messages that a filter selects, as they are at one moment
// each; mail may flow meanwhile. Messages that come later or end before their
// turn are not in it. The working directory is the queue.
func Export(ctx context.Context, out io.Writer, filter steer.Filter) (r Result, err error) {
	tree, err := queue.FindTree()
	if err != nil {
		return r, err
	}
	e := &exporter{tree: tree, filter: filter, out: tar.NewWriter(out), seen: map[queue.ID]bool{}, result: &r}
	if e.host, err = os.Hostname(); err != nil {
		return r, err
	}
	if e.orders, _, err = orders.Read("."); err != nil {
		return r, err
	}
	if e.tries, err = askTries(); err != nil {
		r.note("qmail-send does not tell next tries: %v", err)
	}
	// A message goes from todo to info: seen in this order none is missed.
	for _, kind := range []queue.Kind{queue.TodoFile, queue.InfoFile} {
		if err := e.walk(ctx, string(kind), tree.IsSplit(kind)); err != nil {
			return r, err
		}
	}
	return r, e.out.Close()
}

type exporter struct {
	tree   queue.Tree
	filter steer.Filter
	host   string
	orders map[queue.ID]orders.Order
	tries  map[steer.Name]tries
	out    *tar.Writer
	seen   map[queue.ID]bool
	result *Result
}

// tries are the next tries of a message by channel, in Unix seconds, where
// they are known.
type tries [queue.Channels]int64

// far is more than any next try is away, in seconds, but for those that never
// come because of a hold or suspension.
const far = 365 * 86400

// askTries asks a running qmail-send of ours for next tries, which it writes
// to the files only when it ends. C's cannot be asked: of its messages the
// files have the time of the last try.
func askTries() (map[steer.Name]tries, error) {
	client, err := steer.Dial(".")
	if errors.Is(err, steer.ErrNobody) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer client.Close()
	all := map[steer.Name]tries{}
	_, err = client.List(steer.Query{}, func(m steer.Message) error {
		all[m.Name] = tries{m.Local, m.Remote}
		return nil
	})
	return all, err
}

func (e *exporter) walk(ctx context.Context, dir string, deeper bool) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if err := ctx.Err(); err != nil {
			return err
		}
		id, ok := queue.ParseID(entry.Name())
		switch {
		case !ok:
		case deeper && entry.IsDir():
			err = e.walk(ctx, dir+"/"+entry.Name(), false)
		case !e.seen[id]:
			e.seen[id] = true
			err = e.message(id)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// message writes one message, if it is selected and still there.
func (e *exporter) message(id queue.ID) error {
	m, err := e.read(id)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil // it has ended
	case err != nil:
		e.result.Skipped++
		e.result.note("message %v: %v", id, err)
		return nil
	}
	defer m.mess.Close()
	if !m.selected(&e.filter) {
		return nil
	}
	if err := e.write(m); err != nil {
		return fmt.Errorf("message %v: %w", id, err)
	}
	e.result.Messages++
	return nil
}

// small is a file that is not a text.
type small struct {
	kind queue.Kind
	data []byte
	time time.Time
}

// message is a message read from the queue.
type message struct {
	id    queue.ID
	mess  *os.File
	size  int64
	time  time.Time
	files []small // in the stream's order
}

// attempts is how often a message that changes is read.
const attempts = 100

// read reads a message. All its files are read twice: if nothing has changed
// between, there was a moment when all were so.
func (e *exporter) read(id queue.ID) (*message, error) {
	for range attempts {
		first, err := e.readOnce(id)
		if err != nil {
			return nil, err
		}
		second, err := e.readOnce(id)
		if err != nil {
			first.mess.Close()
			return nil, err
		}
		second.mess.Close()
		if first.same(second) {
			return first, first.check()
		}
		first.mess.Close()
	}
	return nil, errors.New("changes all the time")
}

func (e *exporter) readOnce(id queue.ID) (*message, error) {
	mess, err := os.Open(e.tree.Path(queue.MessFile, id))
	if err != nil {
		return nil, e.gone(id, err)
	}
	m := &message{id: id, mess: mess}
	st, err := mess.Stat()
	if err == nil {
		m.size, m.time = st.Size(), st.ModTime()
		err = m.readSmall(e.tree)
	}
	if err != nil {
		mess.Close()
		return nil, err
	}
	return m, nil
}

// gone makes the error for a text that cannot be opened: it is no error where
// the message has ended.
func (e *exporter) gone(id queue.ID, err error) error {
	for _, kind := range []queue.Kind{queue.TodoFile, queue.InfoFile} {
		if _, other := os.Lstat(e.tree.Path(kind, id)); other == nil && errors.Is(err, os.ErrNotExist) {
			return errors.New("its text is away")
		}
	}
	return err
}

// readSmall reads what a message has beside its text. While it is in todo the
// rest says nothing.
func (m *message) readSmall(tree queue.Tree) error {
	todo, err := readFile(tree, queue.TodoFile, m.id)
	if err == nil {
		m.files = []small{todo}
	}
	if !errors.Is(err, os.ErrNotExist) {
		return err
	}
	for _, kind := range []queue.Kind{queue.LocalFile, queue.RemoteFile, queue.BounceFile, queue.InfoFile} {
		s, err := readFile(tree, kind, m.id)
		if errors.Is(err, os.ErrNotExist) && !decides(kind) {
			continue
		}
		if err != nil {
			return err
		}
		m.files = append(m.files, s)
	}
	return nil
}

func readFile(tree queue.Tree, kind queue.Kind, id queue.ID) (s small, err error) {
	path := tree.Path(kind, id)
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return s, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return s, err
	}
	if st.Size() > maxSmall || !st.Mode().IsRegular() {
		return s, fmt.Errorf("%s is too large or no file", path)
	}
	s.kind, s.time = kind, st.ModTime()
	s.data, err = io.ReadAll(io.LimitReader(f, maxSmall))
	return s, err
}

func (m *message) same(o *message) bool {
	if len(m.files) != len(o.files) || m.size != o.size || !m.time.Equal(o.time) {
		return false
	}
	for i := range m.files {
		a, b := &m.files[i], &o.files[i]
		if a.kind != b.kind || !a.time.Equal(b.time) || !bytes.Equal(a.data, b.data) {
			return false
		}
	}
	return true
}

// check refuses what no qmail would deliver: check and repair tell why.
func (m *message) check() error {
	for _, s := range m.files {
		if err := checkRecords(s.kind, s.data); err != nil {
			m.mess.Close()
			return err
		}
	}
	return nil
}

// checkRecords tells what is wrong with a file.
func checkRecords(kind queue.Kind, data []byte) error {
	allowed := map[queue.Kind]string{
		queue.TodoFile: "upFT", queue.InfoFile: "F", queue.LocalFile: "TD", queue.RemoteFile: "TD",
	}[kind]
	if kind == queue.BounceFile {
		return nil
	}
	if len(data) == 0 || data[len(data)-1] != 0 {
		return fmt.Errorf("its %s file is torn", kind)
	}
	senders := 0
	for record := range bytes.SplitSeq(data[:len(data)-1], []byte{0}) {
		if len(record) == 0 || !bytes.Contains([]byte(allowed), record[:1]) {
			return fmt.Errorf("its %s file has a record of unknown type", kind)
		}
		if record[0] == 'F' {
			senders++
		}
	}
	if decides(kind) && senders != 1 {
		return fmt.Errorf("its %s file has %d senders", kind, senders)
	}
	return nil
}

// selected applies a filter. The birth of what is in todo is now.
func (m *message) selected(f *steer.Filter) bool {
	now := time.Now().Unix()
	s := steer.Message{Name: steer.Name{ID: uint64(m.id), Birth: now}, Size: m.size}
	for _, file := range m.files {
		if file.kind == queue.InfoFile {
			s.Birth = file.time.Unix()
		}
		if file.kind == queue.BounceFile {
			continue
		}
		for record := range bytes.SplitSeq(file.data[:len(file.data)-1], []byte{0}) {
			switch text := string(record[1:]); record[0] {
			case 'F':
				s.Sender = text
			case 'T', 'D':
				s.Recipients = append(s.Recipients, steer.Recipient{Address: text})
			}
		}
	}
	return f.Match(&s, now)
}

func (e *exporter) write(m *message) error {
	prefix := m.id.String() + "/"
	header := tar.Header{Name: prefix + string(queue.MessFile), Mode: 0o644, Size: m.size, ModTime: m.time, Format: tar.FormatPAX}
	header.PAXRecords = map[string]string{paxKey: key(e.host, m.id, m.time.UnixNano(), m.size)}
	if e.held(m) {
		header.PAXRecords[paxHeld] = "1"
	}
	if err := e.out.WriteHeader(&header); err != nil {
		return err
	}
	if _, err := io.CopyN(e.out, m.mess, m.size); err != nil {
		return err
	}
	last := m.files[len(m.files)-1]
	due := e.tries[steer.Name{ID: uint64(m.id), Birth: last.time.Unix()}]
	for _, s := range m.files {
		for c := range queue.Channel(queue.Channels) {
			if next := due[c]; string(s.kind) == c.String() && next > 0 && next < time.Now().Unix()+far {
				s.time = time.Unix(next, 0)
			}
		}
		header := tar.Header{Name: prefix + string(s.kind), Mode: 0o600, Size: int64(len(s.data)), ModTime: s.time, Format: tar.FormatPAX}
		if err := e.out.WriteHeader(&header); err != nil {
			return err
		}
		if _, err := e.out.Write(s.data); err != nil {
			return err
		}
	}
	return nil
}

// held tells whether an order holds a message.
func (e *exporter) held(m *message) bool {
	o, ok := e.orders[m.id]
	last := m.files[len(m.files)-1]
	return ok && o.Held && last.kind == queue.InfoFile && o.Birth == last.time.Unix()
}
