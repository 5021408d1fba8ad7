// Package layout knows what a qmail home consists of: directories, queue,
// programs, sample boot scripts and manual pages with their owners and modes
// (the tables of qmail's own "make setup check"). It lays a home down and
// checks one. It is used by the installer, the demo and the tests; no
// installed program needs it.
package layout

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/reqmail/reqmail/compat/ids"
	"github.com/reqmail/reqmail/qmail/callout"
	"github.com/reqmail/reqmail/queue"
)

// Owner is an account and a group.
type Owner struct{ User, Group string }

// root is who owns everything that is no queue's.
func root() Owner { return Owner{ids.Owner, ids.Qmail} }

// Sources are the directories that a home's files come from. An empty one
// means that there are no such files.
type Sources struct {
	Bin string // built programs
	Man string // manual pages, as NAME.SECTION
	Doc string // text files
}

// entry is a directory or file of a home.
type entry struct {
	path  string // below the home; "." is that itself
	kind  uint32 // S_IFDIR, S_IFREG or S_IFIFO
	mode  os.FileMode
	owner Owner

	source string       // a file that is copied, or
	text   string       // the content of one, or
	place  *queue.Place // a part of the queue
}

func directory(path string, mode os.FileMode, owner Owner) entry {
	return entry{path: path, kind: syscall.S_IFDIR, mode: mode, owner: owner}
}

// entries lists a home in the order of its creation. queueOnly leaves out
// everything but the queue.
func entries(home string, from Sources, queueOnly bool) ([]entry, error) {
	if queueOnly {
		return queueEntries(), nil
	}
	all := []entry{
		directory(".", 0o755, root()),
		directory("alias", 0o755|os.ModeSetgid, Owner{ids.Alias, ids.Qmail}),
	}
	for _, dir := range []string{"bin", "boot", "control", "doc", "man", "man/man1", "man/man5", "man/man7", "man/man8", "users"} {
		all = append(all, directory(dir, 0o755, root()))
	}
	all = append(all, directory(callout.Folder, 0o700, Owner{ids.Daemon, ids.Nofiles}))
	all = append(all, queueEntries()...)
	all = append(all, bootEntries(home)...)
	for _, folder := range []struct {
		dir  string
		make func(name, source string) (entry, bool)
	}{{from.Bin, program}, {from.Man, manualPage}, {from.Doc, document}} {
		more, err := folderEntries(folder.dir, folder.make)
		if err != nil {
			return nil, err
		}
		all = append(all, more...)
	}
	return append(all, sharedPages(all)...), nil
}

// sharedPages are the manual pages that tell of several programs, once more
// under the name of each.
func sharedPages(all []entry) (more []entry) {
	for _, page := range []struct{ of, name string }{
		{"man/man1/elq.1", "pinq.1"}, {"man/man1/elq.1", "qail.1"}, {"man/man8/config.8", "config-fast.8"},
	} {
		for _, e := range all {
			if e.path == page.of {
				e.path = filepath.Dir(page.of) + "/" + page.name
				more = append(more, e)
			}
		}
	}
	return more
}

func queueEntries() []entry {
	var all []entry
	for _, p := range queue.Layout() {
		all = append(all, entry{
			path: filepath.Join("queue", p.Path), kind: p.Type, mode: os.FileMode(p.Mode),
			owner: Owner{p.Owner, ids.Qmail}, place: &p,
		})
	}
	return all
}

func folderEntries(dir string, make func(name, source string) (entry, bool)) ([]entry, error) {
	if dir == "" {
		return nil, nil
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var all []entry
	for _, f := range files {
		if !f.Type().IsRegular() {
			continue
		}
		if e, ok := make(f.Name(), filepath.Join(dir, f.Name())); ok {
			all = append(all, e)
		}
	}
	return all, nil
}

// program is an installed program with its owner and mode.
func program(name, source string) (entry, bool) {
	e := entry{path: "bin/" + name, kind: syscall.S_IFREG, mode: 0o755, owner: root(), source: source}
	switch name {
	case "qmail-queue":
		e.owner, e.mode = Owner{ids.Queue, ids.Qmail}, 0o711|os.ModeSetuid
	case "qmail-lspawn", "qmail-newmrh", "qmail-newu", "qmail-start":
		e.mode = 0o700
	case "qmail-clean", "qmail-getpw", "qmail-local", "qmail-popup", "qmail-pw2u",
		"qmail-remote", "qmail-rspawn", "qmail-send", "splogger":
		e.mode = 0o711
	}
	return e, true
}

// manualPage goes into the folder of its section.
func manualPage(name, source string) (entry, bool) {
	section := strings.TrimPrefix(filepath.Ext(name), ".")
	return entry{path: "man/man" + section + "/" + name, kind: syscall.S_IFREG, mode: 0o644, owner: root(), source: source},
		len(section) == 1 && strings.Contains("1578", section)
}

func document(name, source string) (entry, bool) {
	return entry{path: "doc/" + name, kind: syscall.S_IFREG, mode: 0o644, owner: root(), source: source}, true
}
