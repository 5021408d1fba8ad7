package crash

import (
	"fmt"
	"hash/maphash"
	"math/rand"
	"path"
	"slices"
	"sort"
	"strings"
)

// State is what a power cut leaves.
type State struct {
	Files    map[string]string // by path below the home
	Accepted []int             // inodes of the texts accepted before
	Cut      int               // calls that were made before
}

// key tells states apart that are not the same for what follows.
func (s *State) key(seed maphash.Seed) uint64 {
	var h maphash.Hash
	h.SetSeed(seed)
	paths := make([]string, 0, len(s.Files))
	for p := range s.Files {
		paths = append(paths, p)
	}
	sort.Strings(paths)
	for _, p := range paths {
		fmt.Fprintf(&h, "%q %d ", p, len(s.Files[p]))
		_, _ = h.WriteString(s.Files[p])
	}
	fmt.Fprint(&h, s.Accepted)
	return h.Sum64()
}

// Model is how strongly a file system orders what was not synced.
type Model int

// The models. On a journaling file system names change in the order of the
// calls, and a sync takes the changes of names before it along; the data of
// files that were not synced may be there, lost, torn or zeros (ext4, XFS and
// Btrfs keep to that). On a weakly ordered one each name that was not synced
// by its directory is there or not, whatever became of the others; but neither
// gives an inode number out again before it is durable that the names of who
// had it are gone (ext4 without a journal waits minutes, f2fs for a checkpoint,
// Btrfs for ever; ext2 does not, see docs/dev/roadmap.md).
const (
	Journaling Model = iota
	Weak
)

// Bounds of what is constructed for one cut on a weakly ordered file system;
// see subsets.
const (
	mostSubsets = 6  // changes of names of which every subset is tried
	randomOnes  = 24 // subsets at random besides, where there are more
)

// Prover constructs states, each content once.
type Prover struct {
	Random *rand.Rand

	seed maphash.Seed
	seen map[uint64]bool
}

// NewProver returns a prover whose random choices follow from seed.
func NewProver(seed int64) *Prover {
	return &Prover{rand.New(rand.NewSource(seed)), maphash.MakeSeed(), map[uint64]bool{}}
}

// States constructs the states that a cut after so many calls may leave.
func (p *Prover) States(ops []Op, m Model, after int) []State {
	var all []State
	c := at(ops[:after], m)
	for _, names := range c.names(m, p.Random) {
		patterns := c.patterns()
		if m == Weak && len(names) > 0 && len(names) < len(c.pending) {
			patterns = patterns[:min(len(patterns), uniform)]
		}
		for _, data := range patterns {
			all = append(all, c.state(names, data))
		}
	}
	return p.fresh(all)
}

// fresh drops states that were there before.
func (p *Prover) fresh(states []State) []State {
	return slices.DeleteFunc(states, func(s State) bool {
		k := s.key(p.seed)
		defer func() { p.seen[k] = true }()
		return p.seen[k]
	})
}

// Missed constructs the states in which only that is lost which the syncs
// that less lacks would have kept.
func (p *Prover) Missed(ops, less []Op) []State {
	var all []State
	for after := range len(less) + 1 {
		c, kept := at(less[:after], Weak), at(upTo(ops, less[:after]), Weak)
		names := slices.Clone(c.pending)
		if lost := len(c.pending) - len(kept.pending); lost > 0 {
			names = nil
			for _, i := range c.pending {
				if kept.waits(&less[i]) {
					names = append(names, i)
				}
			}
		}
		for f := range fates {
			data := map[int]fate{}
			for _, inode := range c.inodes {
				if kept.unsynced[inode] == nil {
					data[inode] = f
				}
			}
			all = append(all, c.state(names, data))
		}
	}
	return p.fresh(all)
}

// upTo returns the beginning of ops that less is a part of.
func upTo(ops, less []Op) []Op {
	if len(less) == 0 {
		return nil
	}
	last := less[len(less)-1]
	i := slices.IndexFunc(ops, func(o Op) bool { return o.N == last.N })
	return ops[:i+1]
}

