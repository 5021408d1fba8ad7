package queue

import (
	"os"
	"strconv"
	"syscall"

	"github.com/reqmail/reqmail/compat/ids"
)

// Tree is the shape of a queue: another build of qmail may split it
// differently. The programs work on the shape Built; what checks, mends and
// copies queues works on any.
type Tree struct {
	Split   uint64 `json:"split"`
	BigTodo bool   `json:"bigTodo"` // todo and intd are split too, as the big-todo patch has it
}

// Built is the shape that our programs are built for.
func Built() Tree { return Tree{Split: Split()} }

// FindTree tells the shape of the queue that is the working directory by its
// directories.
func FindTree() (Tree, error) {
	var t Tree
	entries, err := os.ReadDir("mess")
	if err != nil {
		return t, err
	}
	for _, e := range entries {
		if n, ok := ParseID(e.Name()); ok && e.IsDir() {
			t.Split = max(t.Split, uint64(n)+1)
		}
	}
	if t.Split == 0 {
		t.Split = Split()
	}
	st, err := os.Stat("todo/0")
	t.BigTodo = err == nil && st.IsDir()
	return t, nil
}

// Kind is a directory of the queue that holds a file for each message.
type Kind string

// The kinds of files of a message.
const (
	MessFile   Kind = "mess"
	IntdFile   Kind = "intd"
	TodoFile   Kind = "todo"
	InfoFile   Kind = "info"
	LocalFile  Kind = "local"
	RemoteFile Kind = "remote"
	BounceFile Kind = "bounce"
)

// Kinds lists the kinds of files of a message.
func Kinds() []Kind {
	return []Kind{MessFile, IntdFile, TodoFile, InfoFile, LocalFile, RemoteFile, BounceFile}
}

// IsSplit tells whether the files of a kind lie in numbered directories.
func (t Tree) IsSplit(k Kind) bool {
	switch k {
	case BounceFile:
		return false
	case TodoFile, IntdFile:
		return t.BigTodo
	}
	return true
}

// Path returns where a file of a message lies.
func (t Tree) Path(k Kind, id ID) string {
	if !t.IsSplit(k) {
		return string(k) + "/" + id.String()
	}
	return string(k) + "/" + strconv.FormatUint(uint64(id)%t.Split, 10) + "/" + id.String()
}

// Layout lists what an empty queue of this shape consists of, in the order of
// its creation.
func (t Tree) Layout() []Place {
	dir := func(path string, mode uint32, owner string) Place {
		return Place{Path: path, Type: syscall.S_IFDIR, Mode: mode, Owner: owner}
	}
	places := flatLayout(dir)
	for n := range t.Split {
		part := "/" + strconv.FormatUint(n, 10)
		places = append(places,
			dir("mess"+part, 0o750, ids.Queue),
			dir("info"+part, 0o700, ids.Send),
			dir("local"+part, 0o700, ids.Send),
			dir("remote"+part, 0o700, ids.Send))
		if t.BigTodo {
			places = append(places,
				dir("todo"+part, 0o750, ids.Queue),
				dir("intd"+part, 0o700, ids.Queue))
		}
	}
	return append(places, lockLayout(dir)...)
}
