package crash

import (
	"bytes"
	"compress/gzip"
	_ "embed"
	"flag"
	"fmt"
	"io"
	"maps"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/reqmail/reqmail/tests/host"
)

func TestMain(m *testing.M) {
	if os.Geteuid() != 0 {
		os.Exit(m.Run())
	}
	if err := host.AsNobody("bin"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// seed makes what is sampled the same in every run.
const seed = 1

// batchSize is how many states are replayed in one system.
const batchSize = 100

// How much is tried where not everything is asked for.
const (
	someStates   = 60 // by default
	statesPerCut = 4
	someMissed   = 12 // states without the syncs of the file system
)

// everything reports whether the whole proof is asked for, which takes a
// while; otherwise a sample is tried, of as many states as asked for.
func everything() bool { return os.Getenv("REQMAIL_PROVER") == "all" }

func asked() int {
	if n, err := strconv.Atoi(os.Getenv("REQMAIL_PROVER")); err == nil {
		return n
	}
	return someStates
}

// someCuts are moments to cut the power at.
func someCuts(p *Prover, ops []Op) []int {
	cuts := p.Random.Perm(len(ops) + 1)
	if everything() {
		return cuts
	}
	return cuts[:min(len(cuts), asked()/statesPerCut)]
}

// newHome makes a home for replaying; in memory, where there is a file system
// for that, for a replay needs no disk.
func newHome(t *testing.T) *host.Host {
	t.Helper()
	if h, err := newHomeIn(t, "/dev/shm"); err == nil {
		return h
	}
	h, err := newHomeIn(t, "")
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// newHomeIn makes one in a folder, or, with "", where temporary files are.
func newHomeIn(t *testing.T, folder string) (*host.Host, error) {
	t.Helper()
	bin, err := filepath.Abs("../../build/bin")
	if err != nil {
		return nil, err
	}
	home, err := os.MkdirTemp(folder, "reqmail-crash.")
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { os.RemoveAll(home) })
	return layOut(home, bin)
}

// The recording that is kept makes the proof of the proof the same in every
// run: go test ./tests/crash -run TestRecording -record FILE makes one.
//
//go:embed testdata/life.trace.gz
var kept []byte

// keptHome is where that was recorded.
const keptHome = "/tmp/reqmail-crash"

var keep = flag.String("record", "", "keep what is recorded in this file")

// recording is the one of this run of the tests.
var recording = sync.OnceValues(func() ([]Op, error) {
	bin, err := filepath.Abs("../../build/bin")
	if err != nil {
		return nil, err
	}
	home := keptHome
	if *keep != "" {
		err = os.Mkdir(home, 0o755)
	} else {
		home, err = os.MkdirTemp("", "reqmail-crash.")
	}
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(home)
	h, err := layOut(home, bin)
	if err != nil {
		return nil, err
	}
	trace, err := Record(h)
	if err != nil {
		return nil, err
	}
	if *keep != "" {
		if err := zip(*keep, trace); err != nil {
			return nil, err
		}
	}
	return Parse(home, watched, trace)
})

func zip(file, text string) error {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := io.WriteString(w, text); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	return os.WriteFile(file, b.Bytes(), 0o644)
}

func unzip(b []byte) (string, error) {
	r, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		return "", err
	}
	text, err := io.ReadAll(r)
	return string(text), err
}

// record returns what the programs do now.
func record(t *testing.T) []Op {
	t.Helper()
	if _, err := exec.LookPath("strace"); err != nil {
		t.Skip("strace is not installed")
	}
	ops, err := recording()
	if err != nil {
		t.Fatal(err)
	}
	return sharing(ops)
}

// recorded returns the recording that is kept, or, where everything is asked
// for, a new one.
func recorded(t *testing.T) []Op {
	t.Helper()
	if everything() {
		return record(t)
	}
	text, err := unzip(kept)
	if err != nil {
		t.Fatal(err)
	}
	ops, err := Parse(keptHome, watched, text)
	if err != nil {
		t.Fatal(err)
	}
	return sharing(ops)
}

// TestRecording compares the recording that is kept with what the programs do:
// they sync the same things.
func TestRecording(t *testing.T) {
	t.Parallel()
	now := record(t)
	if then := recorded(t); !maps.Equal(syncs(now), syncs(then)) {
		t.Errorf("the programs sync %v, those of the recording %v", syncs(now), syncs(then))
	}
}

// syncs lists the kinds of syncs of ours.
func syncs(ops []Op) map[string]bool {
	kinds := map[string]bool{}
	for _, o := range ops {
		if o.Kind == Sync && o.Program != "sync" { // the other host's
			kinds[label(ops, o)] = true
		}
	}
	return kinds
}

// texts tells which message an accepted text is.
func texts(messages []message, ops []Op) map[int]string {
	written := map[int]string{}
	for _, op := range ops {
		if op.Kind == Write {
			written[op.Inode] += string(op.Data)
		}
	}
	all := map[int]string{}
	for _, op := range ops {
		if op.Kind != Accept {
			continue
		}
		text := written[op.Inode]
		for _, m := range messages {
			if strings.Contains(text, m.body(token)) && !strings.Contains(text, failure) {
				all[op.Inode] = m.name
			}
		}
	}
	return all
}

// total adds up verdicts.
type total struct {
	Verdict
	states int
}

func (s *total) add(verdicts []Verdict) {
	for _, v := range verdicts {
		s.states++
		s.Lost += v.Lost
		s.Corrupted += v.Corrupted
		s.Duplicates += v.Duplicates
		s.Left += v.Left
		if len(s.Why) < 10 {
			s.Why = append(s.Why, v.Why...)
		}
	}
}

// replayAll replays states in batches.
func replayAll(t *testing.T, h *host.Host, messages []message, states []State, texts map[int]string) total {
	t.Helper()
	var sum total
	for len(states) > 0 {
		began := time.Now()
		n := min(batchSize, len(states))
		verdicts, err := Replay(h, messages, states[:n], texts)
		if err != nil {
			t.Fatal(err)
		}
		sum.add(verdicts)
		t.Logf("%d states in %v", n, time.Since(began))
		states = states[n:]
	}
	return sum
}

// sample takes n of all, or all where everything is asked for.
func sample[T any](all []T, n int) []T {
	if everything() {
		return all
	}
	return pick(all, n)
}

// pick takes n of all.
func pick[T any](all []T, n int) []T {
	if n >= len(all) {
		return all
	}
	random := rand.New(rand.NewSource(seed))
	random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all[:n]
}

// TestPowerCut replays what a power cut at any moment may leave.
func TestPowerCut(t *testing.T) {
	t.Parallel()
	ops := record(t)
	p := NewProver(seed)
	var journaling, weak []State
	for _, after := range someCuts(p, ops) {
		journaling = append(journaling, p.States(ops, Journaling, after)...)
		weak = append(weak, p.States(ops, Weak, after)...)
	}
	t.Logf("%d calls, %d states of a journaling file system, %d more of a weakly ordered one", len(ops), len(journaling), len(weak))
	states := append(sample(journaling, asked()/3), sample(weak, asked()*2/3)...)
	conclude(t, replayAll(t, newHome(t), scenario, states, texts(scenario, ops)))
}

// Of many messages there are more states than can be tried, at any moment.
const (
	cutsOfMany   = 20
	statesOfCuts = 3000 // where everything is asked for
)

// statesOfMany are some of those that a power cut may leave of many messages.
func statesOfMany(t *testing.T, ops []Op) []State {
	t.Helper()
	p, n := NewProver(seed), asked()/3
	if everything() {
		n = statesOfCuts
	}
	cuts := p.Random.Perm(len(ops) + 1)
	var states []State
	for _, after := range cuts[:min(len(cuts), cutsOfMany, 1+n/statesPerCut)] {
		states = append(append(states, p.States(ops, Journaling, after)...), p.States(ops, Weak, after)...)
	}
	t.Logf("%d calls, %d states at some of them", len(ops), len(states))
	return pick(states, n)
}

// conclude tells what a proof has come to.
func conclude(t *testing.T, sum total) {
	t.Helper()
	for _, why := range sum.Why {
		t.Error(why)
	}
	t.Logf("states tried: %d, lost %d, corrupted %d, duplicates outside invariant 2: %d, left behind %d",
		sum.states, sum.Lost, sum.Corrupted, sum.Duplicates, sum.Left)
}

// TestPowerCutCrowd does so for many messages at a time, which become durable
// by syncs of the whole file system where it can do that; and without those it
// must find mail lost.
func TestPowerCutCrowd(t *testing.T) {
	t.Parallel()
	all := func(o Op) bool { return o.Kind == Sync && o.All }
	ops := recordMany(t, RecordCrowd)
	for range 2 { // a machine that is busy may take the messages one by one
		if !slices.ContainsFunc(ops, all) {
			ops = recordMany(t, RecordCrowd)
		}
	}
	if !slices.ContainsFunc(ops, all) {
		t.Skip("this file system is not synced as a whole")
	}
	names := texts(crowd, ops)
	h := newHome(t)
	conclude(t, replayAll(t, h, crowd, statesOfMany(t, ops), names))

	p := NewProver(seed)
	p.Missed(ops, ops) // what may be there with them
	missed := p.Missed(ops, slices.DeleteFunc(slices.Clone(ops), all))
	if lost := replayAll(t, h, crowd, pick(missed, someMissed), names); lost.Lost+lost.Corrupted == 0 {
		t.Error("without the syncs of the file system nothing is lost")
	}
}

// TestPowerCutShared replays what a power cut may leave of messages that clients
// queue at the same time through a qmail-queue that they share; and without its
// syncs it must find mail lost.
func TestPowerCutShared(t *testing.T) {
	t.Parallel()
	ops := recordShared(t)
	names := texts(crowd, ops)
	if len(names) != len(crowd) {
		t.Fatalf("%d of %d messages are accepted", len(names), len(crowd))
	}
	h := newHome(t)
	conclude(t, replayAll(t, h, crowd, statesOfMany(t, ops), names))

	todo := func(o Op) bool { return o.Kind == Sync && (o.All || o.Dir == "queue/todo") }
	p := NewProver(seed)
	p.Missed(ops, ops) // what may be there with them
	missed := p.Missed(ops, slices.DeleteFunc(slices.Clone(ops), todo))
	if lost := replayAll(t, h, crowd, pick(missed, someMissed), names); lost.Lost+lost.Corrupted == 0 {
		t.Error("without the syncs of todo nothing is lost")
	}
}

// recordShared returns what is done for many clients now.
func recordShared(t *testing.T) []Op {
	t.Helper()
	ops := recordMany(t, RecordShared)
	linked := map[string]int{} // by process: messages
	for _, o := range ops {
		if o.Kind == Entry && len(o.Adds) > 0 && strings.HasPrefix(o.Adds[0].Path, "queue/pid/") {
			process, _, _ := strings.Cut(o.Adds[0].Path, ".")
			linked[process]++
		}
	}
	if most := slices.Max(slices.Collect(maps.Values(linked))); most < len(crowd)/2 {
		t.Fatalf("no process has queued more than %d messages", most)
	}
	return ops
}

// recordMany returns what the programs do with many messages now.
func recordMany(t *testing.T, record func(*host.Host) (string, error)) []Op {
	t.Helper()
	if _, err := exec.LookPath("strace"); err != nil {
		t.Skip("strace is not installed")
	}
	h, err := newHomeIn(t, "") // on a disk
	if err != nil {
		t.Fatal(err)
	}
	trace, err := record(h)
	if err != nil {
		t.Fatal(err)
	}
	ops, err := Parse(h.Home, watched, trace)
	if err != nil {
		t.Fatal(err)
	}
	return ops
}

// label names what a sync makes durable: "qmail-send file queue/info".
func label(ops []Op, o Op) string {
	if o.Dir != "" {
		return o.Program + " names in " + kindOf(o.Dir)
	}
	for _, other := range ops {
		for _, n := range other.Adds {
			if kind := kindOf(n.Path); n.Inode == o.Inode && kind != "queue/pid" {
				return o.Program + " file " + kind
			}
		}
	}
	return ""
}

// kindOf shortens a path to what its file is for.
func kindOf(file string) string {
	parts := strings.Split(file, "/")
	switch {
	case parts[0] == "queue":
		return strings.Join(parts[:2], "/")
	case parts[0] == "mail" && strings.Contains(file, "/"+inMbox):
		return "mbox"
	case parts[0] == "mail" && len(parts) > 2:
		return "Maildir"
	}
	return parts[0]
}
