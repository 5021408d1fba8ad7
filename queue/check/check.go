// Package check tells what is wrong with a queue and mends it. It owns the
// rules of what a sound queue looks like beyond the state table of package
// queue, and the folder lost+found, which programs of qmail's do not look at.
// It must not know who asks, nor run or signal any program.
//
// The working directory is the queue, as everywhere.
//
// Nothing that may be mail is ever removed; it is moved to lost+found:
//
//	lost+found/REPORT        a line for each thing moved there: time, finding,
//	                         old and new name; synced before the move
//	lost+found/NAME          what was moved, its / turned into a dot
//	lost+found/moving/       messages on their way to another number:
//	  OLD-NEW.KIND           resumed by the next repair after a crash
package check

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/reqmail/reqmail/queue"
)

// Code names a kind of damage. Codes are stable: scripts may test for them.
type Code string

// Finding is one thing that is wrong.
type Finding struct {
	Code   Code     `json:"code"`
	Path   string   `json:"path"` // below the queue
	ID     queue.ID `json:"message,omitempty"`
	Text   string   `json:"text"`
	Mended string   `json:"mended,omitempty"` // what was done, or would be
	Error  string   `json:"error,omitempty"`  // why it was not

	ino uint64 // of what was seen: the same again confirms it
	got string
}

// String is the finding as a line, without its newline.
func (f Finding) String() string {
	line := string(f.Code) + ": " + f.Path + ": " + f.Text
	if f.Mended != "" {
		line += "; " + f.Mended
	}
	if f.Error != "" {
		line += "; left: " + f.Error
	}
	return strings.ReplaceAll(line, "\n", "/")
}

// same reports whether another look has found the same.
func (f Finding) same(g Finding) bool {
	return f.Code == g.Code && f.Path == g.Path && f.ino == g.ino && f.got == g.got
}

// Pause is the time between two looks at a queue in which something seems
// wrong: more than any program takes from one step with a message to the next.
const Pause = time.Second

// Options are what a queue is to be, and how it is looked at.
type Options struct {
	Tree     queue.Tree
	Accounts Accounts
	Pause    time.Duration // between two looks

	// For Repair.
	DryRun  bool
	Stopped bool // qmail-send's lock has been taken: what it would race with may be done
}

// Check looks a queue over. One that is in use changes while it is looked at:
// only what is found twice, a pause apart, is told.
func Check(o Options) ([]Finding, error) {
	found, _, err := o.confirmed(func(Finding) bool { return true })
	return found, err
}

// confirmed returns what is wrong among what matters, with the look that has
// shown it.
func (o *Options) confirmed(matters func(Finding) bool) ([]Finding, *view, error) {
	first, v, err := o.findings()
	first = slices.DeleteFunc(first, func(f Finding) bool { return !matters(f) })
	if err != nil || len(first) == 0 {
		return nil, v, err
	}
	time.Sleep(o.Pause)
	second, v, err := o.findings()
	if err != nil {
		return nil, nil, err
	}
	known := map[string]Finding{}
	for _, f := range first {
		known[string(f.Code)+" "+f.Path] = f
	}
	return slices.DeleteFunc(second, func(f Finding) bool {
		g, ok := known[string(f.Code)+" "+f.Path]
		return !ok || !f.same(g)
	}), v, nil
}

// findings is one look, sorted.
func (o *Options) findings() ([]Finding, *view, error) {
	l := list{accounts: o.Accounts}
	if err := l.layout(o.Tree); err != nil {
		return nil, nil, err
	}
	v, err := look(o.Tree)
	if err != nil {
		return nil, nil, err
	}
	l.now = time.Now().Unix()
	if err := l.view(v); err != nil {
		return nil, nil, err
	}
	slices.SortStableFunc(l.found, func(a, b Finding) int { return cmp.Compare(a.Path, b.Path) })
	return l.found, v, nil
}

// list collects findings.
type list struct {
	found    []Finding
	accounts Accounts
	now      int64
}

func (l *list) add(code Code, path string, st *syscall.Stat_t, format string, args ...any) {
	f := Finding{Code: code, Path: path, Text: fmt.Sprintf(format, args...)}
	if st != nil {
		f.ino = st.Ino
	}
	f.got = f.Text
	l.found = append(l.found, f)
}

// of adds a finding about a file of a message.
func (l *list) of(id queue.ID, code Code, f *file, format string, args ...any) {
	l.add(code, f.path, &f.stat, format, args...)
	l.found[len(l.found)-1].ID = id
}

func base(path string) string { return path[strings.LastIndexByte(path, '/')+1:] }