// waits reports whether a change of names is not known to be durable.
func (c *cut) waits(o *Op) bool {
	return slices.ContainsFunc(c.pending, func(i int) bool { return c.ops[i].N == o.N })
}

// cut is what is known to be durable at a cut, and what is not.
type cut struct {
	ops      []Op
	pending  []int         // changes of names not known to be durable
	unsynced map[int][]int // changes of an inode's data likewise
	inodes   []int         // of unsynced, in order
}

func at(ops []Op, m Model) *cut {
	c := &cut{ops: ops, unsynced: map[int][]int{}}
	durable := -1 // names up to here, on a journaling file system
	for i := range ops {
		op := &ops[i]
		if op.Kind != Sync {
			continue
		}
		for j := range i {
			if m == Journaling && ops[j].touches(op) {
				durable = max(durable, j)
			}
		}
	}
	for i := range ops {
		op := &ops[i]
		switch op.Kind {
		case Entry:
			if i > durable && !(m == Weak && (c.synced(i) || c.freed(i))) {
				c.pending = append(c.pending, i)
			}
		case Write, Cut:
			if !c.dataSynced(i) {
				if c.unsynced[op.Inode] == nil {
					c.inodes = append(c.inodes, op.Inode)
				}
				c.unsynced[op.Inode] = append(c.unsynced[op.Inode], i)
			}
		}
	}
	return c
}

// touches reports whether a sync is of a file or directory whose names the
// change is about.
func (o *Op) touches(sync *Op) bool {
	for _, n := range slices.Concat(o.Adds, o.Removes) {
		if o.Kind == Entry && (sync.All || sync.Dir != "" && path.Dir(n.Path) == sync.Dir || sync.Inode != 0 && n.Inode == sync.Inode) {
			return true
		}
	}
	return false
}

// synced reports whether all directories of a change were synced after it.
func (c *cut) synced(i int) bool {
	for _, n := range slices.Concat(c.ops[i].Adds, c.ops[i].Removes) {
		if !slices.ContainsFunc(c.ops[i:], func(o Op) bool { return o.Kind == Sync && (o.All || o.Dir == path.Dir(n.Path)) }) {
			return false
		}
	}
	return true
}

// freed reports whether a change removes a file of a message whose number
// another message has since got.
func (c *cut) freed(i int) bool {
	for _, n := range c.ops[i].Removes {
		m := queueFile.FindStringSubmatch(n.Path)
		if m != nil && slices.ContainsFunc(c.ops[i+1:], func(o Op) bool { return o.begins(m[2]) }) {
			return true
		}
	}
	return false
}

// begins reports whether a call gives a message that number.
func (o *Op) begins(number string) bool {
	return o.Kind == Entry && len(o.Adds) > 0 && path.Base(o.Adds[0].Path) == number && strings.HasPrefix(o.Adds[0].Path, "queue/mess/")
}

func (c *cut) dataSynced(i int) bool {
	return slices.ContainsFunc(c.ops[i:], func(o Op) bool { return o.Kind == Sync && (o.All || o.Inode == c.ops[i].Inode && o.Dir == "") })
}

// names lists which of the pending changes of names are on disk: in order all
// first ones, or subsets of them.
func (c *cut) names(m Model, random *rand.Rand) [][]int {
	if m == Weak {
		return subsets(c.pending, random)
	}
	var prefixes [][]int
	for n := range len(c.pending) + 1 {
		prefixes = append(prefixes, c.pending[:n])
	}
	return prefixes
}

