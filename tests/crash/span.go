package crash

import (
	"fmt"
	"iter"
	"path"
	"slices"
	"strings"
)

// What a cut may leave on a weakly ordered file system is a product: each name
// and the data of each file are one of a few things, whatever became of the
// others. So it can be told whether an order of calls can leave anything that
// another one cannot.

// World numbers the paths and contents of some calls, in whatever order they are
// made.
type World struct {
	paths    []spot
	number   map[string]int // of a path
	inodes   int            // one more than the highest
	contents []string
	content  map[string]int
	fates    map[string][]int // contents that changes of a file may come to
	whole    []int            // content of each inode when all is written
}

// spot is a path and what files are for that lie there.
type spot struct {
	path   string
	use    use
	box    string         // the mailbox that gets what is there; see scenario.go
	kind   string         // of a file in the queue: "info"
	others map[string]int // likewise: paths of the same number, by kind
}

type use int

const (
	aside   use = iota // for its maker alone: pid, tmp
	inQueue            // named by a message's number
	ofMails            // an mbox
	oneMail            // in a Maildir, or on the other host
)

// Span is all that a cut after some calls may leave.
type Span struct {
	names    [][]int // by path: inodes, 0 for none; the newest last
	files    []file  // by inode
	accepted []int   // inodes of texts
	cut      int
}

// file is what a file may hold.
type file struct {
	durable int   // content
	pending []*Op // changes since
	may     []int // contents; with all changes first
}

// Choice is one thing that a cut may leave.
type Choice struct {
	names    []int // by path: inode
	files    []int // by inode: content
	accepted []int
	cut      int
}

// NewWorld returns the world of some calls.
func NewWorld(ops []Op) *World {
	w := &World{number: map[string]int{}, contents: []string{""}, content: map[string]int{"": 0}, fates: map[string][]int{}}
	numbers := map[string]map[string]int{}
	for _, o := range ops {
		for _, n := range slices.Concat(o.Adds, o.Removes) {
			if _, ok := w.number[n.Path]; !ok {
				w.number[n.Path] = len(w.paths)
				w.paths = append(w.paths, spotOf(n.Path, len(w.paths), numbers))
			}
			w.inodes = max(w.inodes, n.Inode+1)
		}
	}
	for _, f := range last(w.Spans(w.Start(), ops)).files {
		w.whole = append(w.whole, f.may[0])
	}
	return w
}

func last[T any](all []T) T { return all[len(all)-1] }

func spotOf(file string, p int, numbers map[string]map[string]int) spot {
	if m := queueFile.FindStringSubmatch(file); m != nil {
		if numbers[m[2]] == nil {
			numbers[m[2]] = map[string]int{}
		}
		numbers[m[2]][m[1]] = p
		s := spot{path: file, use: inQueue, kind: m[1], others: numbers[m[2]]}
		if s.kind == "bounce" {
			s.box = nobody
		}
		return s
	}
	s := spot{path: file, use: oneMail, box: path.Dir(whereIs(file))}
	switch {
	case strings.HasPrefix(file, "queue/pid/"), strings.Contains(file, "/tmp/"), strings.HasPrefix(file, "far/."):
		s.use, s.box = aside, ""
	case strings.HasPrefix(file, "far/"):
		s.box = far
	case strings.HasSuffix(file, "/"+inMbox):
		s.use, s.box = ofMails, inMbox
	}
	return s
}

// Start is before the first call.
func (w *World) Start() Span {
	s := Span{names: make([][]int, len(w.paths)), files: make([]file, w.inodes)}
	for p := range s.names {
		s.names[p] = []int{0}
	}
	for i := range s.files {
		s.files[i].may = []int{0}
	}
	return s
}

// Spans lists what a cut may leave from s on, after each call.
func (w *World) Spans(s Span, ops []Op) []Span {
	all := []Span{s}
	for i := range ops {
		s = w.after(s, &ops[i])
		all = append(all, s)
	}
	return all
}

// after is s after one more call.
func (w *World) after(s Span, o *Op) Span {
	s.cut++
	switch o.Kind {
	case Entry:
		s.names = slices.Clone(s.names)
		w.enter(&s, o)
	case Write, Cut:
		s.files = slices.Clone(s.files)
		f := &s.files[o.Inode]
		f.pending = append(slices.Clone(f.pending), o)
		f.may = w.mayHold(f.durable, f.pending)
	case Sync:
		w.sync(&s, o)
	case Accept:
		s.accepted = append(slices.Clone(s.accepted), o.Inode)
	}
	return s
}

