// Package crash proves that no power cut loses mail. From a trace of real runs
// it builds a model of what each call changed on disk and what was synced when
// (trace.go), constructs the states that a cut may leave (states.go), and
// starts the system again on each (replay.go). It must not know how the
// programs do their work, only what they must have kept.
package crash

import (
	"encoding/hex"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/reqmail/reqmail/queue"
)

// Kind is what a call does to the file system.
type Kind int

// The kinds of calls.
const (
	Entry  Kind = iota // changes names: Adds and Removes
	Write              // Data at Off of Inode
	Cut                // truncates Inode to Off
	Sync               // makes Inode, or the names in Dir, or with All everything durable
	Accept             // a qmail-queue exits or answers 0 after it linked Adds[0] into todo; Inode is the text
)

// Name is a name in a directory. Inodes are numbered by the trace, since a
// file system gives numbers out again.
type Name struct {
	Path  string // below the home
	Inode int
}

// Op is one call that changed something, or made it durable.
type Op struct {
	N       int // its place in the trace
	Kind    Kind
	Program string
	Adds    []Name
	Removes []Name
	Inode   int
	Dir     string // of a Sync of a directory
	All     bool   // a Sync of the file system
	Off     int64
	Append  bool // a Write at the end, wherever that is
	Data    []byte
}

// String names a call in the words of a trace.
func (o *Op) String() string {
	switch o.Kind {
	case Entry:
		return fmt.Sprintf("%s +%v -%v", o.Program, o.Adds, o.Removes)
	case Sync:
		if o.All {
			return o.Program + " sync of all"
		}
		return fmt.Sprintf("%s sync %s%d", o.Program, o.Dir, o.Inode)
	case Accept:
		return "accepted " + o.Adds[0].Path
	}
	return fmt.Sprintf("%s write %d at %d: %q", o.Program, o.Inode, o.Off, o.Data)
}

// Calls is what strace has to record for Parse.
const Calls = "openat,open,creat,write,pwrite64,lseek,fsync,fdatasync,syncfs,link,linkat,unlink,unlinkat," +
	"rename,renameat,renameat2,ftruncate,exit_group,sendmsg"

// Strace is the command line that records in the form that Parse reads.
func Strace(output string) []string {
	return []string{"strace", "-f", "-y", "-Y", "-xx", "-s", "1000000", "-e", "signal=none", "-e", "trace=" + Calls, "-o", output}
}

// parser follows a trace.
type parser struct {
	home   string
	watch  func(path string) bool // of paths below the home
	ops    []Op
	live   map[string]int   // names as the programs saw them
	opened map[string]int   // inode last opened under a name, which may be gone
	size   map[int]int64    // of inodes
	pos    map[string]int64 // of the descriptor last opened under a name
	append map[string]bool
	begun  map[string]begun // by thread: calls that have not returned
	linked []Op             // acceptances to come: a qmail-queue has linked into todo, and not ended
}

type begun struct {
	text string
	at   int // how many ops there were
}

var (
	callLine   = regexp.MustCompile(`^(\d+)<([^>]*)> +(\w+)\((.*)$`)
	resumeLine = regexp.MustCompile(`^(\d+)<([^>]*)> +<\.\.\. (\w+) resumed>(.*)$`)
	argument   = regexp.MustCompile(`<((?:\\x[0-9a-f]{2})*)>|"((?:\\x[0-9a-f]{2})*)"`)
	returned   = regexp.MustCompile(` = (-?\d+)[^=]*$`)
)

// Parse reads a trace that strace wrote. watch tells which paths below the home
// matter.
func Parse(home string, watch func(string) bool, trace string) ([]Op, error) {
	p := &parser{
		home: home, watch: watch,
		live: map[string]int{}, opened: map[string]int{}, size: map[int]int64{},
		pos: map[string]int64{}, append: map[string]bool{}, begun: map[string]begun{},
	}
	for line := range strings.Lines(trace) {
		if err := p.line(strings.TrimSuffix(line, "\n")); err != nil {
			return nil, fmt.Errorf("%w: %s", err, line)
		}
	}
	for i := range p.ops {
		p.ops[i].N = i
	}
	return p.ops, nil
}

func (p *parser) line(line string) error {
	if m := resumeLine.FindStringSubmatch(line); m != nil {
		b := p.begun[m[1]]
		delete(p.begun, m[1])
		return p.call(unhex(m[2]), m[3], b.text+m[4], b.at)
	}
	m := callLine.FindStringSubmatch(line)
	if m == nil {
		return nil
	}
	if text, ok := strings.CutSuffix(m[4], " <unfinished ...>"); ok {
		p.begun[m[1]] = begun{text, len(p.ops)}
		return nil
	}
	return p.call(unhex(m[2]), m[3], m[4], len(p.ops))
}

