package crash

import (
	"slices"
	"testing"
)

// TestSpans compares what a cut may leave by a span with the states that the
// prover constructs: neither has what the other does not know.
func TestSpans(t *testing.T) {
	t.Parallel()
	for _, l := range Lives(recorded(t)) {
		ops := slices.DeleteFunc(l.Ops, func(o Op) bool { return l.Calls[o.N] == "" }) // the other host renames
		w := NewWorld(ops)
		spans := w.Spans(w.Start(), ops)
		p := NewProver(seed)
		for after, span := range spans {
			for _, s := range p.States(ops, Weak, after) {
				if !w.mayBe(&span, s) {
					t.Errorf("after %d calls a cut may leave %s", after, s.list())
				}
			}
		}
		for _, span := range spans {
			names, data := span.losable()
			for _, lost := range slices.Concat(names, data) {
				c := span.without(lost)
				if s := w.State(&c); !p.seen[s.key(p.seed)] {
					t.Errorf("after %d calls no cut leaves %s", span.cut, s.list())
				}
			}
		}
	}
}

// mayBe reports whether a state is in a span.
func (w *World) mayBe(span *Span, s State) bool {
	for p, spot := range w.paths {
		content, there := s.Files[spot.path]
		if !slices.ContainsFunc(span.names[p], func(inode int) bool {
			return !there && inode == 0 || there && inode != 0 &&
				slices.ContainsFunc(span.files[inode].may, func(c int) bool { return w.contents[c] == content })
		}) {
			return false
		}
	}
	return slices.Equal(s.Accepted, span.accepted)
}
