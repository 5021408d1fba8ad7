package transfer

import (
	"archive/tar"
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/reqmail/reqmail/compat/ids"
	"github.com/reqmail/reqmail/queue"
	"github.com/reqmail/reqmail/queue/check"
)

// Target is the queue that an import writes to.
type Target struct {
	Tree       queue.Tree
	Accounts   check.Accounts
	EvenIfHeld bool // take messages that were held
	Running    bool // qmail-send runs: it takes preprocessed messages up when it is started next
}

// Names below the queue.
const (
	lost    = "lost+found"
	folder  = lost + "/import"
	journal = folder + "/done"
)

// batch is how many messages share the syncs of each step.
const batch = 200

// Import puts the messages of a stream into the queue, each with a number of
// its own. The working directory is the queue.
//
// A message is durable and whole before qmail-send can know it. After a crash
// or an error at any point the same stream may be imported again: what is in
// the queue, or was and has ended, is left out.
func Import(ctx context.Context, in io.Reader, target Target) (Result, error) {
	i := &importer{Target: target, done: map[string]bool{}}
	if err := i.open(); err != nil {
		return i.result, err
	}
	defer i.journal.Close()
	if err := i.recover(); err != nil {
		return i.result, err
	}
	err := i.read(ctx, tar.NewReader(in))
	if flushed := i.flush(); flushed != nil {
		return i.result, flushed
	}
	if i.born > 0 {
		queue.Pull()
	}
	if i.Running && i.old > 0 {
		i.result.note("qmail-send runs: it takes %d messages up when it is started next", i.old)
	}
	return i.result, err
}

type importer struct {
	Target
	journal   *os.File
	done      map[string]bool
	pending   []*arrival // whole, and not in the journal yet
	result    Result
	born, old int // messages that came in todo and in info
}

// arrival is a message on its way in.
type arrival struct {
	from  string // its number in the stream
	key   string
	id    queue.ID
	whole bool
	last  queue.Kind // info or todo
}

func (a *arrival) staged(k queue.Kind) string {
	return fmt.Sprintf("%s/%s.%d.%s", folder, a.key, a.id, k)
}

// open makes the folder and reads what has been imported already. Only one
// import can have the journal open.
func (i *importer) open() error {
	for _, dir := range []string{lost, folder} {
		if err := os.Mkdir(dir, 0o700); errors.Is(err, os.ErrExist) {
			continue
		} else if err != nil {
			return err
		}
		if err := os.Chown(dir, int(i.Accounts.User[ids.Queue]), int(i.Accounts.Group)); err != nil {
			return err
		}
	}
	var err error
	if i.journal, err = os.OpenFile(journal, os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o600); err != nil {
		return err
	}
	if err := syscall.Flock(int(i.journal.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return errors.New("another import runs")
	}
	lines := bufio.NewScanner(i.journal)
	for lines.Scan() {
		i.done[lines.Text()] = true
	}
	if lines.Err() == nil {
		_, err = i.journal.WriteString("\n") // behind a line that a crash has torn
	}
	return errors.Join(lines.Err(), err)
}

// recover finishes or undoes what an import that did not end has left.
func (i *importer) recover() error {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return err
	}
	left := map[arrival]bool{}
	for _, e := range entries {
		key, rest, _ := strings.Cut(e.Name(), ".")
		number, _, _ := strings.Cut(rest, ".")
		id, ok := queue.ParseID(number)
		switch {
		case !isKey(key):
		case ok:
			left[arrival{key: key, id: id}] = true
		default: // a text being written
			if err := os.Remove(folder + "/" + e.Name()); err != nil {
				return err
			}
		}
	}
	for a := range left {
		step := i.undo
		if i.done[a.key] {
			step = i.finish
		}
		if err := step(&a); err != nil {
			return err
		}
	}
	return nil
}

// undo removes what was begun of a message. Its number is its own as long as
// the second name of its text is there, which goes last.
func (i *importer) undo(a *arrival) error {
	if _, err := os.Lstat(a.staged(queue.MessFile)); err == nil {
		for _, k := range []queue.Kind{queue.LocalFile, queue.RemoteFile, queue.BounceFile, queue.MessFile} {
			if err := remove(i.Tree.Path(k, a.id)); err != nil {
				return err
			}
		}
	}
	for _, k := range []queue.Kind{queue.InfoFile, queue.TodoFile, queue.MessFile} {
		if err := remove(a.staged(k)); err != nil {
			return err
		}
	}
	return nil
}

// finish brings a message that is in the journal into the queue. Its text may
// have been collected meanwhile, but for its second name.
func (i *importer) finish(a *arrival) error {
	for _, k := range []queue.Kind{queue.InfoFile, queue.TodoFile} {
		if _, err := os.Lstat(a.staged(k)); err != nil {
			continue
		}
		err := os.Link(a.staged(queue.MessFile), i.Tree.Path(queue.MessFile, a.id))
		if err != nil && !errors.Is(err, os.ErrExist) {
			return err
		}
		if err := os.Rename(a.staged(k), i.Tree.Path(k, a.id)); err != nil {
			return err
		}
	}
	if err := i.sync(); err != nil {
		return err
	}
	return remove(a.staged(queue.MessFile))
}

