package queue

import "github.com/reqmail/reqmail/compat/fdio"

// Glance tells for many messages whether they have a file in a directory that is
// not split and holds only few most of the time: todo and bounce. Where one look
// at it is enough that spares asking for each. Its zero value but for Kind is
// ready; it is for one goroutine at a time.
type Glance struct {
	Kind Kind

	buf []byte
	ids map[ID]struct{}
	all bool // ids are all of them
}

// Look looks at the directory.
func (g *Glance) Look() {
	if g.buf == nil {
		g.buf, g.ids = make([]byte, glanceBuffer), map[ID]struct{}{}
	}
	clear(g.ids)
	g.all = false
	dir, err := openDir(string(g.Kind))
	if err != nil {
		return
	}
	defer dir.Close()
	g.all = g.read(dir)
}

const glanceBuffer = 16 << 10

// read takes in the directory and tells whether that is all of it.
func (g *Glance) read(dir fdio.FD) bool {
	more, err := dir.Entries(g.buf, func(_ byte, name []byte) {
		if id, ok := parseID(name); ok && id.String() == string(name) {
			g.ids[id] = struct{}{}
		}
	})
	if more && err == nil {
		more, err = dir.Entries(g.buf, func(byte, []byte) {})
	}
	return !more && err == nil
}

// Has reports whether a message had a file there when Look was called, or has one
// now. The error says that it cannot be said.
func (g *Glance) Has(id ID) (bool, error) {
	if g.all {
		_, had := g.ids[id]
		return had, nil
	}
	path := string(g.Kind) + "/" + id.String()
	has, err := exists(path)
	if err != nil {
		err = &FileError{"unable to stat", path, err}
	}
	return has, err
}
