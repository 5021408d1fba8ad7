package check

import (
	"io/fs"
	"os"
	"syscall"

	"github.com/reqmail/reqmail/queue"
)

// file is an entry of a directory of the queue, as it was when it was looked
// at.
type file struct {
	kind queue.Kind
	path string
	stat syscall.Stat_t
}

func (f *file) regular() bool { return f.stat.Mode&syscall.S_IFMT == syscall.S_IFREG }

// message is what goes by one number: its files by kind, of which there is one
// unless something is wrong.
type message map[queue.Kind][]*file

// one returns the file of a kind, nil if there is none.
func (m message) one(k queue.Kind) *file {
	if len(m[k]) == 0 {
		return nil
	}
	return m[k][0]
}

// view is one look at a queue. It takes some hundred bytes of memory for a
// message.
type view struct {
	tree     queue.Tree
	messages map[queue.ID]message
	strange  []*file // entries that are no message's
	pid      []*file
	surplus  []*file // numbered directories that the tree does not have
}

// look walks over the queue that is the working directory. Entries that go
// away meanwhile are left out; directories that are missing are no error.
func look(tree queue.Tree) (*view, error) {
	v := &view{tree: tree, messages: map[queue.ID]message{}}
	for _, kind := range queue.Kinds() {
		if err := v.walk(kind, string(kind), kind != queue.BounceFile); err != nil {
			return nil, err
		}
	}
	return v, each("pid", func(path string, st *syscall.Stat_t) error {
		v.pid = append(v.pid, &file{path: path, stat: *st})
		return nil
	})
}

// walk takes the entries of a directory, and of the numbered ones in it if
// deeper is set.
func (v *view) walk(kind queue.Kind, dir string, deeper bool) error {
	return each(dir, func(path string, st *syscall.Stat_t) error {
		f := &file{kind: kind, path: path, stat: *st}
		id, ok := queue.ParseID(base(path))
		ok = ok && id.String() == base(path)
		switch {
		case ok && deeper && st.Mode&syscall.S_IFMT == syscall.S_IFDIR:
			if !v.tree.IsSplit(kind) || uint64(id) >= v.tree.Split {
				v.surplus = append(v.surplus, f)
			}
			return v.walk(kind, path, false)
		case ok && f.regular():
			v.add(id, f)
		default:
			v.strange = append(v.strange, f)
		}
		return nil
	})
}

// add enters a file; the one in its right place comes first.
func (v *view) add(id queue.ID, f *file) {
	m := v.messages[id]
	if m == nil {
		m = message{}
		v.messages[id] = m
	}
	if f.path == v.tree.Path(f.kind, id) {
		m[f.kind] = append([]*file{f}, m[f.kind]...)
	} else {
		m[f.kind] = append(m[f.kind], f)
	}
}

// each calls fn for the entries of a directory; one that is missing has none.
func each(dir string, fn func(path string, st *syscall.Stat_t) error) error {
	entries, err := os.ReadDir(dir)
	if isGone(err) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		path := dir + "/" + e.Name()
		var st syscall.Stat_t
		switch err := syscall.Lstat(path, &st); {
		case err == syscall.ENOENT:
			continue
		case err != nil:
			return &fs.PathError{Op: "lstat", Path: path, Err: err}
		}
		if err := fn(path, &st); err != nil {
			return err
		}
	}
	return nil
}

// isGone tells that a directory is not there, or something else is.
func isGone(err error) bool {
	e, ok := err.(*fs.PathError)
	return ok && (e.Err == syscall.ENOENT || e.Err == syscall.ENOTDIR)
}
