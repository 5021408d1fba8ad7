package callout

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func testCache(t *testing.T) cache { return cache(t.TempDir() + fileName) }

func positive(key string, end int64) entry { return entry{accepted, key, [numTimes]int64{until: end}} }

func TestCache(t *testing.T) {
	c := testCache(t)
	if e, ok := c.get("a@x", 1); ok {
		t.Fatalf("a missing file holds %v", e)
	}
	long := strings.Repeat("a", maxKey-2) + "@x"
	host := entry{destination, "x", [numTimes]int64{100, 1, 2, 3, 4, 5}}
	for _, e := range []entry{positive("a@x", 100), {refused, "b@x", [numTimes]int64{until: 100}}, host, positive(long, 100)} {
		c.put(e, 1)
		if got, ok := c.get(e.key, 99); !ok || got != e {
			t.Errorf("got %v, %v, want %v", got, ok, e)
		}
		if got, ok := c.get(e.key, 100); ok {
			t.Errorf("expired, but still there: %v", got)
		}
	}
	c.put(entry{refused, "a@x", [numTimes]int64{until: 50}}, 2)
	if got, _ := c.get("a@x", 3); got.kind != refused {
		t.Errorf("an entry is not replaced: %v", got)
	}
	c.put(positive(long+"y", 100), 1)
	if got, ok := c.get(long+"y", 2); ok {
		t.Errorf("a key that is too long is kept: %v", got)
	}
}

func TestCacheFile(t *testing.T) {
	c := testCache(t)
	c.put(positive("a@x", 100), 1)
	info, err := os.Stat(string(c))
	if err != nil || info.Mode() != 0o600 {
		t.Fatalf("%v, %v, want a file for its owner alone", info, err)
	}
	// Spoilt bytes cost the entry, no more.
	if err := os.WriteFile(string(c), bytes.Repeat([]byte("x"), 3*bucketSize+17), 0o600); err != nil {
		t.Fatal(err)
	}
	for i := range 200 {
		c.put(positive(fmt.Sprint(i, "@x"), 100), 1)
	}
	for i := range 200 {
		if _, ok := c.get(fmt.Sprint(i, "@x"), 2); !ok {
			t.Errorf("%d@x is lost in a file that was spoilt", i)
		}
	}
	if info, err = os.Stat(string(c)); err != nil || info.Size() > buckets*bucketSize {
		t.Errorf("the file has %d bytes, %v", info.Size(), err)
	}
}

// TestCacheUnusable: then there is nothing in it, and nobody is led elsewhere.
func TestCacheUnusable(t *testing.T) {
	dir := t.TempDir()
	other := filepath.Join(dir, "other")
	if err := os.WriteFile(other, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, make := range map[string]func(path string) error{
		"symbolic link": func(path string) error { return os.Symlink(other, path) },
		"hard link":     func(path string) error { return os.Link(other, path) },
		"folder":        func(path string) error { return os.Mkdir(path, 0o700) },
		"no folder":     func(string) error { return nil },
	} {
		sub := filepath.Join(dir, name)
		if name != "no folder" {
			if err := os.Mkdir(sub, 0o700); err != nil {
				t.Fatal(err)
			}
		}
		if err := make(sub + fileName); err != nil {
			t.Fatal(err)
		}
		c := cache(sub + fileName)
		c.put(positive("a@x", 100), 1)
		if e, ok := c.get("a@x", 2); ok {
			t.Errorf("%s: holds %v", name, e)
		}
	}
	if info, err := os.Stat(other); err != nil || info.Size() > 0 {
		t.Errorf("the file that a link leads to is written: %v", err)
	}
}

func TestPlace(t *testing.T) {
	full := func(k kind) (in [bucketSlots]entry) {
		for i := range in {
			in[i] = entry{k, fmt.Sprint(i), [numTimes]int64{until: int64(100 + i)}}
		}
		return in
	}
	with := func(in [bucketSlots]entry, i int, e entry) [bucketSlots]entry {
		in[i] = e
		return in
	}
	for _, test := range []struct {
		name string
		in   [bucketSlots]entry
		e    entry
		want int // -1 for none
	}{
		{"empty", [bucketSlots]entry{}, positive("a", 200), 0},
		{"its own", full(accepted), positive("7", 200), 7},
		{"its own, now refused", full(accepted), entry{kind: refused, key: "7"}, 7},
		{"the oldest of its kind", with(full(accepted), 3, positive("x", 60)), positive("a", 200), 3},
		{"an expired one", with(full(accepted), 3, positive("x", 50)), entry{kind: refused, key: "a"}, 3},
		{"a refusal before it", with(full(accepted), 3, entry{refused, "x", [numTimes]int64{until: 900}}), positive("a", 200), 3},
		{"refusals crowd nobody out", full(accepted), entry{kind: refused, key: "a"}, -1},
		{"nor hosts", full(destination), entry{kind: refused, key: "a"}, -1},
		{"hosts no recipients", full(accepted), entry{kind: destination, key: "a"}, -1},
	} {
		i, ok := place(test.in, test.e, 50)
		if !ok {
			i = -1
		}
		if i != test.want {
			t.Errorf("%s: slot %d, want %d", test.name, i, test.want)
		}
	}
}

func FuzzParseSlot(f *testing.F) {
	f.Add(make([]byte, slotSize))
	f.Add(positive("a@x", 100).slot())
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) < slotSize {
			return
		}
		b = b[:slotSize]
		e, ok := parseSlot(b)
		if again, same := parseSlot(e.slot()); ok && (!same || again != e) {
			t.Errorf("%v is read back as %v", e, again)
		}
	})
}

// writerVariable makes the test binary a process that fills the cache there
// until it is killed. It prints a byte for each entry.
const writerVariable = "CALLOUT_TEST_CACHE"

func TestMain(m *testing.M) {
	path, ok := os.LookupEnv(writerVariable)
	if !ok {
		os.Exit(m.Run())
	}
	for i := os.Getpid(); ; i++ {
		cache(path).put(positive(fmt.Sprint(i%3000, "@x"), 1<<40), 1)
		_, _ = os.Stdout.Write([]byte("."))
	}
}

// TestCacheSurvivesKills: twenty processes write at once and are killed in the
// midst of it; no slot is torn, and the lock is free.
func TestCacheSurvivesKills(t *testing.T) {
	c := testCache(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	progress, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer progress.Close()
	defer out.Close()
	for range 3 {
		var writers []*exec.Cmd
		for range 20 {
			cmd := exec.Command(self)
			cmd.Env, cmd.Stdout = append(os.Environ(), writerVariable+"="+string(c)), out
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			writers = append(writers, cmd)
		}
		_ = progress.SetReadDeadline(time.Now().Add(time.Minute))
		if _, err := io.ReadFull(progress, make([]byte, 500)); err != nil {
			t.Fatal(err)
		}
		for _, cmd := range writers {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	}
	data, err := os.ReadFile(string(c))
	if err != nil {
		t.Fatal(err)
	}
	whole, empty := 0, make([]byte, slotSize)
	for slot := range slices.Chunk(data, slotSize) {
		if _, ok := parseSlot(slot); ok {
			whole++
		} else if !bytes.Equal(slot, empty) {
			t.Errorf("a slot is torn: %q", slot)
		}
	}
	if whole < 100 {
		t.Errorf("%d entries", whole)
	}
	c.put(positive("last@x", 1<<40), 1)
	if _, ok := c.get("last@x", 2); !ok {
		t.Error("after kills nothing can be written")
	}
}
