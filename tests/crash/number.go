package crash

import (
	"path"
	"slices"
	"strings"

	"github.com/reqmail/reqmail/queue"
)

// A file system gives inode numbers, the names of messages, out again as soon
// as they are free. Whether that happens while a trace is recorded is up to
// what else happens on the host; sharing makes it happen.

// sharing returns the trace as it would be had the message accepted last got
// the number of the one accepted first, which has ended by then. A trace in
// which a number was given out again stays as it is.
func sharing(ops []Op) []Op {
	var accepted []queue.ID
	for _, op := range ops {
		if op.Kind == Accept {
			accepted = append(accepted, numbered(op.Adds[0].Path))
		}
	}
	first, last := accepted[0], accepted[len(accepted)-1]
	if slices.Contains(accepted[:len(accepted)-1], last) {
		return ops // the file system has done so, with this number or another
	}
	var shared []Op
	for _, op := range ops {
		op.Adds, op.Removes = renumber(op.Adds, last, first), renumber(op.Removes, last, first)
		op.N = len(shared)
		shared = append(shared, op)
		if dir := splitOf(first, op.Dir); op.Kind == Sync && op.Dir == splitOf(last, op.Dir) && dir != op.Dir {
			// The directory that it was in may be another message's too.
			op.Dir, op.N = dir, len(shared)
			shared = append(shared, op)
		}
	}
	return shared
}

func renumber(names []Name, from, to queue.ID) []Name {
	var renamed []Name
	for _, n := range names {
		if m := queueFile.FindStringSubmatch(n.Path); m != nil && m[2] == from.String() {
			n.Path = fileOf(m[1], to)
		}
		renamed = append(renamed, n)
	}
	return renamed
}

// fileOf returns the path of a message's file of that kind.
func fileOf(kind string, id queue.ID) string {
	if kind == "todo" || kind == "intd" || kind == "bounce" {
		return "queue/" + kind + "/" + id.String()
	}
	return "queue/" + kind + "/" + id.Sub()
}

// splitOf returns the directory for a message beside a directory such as
// queue/info/7; one of another kind stays as it is.
func splitOf(id queue.ID, dir string) string {
	if parent := path.Dir(dir); strings.HasPrefix(parent, "queue/") {
		return path.Join(parent, path.Dir(id.Sub()))
	}
	return dir
}