// subsets lists all of a few; of more: none, all, all but one or two
// neighbours, each alone, all first and all last ones, every subset of the
// latest few with and without the rest, and some at random.
func subsets(all []int, random *rand.Rand) [][]int {
	if len(all) <= mostSubsets {
		return powerSet(all)
	}
	var sets [][]int
	for i := range all {
		sets = append(sets, all[:i], all[i:], all[i:i+1],
			slices.Concat(all[:i], all[i+1:]), slices.Concat(all[:i], all[min(i+2, len(all)):]))
	}
	old, latest := all[:len(all)-mostSubsets], all[len(all)-mostSubsets:]
	for _, set := range powerSet(latest) {
		sets = append(sets, set, slices.Concat(old, set))
	}
	for range randomOnes {
		var set []int
		for _, i := range all {
			if random.Intn(2) == 0 {
				set = append(set, i)
			}
		}
		sets = append(sets, set)
	}
	return sets
}

func powerSet(all []int) [][]int {
	var sets [][]int
	for bits := range 1 << len(all) {
		var set []int
		for i, n := range all {
			if bits>>i&1 == 1 {
				set = append(set, n)
			}
		}
		sets = append(sets, set)
	}
	return sets
}

// fate is what became of a file's unsynced data.
type fate int

const (
	whole fate = iota
	gone
	torn  // the last change is there by half
	zeros // the length is there, the bytes are not
	fates
)

// uniform is the number of patterns in which all files share their fate.
const uniform = int(fates)

// patterns lists fates of the files with unsynced data: all the same one, then
// one file apart from all others.
func (c *cut) patterns() []map[int]fate {
	if len(c.inodes) == 0 {
		return []map[int]fate{{}}
	}
	var all []map[int]fate
	same := func(f fate) map[int]fate {
		p := map[int]fate{}
		for _, i := range c.inodes {
			p[i] = f
		}
		return p
	}
	for f := range fates {
		all = append(all, same(f))
	}
	if len(c.inodes) == 1 {
		return all
	}
	for _, i := range c.inodes {
		for f := gone; f < fates; f++ {
			p := same(whole)
			p[i] = f
			all = append(all, p)
		}
		p := same(gone)
		p[i] = whole
		all = append(all, p)
	}
	return all
}

// state constructs one state.
func (c *cut) state(names []int, data map[int]fate) State {
	s := State{Files: map[string]string{}, Cut: len(c.ops)}
	entries := map[string]int{}
	contents := map[int][]byte{}
	pending := map[int]bool{}
	for _, i := range c.pending {
		pending[i] = true
	}
	for _, i := range names {
		delete(pending, i)
	}
	for i := range c.ops {
		op := &c.ops[i]
		switch op.Kind {
		case Entry:
			if !pending[i] {
				for _, n := range op.Removes {
					delete(entries, n.Path)
				}
				for _, n := range op.Adds {
					entries[n.Path] = n.Inode
				}
			}
		case Write, Cut:
			contents[op.Inode] = c.change(contents[op.Inode], i, data)
		case Accept:
			s.Accepted = append(s.Accepted, op.Inode)
		}
	}
	for p, inode := range entries {
		s.Files[p] = string(contents[inode])
	}
	return s
}

// change makes one change of a file's data, as far as its fate lets it.
func (c *cut) change(b []byte, i int, data map[int]fate) []byte {
	op := &c.ops[i]
	unsynced := c.unsynced[op.Inode]
	if !slices.Contains(unsynced, i) {
		return op.change(b, whole, false)
	}
	return op.change(b, data[op.Inode], i == unsynced[len(unsynced)-1])
}

// change makes a change of a file's data that was not synced; last says that no
// other one came after it.
func (o *Op) change(b []byte, f fate, last bool) []byte {
	bytes, off := o.Data, int(o.Off)
	if o.Append {
		off = len(b)
	}
	switch f {
	case gone:
		return b
	case torn:
		if last {
			bytes = bytes[:len(bytes)/2]
		}
	case zeros:
		if off+len(bytes) > len(b) { // what is overwritten stays
			bytes = []byte(strings.Repeat("\x00", len(bytes)))
		}
	}
	if o.Kind == Cut {
		return b[:min(off, len(b))]
	}
	end := off + len(bytes)
	out := append(slices.Clone(b), make([]byte, max(0, end-len(b)))...)
	copy(out[off:], bytes)
	return out
}