func remove(path string) error {
	if err := os.Remove(path); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// sync makes everything on the queue's file system durable.
func (i *importer) sync() error {
	if err := unix.Syncfs(int(i.journal.Fd())); err != nil {
		return fmt.Errorf("syncing the queue: %w", err)
	}
	return nil
}

// read takes all messages of a stream. One that is cut off is undone.
func (i *importer) read(ctx context.Context, in *tar.Reader) (err error) {
	var a *arrival // nil: what follows is left out
	defer func() { err = errors.Join(err, i.drop(a)) }()
	for {
		header, err := in.Next()
		if err == io.EOF {
			return ctx.Err()
		}
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		from, kind, ok := strings.Cut(header.Name, "/")
		switch {
		case !ok || header.Typeflag != tar.TypeReg:
			return fmt.Errorf("%q: this is no export of a queue", header.Name)
		case queue.Kind(kind) == queue.MessFile:
			if err := i.drop(a); err != nil {
				return err
			}
			a, err = i.begin(from, header, in)
		case a != nil && a.from == from:
			err = i.add(a, queue.Kind(kind), header, in)
		}
		if err != nil {
			return fmt.Errorf("message %s: %w", from, err)
		}
		if a != nil && a.whole {
			i.pending = append(i.pending, a)
			i.done[a.key] = true
			a = nil
		}
		if len(i.pending) == batch {
			if err := i.flush(); err != nil {
				return err
			}
		}
	}
}

// drop undoes a message that has not become whole.
func (i *importer) drop(a *arrival) error {
	if a == nil || a.whole {
		return nil
	}
	i.result.Skipped++
	i.result.note("message %s: is not whole in the stream", a.from)
	return i.undo(a)
}

// begin takes a message's text, which gives it its number. It returns nil for
// a message that is left out.
func (i *importer) begin(from string, header *tar.Header, in io.Reader) (*arrival, error) {
	a := &arrival{from: from, key: header.PAXRecords[paxKey]}
	switch {
	case !isKey(a.key):
		return nil, errors.New("has no key: this is no export of a queue")
	case i.done[a.key]:
		i.result.Skipped++
		return nil, nil
	case header.PAXRecords[paxHeld] != "" && !i.EvenIfHeld:
		i.result.Skipped++
		i.result.note("message %s: was held and is left out", from)
		return nil, nil
	}
	path := folder + "/" + a.key
	if err := i.create(path, ids.Queue, 0o644, header, in); err != nil {
		return nil, err
	}
	var st syscall.Stat_t
	if err := syscall.Lstat(path, &st); err != nil {
		return nil, err
	}
	a.id = queue.ID(st.Ino)
	for _, k := range queue.Kinds() {
		if _, err := os.Lstat(i.Tree.Path(k, a.id)); err == nil {
			return nil, errors.Join(fmt.Errorf("its number would be %v, and %s is there: repair the queue first", a.id, i.Tree.Path(k, a.id)), remove(path))
		}
	}
	if err := os.Rename(path, a.staged(queue.MessFile)); err != nil {
		return nil, err
	}
	return a, os.Link(a.staged(queue.MessFile), i.Tree.Path(queue.MessFile, a.id))
}

// add takes another file of a message; info or todo is its last.
func (i *importer) add(a *arrival, kind queue.Kind, header *tar.Header, in io.Reader) error {
	if header.Size > maxSmall {
		return fmt.Errorf("its %s file is too large", kind)
	}
	data, err := io.ReadAll(in)
	if err != nil {
		return err
	}
	owner, mode, path := ids.Send, os.FileMode(0o600), i.Tree.Path(kind, a.id)
	switch kind {
	case queue.LocalFile, queue.RemoteFile, queue.BounceFile:
	case queue.InfoFile, queue.TodoFile:
		path = a.staged(kind)
		a.last = kind
		if kind == queue.TodoFile {
			owner, mode = ids.Queue, 0o644
		}
	default:
		return fmt.Errorf("has a file of unknown kind %q", kind)
	}
	if err := checkRecords(kind, data); err != nil {
		return err
	}
	if err := i.create(path, owner, mode, header, strings.NewReader(string(data))); err != nil {
		return err
	}
	a.whole = decides(kind)
	return nil
}

// create writes a file with owner, mode and the time it had.
func (i *importer) create(path, owner string, mode os.FileMode, header *tar.Header, in io.Reader) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, in)
	if err == nil {
		err = f.Chown(int(i.Accounts.User[owner]), int(i.Accounts.Group))
	}
	if err == nil {
		err = f.Chmod(mode)
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Chtimes(path, header.ModTime, header.ModTime)
	}
	if err != nil {
		return errors.Join(err, remove(path))
	}
	return nil
}

// flush makes the pending messages messages of the queue.
func (i *importer) flush() error {
	if len(i.pending) == 0 {
		return nil
	}
	if err := i.sync(); err != nil {
		return err
	}
	var lines strings.Builder
	for _, a := range i.pending {
		lines.WriteString(a.key + "\n")
	}
	if _, err := i.journal.WriteString(lines.String()); err != nil {
		return err
	}
	if err := i.journal.Sync(); err != nil {
		return err
	}
	for _, a := range i.pending {
		if err := os.Rename(a.staged(a.last), i.Tree.Path(a.last, a.id)); err != nil {
			return err
		}
		i.result.Messages++
		if a.last == queue.TodoFile {
			i.born++
		} else {
			i.old++
		}
	}
	if err := i.sync(); err != nil {
		return err
	}
	for _, a := range i.pending {
		if err := remove(a.staged(queue.MessFile)); err != nil {
			return err
		}
	}
	i.pending = nil
	return nil
}
