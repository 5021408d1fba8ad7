package crash

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/reqmail/reqmail/tests/host"
)

// relied lists calls of which the second relies on the first: wherever a message
// has both, exchanging them must be found to do harm.
var relied = [][2]string{
	{"sync queue/intd", "name queue/todo"},
	{"sync queue/mess", "name queue/todo"},
	{"sync queue/intd", "accept"},
	{"sync queue/mess", "accept"},
	{"sync names in queue/mess", "accept"},
	{"sync names in queue/todo", "accept"},
	{"sync queue/info", "remove queue/todo"},
	{"sync queue/local", "remove queue/todo"},
	{"sync queue/remote", "remove queue/todo"},
	{"sync names in queue/info", "remove queue/todo"},
	{"sync names in queue/local", "remove queue/todo"},
	{"sync names in queue/remote", "remove queue/todo"},
	{"sync names in mail", "mark mbox"},
	{"sync mbox", "mark mbox"},
	{"sync maildir", "name maildir/new"},
	{"sync names in maildir/new", "mark maildir"},
	{"sync queue/bounce", "mark nobody"},
	{"sync names in queue/bounce", "mark nobody"},
	{"sync names in queue/todo (bounce)", "remove queue/bounce"},
}

// How much is tried.
const (
	someOrders  = 30 // where not everything is asked for
	firstCuts   = 3  // which mostly are enough
	statesOfCut = 8
	cutsOfRule  = 6 // of what a rule says is harmless: two states each
)

// form is how calls come to stand in a wrong order.
type form string

const (
	exchanged form = "exchanged with"
	behind    form = "moved behind" // the first of the two is
	overtaken form = "overtaken by" // the second is moved before the first
	missing   form = "left out"
)

// order is the calls for a message, of which one is missing or two do not stand
// where they should.
type order struct {
	form
	first, second string // what they do
	a, b          int    // where they should
	life          *life

	wrong  []Span      // what it may leave that the right one may not
	next   []candidate // to be tried
	looked int         // for what is to be tried
	tried  bool        // something was
	known  int         // of what is bad
	found  *Verdict    // what came of something that it may leave, if that was bad
}

// life is what is common to the orders of the calls for a message.
type life struct {
	*World
	n     int // of the message
	ops   []Op
	right []Span // what their order may leave
}

// candidate is one thing that an order may leave.
type candidate struct {
	*View
	key string
}

func (o *order) String() string {
	return strings.TrimSpace(fmt.Sprint(o.first, " ", o.form, " ", o.second))
}

// livesOf lists the messages of a trace, with what each call does.
func livesOf(ops []Op) (lives []*life, calls [][]string) {
	for n, l := range Lives(ops) {
		w := NewWorld(l.Ops)
		lives = append(lives, &life{w, n, l.Ops, w.Spans(w.Start(), l.Ops)})
		calls = append(calls, l.Calls)
	}
	return lives, calls
}

// withoutSync lists the orders in which a sync is missing.
func withoutSync(ops []Op) []*order {
	var all []*order
	lives, calls := livesOf(ops)
	for n, l := range lives {
		for a, call := range calls[n] {
			if l.ops[a].Kind == Sync && call != "" {
				all = append(all, &order{form: missing, first: call, a: a, life: l})
			}
		}
	}
	return all
}

// swapped lists the orders in which two calls have changed places, or one of them
// has gone to the other.
func swapped(ops []Op) []*order {
	var all []*order
	lives, calls := livesOf(ops)
	for n, l := range lives {
		for a, first := range calls[n] {
			for b := a + 1; b < len(l.ops); b++ {
				second := calls[n][b]
				if first == "" || second == "" {
					continue
				}
				all = append(all, &order{form: exchanged, first: first, second: second, a: a, b: b, life: l})
				if b > a+1 {
					all = append(all,
						&order{form: behind, first: first, second: second, a: a, b: b, life: l},
						&order{form: overtaken, first: first, second: second, a: a, b: b, life: l})
				}
			}
		}
	}
	return all
}

// calls returns the calls in that order.
func (o *order) calls() []Op {
	wrong := slices.Clone(o.life.ops)
	switch o.form {
	case missing:
		return slices.Delete(wrong, o.a, o.a+1)
	case behind:
		copy(wrong[o.a:], o.life.ops[o.a+1:o.b+1])
		wrong[o.b] = o.life.ops[o.a]
	case overtaken:
		copy(wrong[o.a+1:], o.life.ops[o.a:o.b])
		wrong[o.a] = o.life.ops[o.b]
	default:
		wrong[o.a], wrong[o.b] = wrong[o.b], wrong[o.a]
	}
	return wrong
}

