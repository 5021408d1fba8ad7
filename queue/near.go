package queue

import (
	"strconv"
	"syscall"

	"github.com/reqmail/reqmail/compat/fdio"
	"golang.org/x/sys/unix"
)

// Near looks at the files of many messages, one after the other, of which most
// lie in the same directories: those it keeps open, and spares the kernel the
// way to them. Its zero value is ready; it is for one goroutine at a time.
type Near struct {
	Quick bool // its calls are quick ones (compat/fdio)

	split, part uint64 // part + 1; 0: none
	dirs        [nearKinds]nearDir
	id          ID
	name        fdio.Name // of the files of id
	touches     bool      // O_NOATIME is not allowed
	st          syscall.Stat_t
}

type nearDir struct {
	fd   fdio.FD
	open bool
}

const nearKinds = 4

// nearKind is the place of a kind in dirs.
func nearKind(k Kind) int {
	switch k {
	case MessFile:
		return 0
	case InfoFile:
		return 1
	case LocalFile:
		return 2
	}
	return 3
}

// stat describes a message's file of one of the kinds mess, info, local and
// remote in n.st.
func (n *Near) stat(k Kind, id ID) error {
	dir, err := n.dir(k, id)
	if err != nil {
		return err
	}
	if n.Quick {
		return dir.StatQuick(n.name, &n.st)
	}
	return dir.StatNamed(n.name, &n.st)
}

// Size returns the size in bytes of a message's text.
func (n *Near) Size(id ID) (int64, error) {
	err := n.stat(MessFile, id)
	return n.st.Size, err
}

// Open opens a file of one of these kinds for reading, always quickly. That it is
// read is not noted in its time of access, where that can be had: it would have to
// be written for each.
func (n *Near) Open(k Kind, id ID) (fdio.FD, error) {
	dir, err := n.dir(k, id)
	if err != nil {
		return -1, err
	}
	if !n.touches {
		f, err := dir.OpenQuick(n.name, syscall.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOATIME)
		if err != syscall.EPERM {
			return f, err
		}
		n.touches = true // somebody else's file, and this is not root
	}
	return dir.OpenQuick(n.name, syscall.O_RDONLY|syscall.O_NONBLOCK)
}

// dir returns the directory of a file, and sees to its name.
func (n *Near) dir(k Kind, id ID) (fdio.FD, error) {
	if n.part == 0 || id != n.id {
		n.enter(id)
	}
	d := &n.dirs[nearKind(k)]
	if !d.open {
		var err error
		if d.fd, err = fdio.Open(part(string(k), n.part-1), unix.O_PATH|syscall.O_DIRECTORY, 0); err != nil {
			return -1, err
		}
		d.open = true
	}
	return d.fd, nil
}

func (n *Near) enter(id ID) {
	if n.split == 0 {
		n.split = Split()
	}
	n.id, n.name = id, append(strconv.AppendUint(n.name[:0], uint64(id), 10), 0)
	if p := uint64(id)%n.split + 1; p != n.part {
		n.Close()
		n.part = p
	}
}

// Close closes the directories.
func (n *Near) Close() {
	for i := range n.dirs {
		if n.dirs[i].open {
			n.dirs[i].fd.Close()
		}
		n.dirs[i] = nearDir{}
	}
	n.part = 0
}
