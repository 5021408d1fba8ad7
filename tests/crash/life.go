package crash

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
)

// Life is the calls for one message and for the bounce of it. Those for other
// messages are left out: each goes its own way.
type Life struct {
	Ops   []Op
	Calls []string // what each does, in words that are the same in every run; "" if it is not ours
}

// Lives takes a trace apart.
func Lives(ops []Op) []Life {
	b := newBook(ops)
	var lives []Life
	for root := range b.first {
		if b.parent(root) != root {
			continue
		}
		var l Life
		for i, o := range ops {
			of := slices.IndexFunc(b.of[i], func(m int) bool { return b.parent(m) == root })
			if of < 0 {
				continue
			}
			bounce := b.of[i][of] != root
			if bounce && o.Kind == Accept {
				continue // qmail-send is told, which has the message still
			}
			call := b.describe(&o)
			if bounce && call != "" {
				call += " (bounce)"
			}
			o.N = len(l.Ops)
			l.Ops, l.Calls = append(l.Ops, o), append(l.Calls, call)
		}
		lives = append(lives, l)
	}
	return lives
}

// book tells which messages each call is about.
type book struct {
	text   []string       // of messages
	first  []string       // line of the text, which a copy has too
	inodes map[int][]int  // messages whose file it is
	names  map[int]string // first ones of inodes
	record map[int]string // what was first written to an inode
	of     [][]int        // messages by call
}

func newBook(ops []Op) *book {
	b := &book{inodes: map[int][]int{}, names: map[int]string{}, record: map[int]string{}}
	b.readTexts(ops)
	current := map[string][]int{} // messages by number
	for _, o := range ops {
		for _, n := range o.Adds {
			m := queueFile.FindStringSubmatch(n.Path)
			if m != nil && o.begins(m[2]) {
				current[m[2]] = b.inodes[n.Inode]
			} else if m != nil {
				b.inodes[n.Inode] = current[m[2]]
			}
			if b.names[n.Inode] == "" && !strings.HasPrefix(n.Path, "queue/pid/") {
				b.names[n.Inode] = n.Path
			}
		}
		if o.Kind == Write {
			if b.inodes[o.Inode] == nil || strings.HasPrefix(o.Program, "qmail-local") {
				if m := b.copied(string(o.Data)); m >= 0 && !slices.Contains(b.inodes[o.Inode], m) {
					b.inodes[o.Inode] = append(b.inodes[o.Inode], m)
				}
			}
			if b.record[o.Inode] == "" {
				b.record[o.Inode] = string(o.Data)
			}
		}
	}
	b.assign(ops)
	return b
}

// readTexts finds the messages.
func (b *book) readTexts(ops []Op) {
	for _, o := range ops {
		if len(o.Adds) == 0 || !strings.HasPrefix(o.Adds[0].Path, "queue/mess/") {
			continue
		}
		inode, text := o.Adds[0].Inode, ""
		for _, w := range ops {
			if w.Kind == Write && w.Inode == inode {
				text += string(w.Data)
			}
		}
		b.inodes[inode] = []int{len(b.text)}
		line, _, _ := strings.Cut(text, "\n")
		b.text, b.first = append(b.text, text), append(b.first, line)
	}
}

// copied returns the message of which a text is a copy, -1 if of none.
func (b *book) copied(text string) int {
	of, at := -1, len(text)
	for m, line := range b.first {
		if i := strings.Index(text, line); i >= 0 && i < at {
			of, at = m, i
		}
	}
	return of
}

// parent returns the message that a bounce is of; another is its own.
func (b *book) parent(m int) int {
	_, rest, _ := strings.Cut(b.text[m], "\n")
	if p := b.copied(rest); p >= 0 {
		return p
	}
	return m
}

// assign finds out about each call. A sync is for whoever has something that waits
// for it: what was written to the file, or a name in the directory, which the
// same program has added, or the other host.
func (b *book) assign(ops []Op) {
	waiting := map[string][]int{} // messages, by what the sync has to be of
	for _, o := range ops {
		var of []int
		by := o.Program
		if !strings.HasPrefix(by, "qmail-") {
			by = far
		}
		switch o.Kind {
		case Entry:
			n := slices.Concat(o.Adds, o.Removes)[0]
			of = b.inodes[n.Inode]
			if dir := by + path.Dir(n.Path); len(o.Adds) > 0 {
				waiting[dir] = append(waiting[dir], of...)
			}
		case Write, Cut:
			of = b.inodes[o.Inode]
			if m := b.copied(string(o.Data)); m >= 0 && slices.Contains(of, m) {
				of = []int{m}
			}
			file := fmt.Sprint(o.Inode)
			waiting[file] = append(waiting[file], of...)
		case Sync:
			what := by + o.Dir
			if o.Dir == "" {
				what = fmt.Sprint(o.Inode)
			}
			of, waiting[what] = waiting[what], nil
			if o.All {
				of = b.all()
			}
		case Accept:
			of = b.inodes[o.Inode]
		}
		b.of = append(b.of, of)
	}
}

// all lists all messages.
func (b *book) all() (all []int) {
	for m := range b.text {
		all = append(all, m)
	}
	return all
}

// describe names a call by what it does to which kind of file: "mark mbox" is
// the one that records that the recipient is done.
func (b *book) describe(o *Op) string {
	if !strings.HasPrefix(o.Program, "qmail-") {
		return ""
	}
	switch o.Kind {
	case Accept:
		return "accept"
	case Sync:
		if o.All {
			return "sync all"
		}
		if o.Dir != "" {
			return "sync names in " + whereIs(o.Dir+"/")
		}
		return "sync " + b.where(o.Inode)
	case Entry:
		if len(o.Adds) > 0 {
			return "name " + whereIs(o.Adds[0].Path)
		}
		return "remove " + whereIs(o.Removes[0].Path)
	}
	if string(o.Data) == "D" {
		return "mark " + b.recipient(o)
	}
	return "write " + b.where(o.Inode)
}

// recipient returns whose mark a call sets.
func (b *book) recipient(o *Op) string {
	record, _, _ := strings.Cut(b.record[o.Inode][o.Off:], "\x00")
	return boxOf(record)
}

var mailbox = regexp.MustCompile(`-(\w+)@`)

// boxOf returns the mailbox of an address.
func boxOf(address string) string {
	if m := mailbox.FindStringSubmatch(address); m != nil {
		return m[1]
	}
	return address
}

// where says where a file lies.
func (b *book) where(inode int) string { return strings.TrimSuffix(whereIs(b.names[inode]), "/tmp") }

// whereIs shortens a path: "queue/info", "maildir/new", "mbox".
func whereIs(file string) string {
	parts := strings.Split(file, "/")
	switch {
	case parts[0] == "queue":
		return strings.Join(parts[:2], "/")
	case parts[0] == "mail" && len(parts) == 5:
		return parts[2] + "/" + parts[3]
	case parts[0] == "mail" && parts[2] != "":
		return parts[2]
	}
	return parts[0]
}
