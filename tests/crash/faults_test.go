package crash

import (
	"flag"
	"os/exec"
	"testing"
)

var someFaults = flag.Int("faults", 3, "how many `faults` befall each program, where not everything is asked for")

// TestFaults has calls fail, and programs killed at them.
func TestFaults(t *testing.T) {
	if _, err := exec.LookPath("strace"); err != nil {
		t.Skip("strace is not installed")
	}
	for _, program := range targets {
		t.Run(program, func(t *testing.T) {
			t.Parallel()
			h := newHome(t)
			faults, err := Faults(h, program)
			if err != nil {
				t.Fatal(err)
			}
			if err := sweep(h); err != nil {
				t.Fatal(err)
			}
			calls := len(faults) / len(whats)
			var sum total
			hit := 0
			for _, f := range sample(faults, *someFaults) {
				v, reached, err := TryFault(h, f)
				if err != nil {
					t.Fatalf("%v: %v", f, err)
				}
				sum.add([]Verdict{v})
				if reached {
					hit++
				}
			}
			for _, why := range sum.Why {
				t.Error(why)
			}
			t.Logf("%d calls; faults tried: %d (%d reached), lost %d, corrupted %d, duplicates outside invariant 2: %d, left behind %d",
				calls, sum.states, hit, sum.Lost, sum.Corrupted, sum.Duplicates, sum.Left)
		})
	}
}