// enter changes names. Of one that is renamed, which nobody does in the queue,
// only the new name is followed: the two change together.
func (w *World) enter(s *Span, o *Op) {
	changed := o.Adds
	if len(changed) == 0 {
		changed = []Name{{o.Removes[0].Path, 0}}
	}
	p := w.number[changed[0].Path]
	s.names[p] = append(slices.Clone(s.names[p]), changed[0].Inode)
	if w.paths[p].kind != "mess" || len(o.Adds) == 0 {
		return
	}
	// A number is given out again when the names of who had it are gone for good.
	for _, p := range w.paths[p].others {
		for i, inode := range slices.Backward(s.names[p]) {
			if inode == 0 {
				s.names[p] = s.names[p][i:]
				break
			}
		}
	}
}

func (w *World) sync(s *Span, o *Op) {
	if o.All || o.Dir != "" {
		s.names = slices.Clone(s.names)
		for p, may := range s.names {
			if o.All || path.Dir(w.paths[p].path) == o.Dir {
				s.names[p] = may[len(may)-1:]
			}
		}
	}
	if o.All || o.Dir == "" {
		s.files = slices.Clone(s.files)
		for i, f := range s.files {
			if o.All || i == o.Inode {
				s.files[i] = file{durable: f.may[0], may: f.may[:1]}
			}
		}
	}
}

// mayHold lists the contents that changes of a content may have come to.
func (w *World) mayHold(durable int, pending []*Op) []int {
	key := fmt.Sprint(durable)
	for _, o := range pending {
		key += fmt.Sprint(" ", o.N)
	}
	if may, ok := w.fates[key]; ok {
		return may
	}
	var may []int
	for f := range fates {
		b := []byte(w.contents[durable])
		for i, o := range pending {
			b = o.change(b, f, i == len(pending)-1)
		}
		if c := w.intern(string(b)); !slices.Contains(may, c) {
			may = append(may, c)
		}
	}
	w.fates[key] = may
	return may
}

func (w *World) intern(content string) int {
	c, ok := w.content[content]
	if !ok {
		c = len(w.contents)
		w.content[content] = c
		w.contents = append(w.contents, content)
	}
	return c
}

// Within reports whether t may leave all that s may, and promises no less.
func (s *Span) Within(t *Span) bool {
	for p, inodes := range s.names {
		for _, i := range inodes {
			if !slices.Contains(t.names[p], i) || !containsAll(t.files[i].may, s.files[i].may) {
				return false
			}
		}
	}
	return containsAll(t.accepted, s.accepted)
}

func containsAll(all, some []int) bool {
	for _, n := range some {
		if !slices.Contains(all, n) {
			return false
		}
	}
	return true
}

// lost is a thing that is not as the last call left it: a name or, with path
// -1, a file's content.
type lost struct{ path, inode, content int }

// Choices lists what s may leave: first that nothing is lost, then each thing alone,
// all of the names, of the data, of both, then each two things.
func (s *Span) Choices() iter.Seq[Choice] {
	return func(yield func(Choice) bool) {
		names, data := s.losable()
		all := slices.Concat(names, data)
		if !yield(s.without()) {
			return
		}
		for _, l := range all {
			if !yield(s.without(l)) {
				return
			}
		}
		for _, together := range [][]lost{names, data, all} {
			if !yield(s.without(together...)) {
				return
			}
		}
		for i, l := range all {
			for _, m := range all[:i] {
				if (l.path != m.path || l.inode != m.inode) && !yield(s.without(l, m)) {
					return
				}
			}
		}
	}
}

// losable lists what may be lost of names and data.
func (s *Span) losable() (names, data []lost) {
	named := make([]bool, len(s.files))
	for p, may := range s.names {
		for i, inode := range may {
			named[inode] = true
			if inode != last(may) && !slices.Contains(may[:i], inode) {
				names = append(names, lost{path: p, inode: inode})
			}
		}
	}
	for inode, f := range s.files {
		for _, content := range f.may[1:] {
			if named[inode] {
				data = append(data, lost{-1, inode, content})
			}
		}
	}
	return names, data
}

// without is the choice without what is lost.
func (s *Span) without(what ...lost) Choice {
	c := Choice{accepted: s.accepted, cut: s.cut}
	for _, may := range s.names {
		c.names = append(c.names, last(may))
	}
	for _, f := range s.files {
		c.files = append(c.files, f.may[0])
	}
	for _, l := range what {
		if l.path >= 0 {
			c.names[l.path] = l.inode
		} else {
			c.files[l.inode] = l.content
		}
	}
	return c
}

// State constructs the state.
func (w *World) State(c *Choice) State {
	s := State{Files: map[string]string{}, Accepted: c.accepted, Cut: c.cut}
	for p, inode := range c.names {
		if inode != 0 {
			s.Files[w.paths[p].path] = w.contents[c.files[inode]]
		}
	}
	return s
}