// compare finds out what the order may leave that the right one may not.
func (o *order) compare() {
	for _, span := range o.life.Spans(o.life.right[o.a], o.calls()[o.a:])[1:] {
		if !slices.ContainsFunc(o.life.right, func(r Span) bool { return span.Within(&r) }) {
			o.wrong = append(o.wrong, span)
		}
	}
}

// beyond lists what the order may leave that a rule does not cover: of so many
// cuts at which there is such a thing so many each, one of each first.
func (o *order) beyond(r Rule, cuts, most int) []candidate {
	var byCut [][]candidate
	for i := range o.wrong {
		if of := o.beyondAt(&o.wrong[i], r, most); len(of) > 0 {
			byCut = append(byCut, of)
		}
		if len(byCut) == cuts {
			break
		}
	}
	var all []candidate
	for i := range most {
		for _, of := range byCut {
			if i < len(of) {
				all = append(all, of[i])
			}
		}
	}
	return all
}

func (o *order) beyondAt(span *Span, r Rule, most int) []candidate {
	var all []candidate
	seen := map[string]bool{}
	for c := range span.Choices() {
		view := o.life.By(r, &c)
		if slices.ContainsFunc(o.life.right, func(right Span) bool { return view.Covers(&right) }) {
			continue
		}
		if key := view.key(); !seen[key] {
			seen[key] = true
			all = append(all, candidate{o.life.By(Same, &c), fmt.Sprint(o.life.n, o.life.By(Same, &c).key())})
		}
		if len(all) == most {
			break
		}
	}
	return all
}

// mayLeave reports whether a candidate, of whichever order, is among what this one
// may leave.
func (o *order) mayLeave(c candidate) bool {
	return c.World == o.life.World && slices.ContainsFunc(o.wrong, func(span Span) bool { return c.Covers(&span) })
}

// trial tries orders.
type trial struct {
	t       *testing.T
	home    *host.Host
	texts   map[int]string
	outcome map[string]*Verdict // by key
	bad     []candidate
}

func newTrial(t *testing.T, ops []Op) *trial {
	return &trial{t, newHome(t), texts(scenario, ops), map[string]*Verdict{}, nil}
}

// decide tries what orders may leave until something bad is found of each, or all
// is tried that no rule covers.
func (t *trial) decide(orders []*order) {
	for _, o := range orders {
		o.compare()
	}
	for open := orders; ; {
		if open = slices.DeleteFunc(slices.Clone(open), t.decided); len(open) == 0 {
			break
		}
		t.try(mostWanted(open))
	}
	for _, o := range orders {
		t.found(o)
	}
}

// decided reports whether something bad was found of an order, or there is
// nothing left to be tried: at the first cuts, or else at all of them.
func (t *trial) decided(o *order) bool {
	if t.found(o) && (o.loses() || o.form != missing) { // a missing sync must lose mail
		return true
	}
	for {
		o.next = slices.DeleteFunc(o.next, func(c candidate) bool { _, ok := t.outcome[c.key]; return ok })
		if len(o.next) > 0 || o.looked == 2 {
			return len(o.next) == 0
		}
		o.next = o.beyond(Again, []int{firstCuts, len(o.wrong)}[o.looked], statesOfCut)
		o.looked++
		o.tried = o.tried || len(o.next) > 0
	}
}

// found reports whether an order may leave something that is known to be bad.
func (t *trial) found(o *order) bool {
	for ; !o.loses() && o.known < len(t.bad); o.known++ {
		if bad := t.bad[o.known]; o.mayLeave(bad) {
			o.found = t.outcome[bad.key]
		}
	}
	return o.found != nil
}

// loses reports whether mail is known to be lost or spoiled.
func (o *order) loses() bool { return o.found != nil && o.found.Lost+o.found.Corrupted > 0 }

