package queue

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestCommits: what was written before a caller came is in a sync that began
// after that, and one sync serves many.
func TestCommits(t *testing.T) {
	const writers, rounds = 32, 50
	var written, durable, syncs atomic.Int64
	c := &Commits{sync: func() error {
		syncs.Add(1)
		now := written.Load() // what is written while the sync goes on is not in it
		time.Sleep(100 * time.Microsecond)
		durable.Store(now)
		return nil
	}}
	var all sync.WaitGroup
	for range writers {
		all.Go(func() {
			for range rounds {
				mine := written.Add(1)
				if err := c.wait(); err != nil {
					t.Error(err)
				}
				if durable.Load() < mine {
					t.Errorf("write %d returned when %d are durable", mine, durable.Load())
				}
			}
		})
	}
	all.Wait()
	if n := syncs.Load(); n > writers*rounds/2 {
		t.Errorf("%d syncs for %d writes", n, writers*rounds)
	}
}

// TestCommitFails: who shares a sync that failed is told, and so is everybody
// who had written something before: the kernel may have told of that.
func TestCommitFails(t *testing.T) {
	broken := errors.New("broken")
	syncs := 0
	c := &Commits{sync: func() error { syncs++; return broken }}
	if err := c.wait(); err != broken {
		t.Errorf("got %v", err)
	}
	if err := c.wait(); err == nil || syncs != 1 {
		t.Errorf("after a failure: %v, %d syncs", err, syncs)
	}
	c.writers.Store(crowd)
	if c.serves() {
		t.Error("served after a failure")
	}
}

// TestCommitsServe: not few writers, and not a file system that is busy with
// other things.
func TestCommitsServe(t *testing.T) {
	c := &Commits{sync: func() error { return nil }}
	for range crowd - 1 {
		c.begin()
	}
	if c.serves() {
		t.Errorf("%d writers are served", crowd-1)
	}
	if c.begin(); !c.serves() {
		t.Errorf("%d writers are not served", crowd)
	}
	c.sync = func() error { time.Sleep(patience + 2*patiencePerMessage); return nil }
	if err := c.wait(); err != nil {
		t.Error(err)
	}
	if c.serves() || c.wait() == nil {
		t.Error("served after a sync that took too long")
	}
	c.resting = time.Now()
	if !c.serves() {
		t.Error("not served after the rest")
	}
	c.sync = nil
	if c.serves() {
		t.Error("served where it cannot be")
	}
}

func TestRelease(t *testing.T) {
	for version, want := range map[string]int{
		"5.8.0-rc1": 0x508, "4.18.0-553.el8.x86_64": 0x412, "6.18.44": 0x612, "3.10": 0x30a, "": 0, "x": 0, "5": 0x500, "6.999.1": 0x6ff,
	} {
		if got := release(version); got != want {
			t.Errorf("%q: got %#x, want %#x", version, got, want)
		}
	}
}