// call takes in a call that has returned; at is where it began.
func (p *parser) call(program, name, text string, at int) error {
	if name == "exit_group" {
		if strings.HasPrefix(text, "0)") {
			p.accept(program)
		}
		return nil
	}
	ret := returned.FindStringSubmatch(text)
	if ret == nil || ret[1] == "-1" {
		return nil
	}
	var args, paths []string
	dir := p.home
	for _, m := range argument.FindAllStringSubmatch(text, -1) {
		arg := unhex(m[1] + m[2])
		args = append(args, arg)
		switch {
		case m[1] != "":
			dir = arg // of a descriptor
		case strings.HasPrefix(arg, "/"):
			paths = append(paths, arg)
		default:
			paths = append(paths, path.Join(dir, arg))
		}
	}
	op := Op{Program: program}
	switch name {
	case "openat", "open", "creat":
		p.open(op, text, args)
	case "sendmsg":
		if args[len(args)-1] == "\x00" { // the whole answer of one that is shared
			p.accept(program)
		}
	case "lseek":
		if at, ok := p.below(args[0]); ok {
			p.pos[at] = number(ret[1])
		}
	case "write":
		p.write(op, args, number(ret[1]))
	case "pwrite64":
		if file, ok := p.below(args[0]); ok {
			before := p.pos[file]
			p.pos[file] = lastArgument(text)
			p.write(op, args, number(ret[1]))
			p.pos[file] = before
		}
	case "ftruncate":
		if file, ok := p.below(args[0]); ok {
			op.Kind, op.Inode = Cut, p.opened[file]
			op.Off = lastArgument(text)
			p.size[op.Inode] = op.Off
			p.ops = append(p.ops, op)
		}
	case "fsync", "fdatasync":
		p.sync(op, args[0], at)
	case "syncfs":
		op.Kind, op.All = Sync, true
		p.insert(op, at)
	default:
		p.names(op, name, paths)
	}
	return nil
}

// accept has a qmail-queue say that a message is accepted: the one that was linked
// into todo first. Of several the last may be meant; but todo was synced after
// that one's link, and so after those before it.
func (p *parser) accept(program string) {
	if program == "qmail-queue" && len(p.linked) > 0 {
		p.ops = append(p.ops, p.linked[0])
		p.linked = p.linked[1:]
	}
}

// below returns a path relative to the home, if it matters.
func (p *parser) below(file string) (string, bool) {
	rest, ok := strings.CutPrefix(path.Clean(file), p.home+"/")
	return rest, ok && p.watch(rest)
}

func (p *parser) open(op Op, text string, args []string) {
	full := args[len(args)-1] // of the descriptor returned
	file, ok := p.below(full)
	if !ok {
		return
	}
	if !strings.Contains(text, "O_RDONLY") {
		p.append[file], p.pos[file] = strings.Contains(text, "O_APPEND"), 0
	}
	inode, there := p.live[file]
	if !there && strings.Contains(text, "O_CREAT") {
		inode = len(p.size) + 1
		p.size[inode] = 0
		p.live[file] = inode
		op.Kind, op.Adds = Entry, []Name{{file, inode}}
		p.ops = append(p.ops, op)
	}
	p.opened[file] = inode
	if there && strings.Contains(text, "O_TRUNC") {
		op.Kind, op.Inode = Cut, inode
		p.size[inode] = 0
		p.ops = append(p.ops, op)
	}
}

func (p *parser) write(op Op, args []string, n int64) {
	file, ok := p.below(args[0])
	if !ok || n == 0 {
		return
	}
	op.Kind, op.Inode, op.Off, op.Data = Write, p.opened[file], p.pos[file], []byte(args[1][:n])
	if p.append[file] {
		op.Append, op.Off = true, p.size[op.Inode]
	}
	p.pos[file] = op.Off + n
	p.size[op.Inode] = max(p.size[op.Inode], op.Off+n)
	p.ops = append(p.ops, op)
}

// sync counts from where the call began: what came while it ran may not be in
// it.
func (p *parser) sync(op Op, full string, at int) {
	file, ok := p.below(full)
	if !ok {
		return
	}
	op.Kind = Sync
	if inode, ok := p.opened[file]; ok && inode != 0 {
		op.Inode = inode
	} else {
		op.Dir = file
	}
	p.insert(op, at)
}

// insert puts an op where its call began.
func (p *parser) insert(op Op, at int) {
	p.ops = slices.Insert(p.ops, at, op)
	for thread, b := range p.begun {
		if b.at >= at {
			p.begun[thread] = begun{b.text, b.at + 1}
		}
	}
}

func (p *parser) names(op Op, name string, paths []string) {
	op.Kind = Entry
	last, ok := p.below(paths[len(paths)-1])
	if !ok {
		return
	}
	first, _ := p.below(paths[0])
	inode := p.live[first]
	switch {
	case strings.HasPrefix(name, "unlink"):
		op.Removes = []Name{{last, p.live[last]}}
		delete(p.live, last)
	case strings.HasPrefix(name, "link"):
		op.Adds = []Name{{last, inode}}
		p.live[last] = inode
		if strings.HasPrefix(last, "queue/todo/") {
			text := p.live["queue/"+numbered(last).Mess()]
			p.linked = append(p.linked, Op{Kind: Accept, Program: op.Program, Adds: op.Adds, Inode: text})
		}
	default:
		op.Removes, op.Adds = []Name{{first, inode}}, []Name{{last, inode}}
		delete(p.live, first)
		p.live[last] = inode
	}
	p.ops = append(p.ops, op)
}

// numbered returns the number of the message that a file in todo is for.
func numbered(todo string) queue.ID {
	id, _ := queue.ParseID(path.Base(todo))
	return id
}

func unhex(s string) string {
	b, err := hex.DecodeString(strings.ReplaceAll(s, `\x`, ""))
	if err != nil {
		return s // an argument that strace does not write so
	}
	return string(b)
}

// lastArgument returns the number that is a call's last argument.
func lastArgument(text string) int64 {
	end := strings.LastIndex(text, ")")
	return number(text[strings.LastIndex(text[:end], ", ")+2 : end])
}

func number(s string) int64 {
	var n int64
	_, _ = fmt.Sscanf(s, "%d", &n)
	return n
}