// mostWanted picks a batch: of each order what comes first, then what the most of
// them may leave.
func mostWanted(orders []*order) []candidate {
	wanted := map[string]int{}
	all := map[string]candidate{}
	for _, o := range orders {
		for i, c := range o.next {
			all[c.key] = c
			wanted[c.key]++
			if i == 0 {
				wanted[c.key] += len(orders)
			}
		}
	}
	keys := slices.SortedFunc(maps.Keys(all), func(a, b string) int {
		return cmp.Or(wanted[b]-wanted[a], strings.Compare(a, b))
	})
	var batch []candidate
	for _, key := range keys[:min(len(keys), batchSize)] {
		batch = append(batch, all[key])
	}
	return batch
}

// try replays candidates.
func (t *trial) try(batch []candidate) {
	t.t.Helper()
	var states []State
	for _, c := range batch {
		states = append(states, c.State(c.Choice))
	}
	verdicts, err := Replay(t.home, scenario, states, t.texts)
	if err != nil {
		t.t.Fatal(err)
	}
	for i, v := range verdicts {
		t.outcome[batch[i].key] = &v
		if v.Bad() {
			t.bad = append(t.bad, batch[i])
		}
	}
}

// TestSyncsMatter leaves out each sync. The states that this adds must show mail
// lost or spoiled; otherwise the sync would be for nothing, or the proof.
func TestSyncsMatter(t *testing.T) {
	t.Parallel()
	ops := recorded(t)
	orders := withoutSync(ops)
	newTrial(t, ops).decide(orders)
	kinds := syncs(ops)
	for _, o := range orders {
		if o.loses() {
			t.Logf("%v: %.300s", o, o.found.Why[0])
		} else {
			t.Errorf("with the %v nothing is lost", o)
		}
		delete(kinds, label(ops, o.life.ops[o.a]))
	}
	if len(kinds) > 0 {
		t.Errorf("no message has the syncs %v", slices.Collect(maps.Keys(kinds)))
	}
}

// TestOrderMatters brings any two calls for a message into the wrong order. The
// states that this adds must show mail lost, spoiled or left behind, or else be
// covered by a rule; and what a rule covers must show nothing.
func TestOrderMatters(t *testing.T) {
	t.Parallel()
	ops := recorded(t)
	must, others := apart(swapped(ops))
	orders := append(must, sample(others, someOrders)...)
	trial := newTrial(t, ops)
	trial.decide(orders)
	for _, o := range must {
		if o.found == nil {
			t.Errorf("%v: nothing is lost", o)
		}
	}
	count := map[string]int{}
	var covered []*order
	for _, o := range orders {
		switch {
		case o.loses():
			count[fmt.Sprint(o.form, ": found to lose or spoil mail")]++
			continue
		case o.found != nil:
			count[fmt.Sprint(o.form, ": found to leave something for ever")]++
			continue
		case o.tried:
			t.Errorf("%v: nothing is lost, and no rule says why", o)
		case len(o.wrong) > 0:
			covered = append(covered, o)
		}
		count[fmt.Sprint(o.form, ": ", o.rule())]++
	}
	for _, form := range slices.Sorted(maps.Keys(count)) {
		t.Logf("%5d %s", count[form], form)
	}
	trial.refute(covered)
	t.Logf("%d states", len(trial.outcome))
}

// apart takes the orders out of which something must be found.
func apart(orders []*order) (must, others []*order) {
	for _, o := range orders {
		if o.form == exchanged && slices.Contains(relied, [2]string{o.first, o.second}) {
			must = append(must, o)
		} else {
			others = append(others, o)
		}
	}
	return must, others
}

// rule returns the first one that covers all that the order may leave.
func (o *order) rule() Rule {
	for r := range Again {
		if len(o.beyond(r, 1, 1)) == 0 {
			return r
		}
	}
	return Again
}

// refute tries states that a rule says are harmless.
func (t *trial) refute(orders []*order) {
	t.t.Helper()
	by := map[string]*order{}
	all := map[string]candidate{}
	for _, o := range orders {
		for _, c := range o.beyond(Same, cutsOfRule, 2) {
			if _, ok := t.outcome[c.key]; !ok {
				by[c.key], all[c.key] = o, c
			}
		}
	}
	keys := slices.Sorted(maps.Keys(all))
	for batch := range slices.Chunk(keys, batchSize) {
		var candidates []candidate
		for _, key := range batch {
			candidates = append(candidates, all[key])
		}
		t.try(candidates)
		for _, key := range batch {
			if v := t.outcome[key]; v.Bad() {
				t.t.Errorf("%v, for which %v: %s", by[key], by[key].rule(), strings.Join(v.Why, "; "))
			}
		}
	}
}
