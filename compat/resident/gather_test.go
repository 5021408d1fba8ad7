package resident

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/reqmail/reqmail/compat/fdio"
)

// beTogether is what beServed does with several jobs. It prints its process id and how
// many they are; "again" is a job that wants to be alone.
func beTogether(jobs []*Job) (results []Result, stays bool) {
	results, stays = make([]Result, len(jobs)), true
	for i, j := range jobs {
		_, _ = io.WriteString(j, strconv.Itoa(os.Getpid())+" together "+strconv.Itoa(len(jobs)))
		for _, arg := range j.Args[1:] {
			what, rest, _ := strings.Cut(arg, " ")
			switch what {
			case "cat":
				text, _ := io.ReadAll(j.In)
				_, _ = j.Write(text)
			case "again":
				results[i].Again = true
			case "tell":
				jobs[0].Tell(rest)
			case "exit":
				results[i].Code, _ = strconv.Atoi(rest)
			case "leave":
				stays = false
			case "kill":
				_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			}
		}
	}
	return results, stays
}

// together runs commands at the same time, again until at least two of them were given
// together, or did meets its own condition.
func together(t *testing.T, r *Runner, path string, did func([]outcome) bool, jobs ...[]string) []outcome {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; {
		outcomes := make([]outcome, len(jobs))
		var all sync.WaitGroup
		for i, args := range jobs {
			all.Go(func() { outcomes[i] = run(t, r, path, somebody(65534), args...) })
		}
		all.Wait()
		if did(outcomes) {
			return outcomes
		}
		if time.Now().After(deadline) {
			t.Fatalf("never together: %+v", outcomes)
		}
	}
}

// gathering is a Runner that gives jobs together, with a child that waits.
func gathering(t *testing.T) (r *Runner, path string) {
	t.Helper()
	r, path = runner(t, "program")
	r.Gather = &Gather{Line: func([]string) string { return "" }, Like: func(args []string) string { return strings.Join(args, "\x00") }}
	run(t, r, path, somebody(65534))
	noLines(t, r.Gather)
	return r, path
}

// noLines waits until a Gather has forgotten the lines that nobody needs.
func noLines(t *testing.T, g *Gather) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		g.mu.Lock()
		left := len(g.lines)
		g.mu.Unlock()
		if left == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d lines are left", left)
		}
	}
}

func several(o outcome) bool { return o.dir == "together" }

func TestGather(t *testing.T) {
	r, path := gathering(t)
	all := func(outcomes []outcome) bool {
		return !slices.ContainsFunc(outcomes, func(o outcome) bool { return !several(o) })
	}
	outcomes := together(t, r, path, all, []string{"cat", "exit 0"}, []string{"cat", "exit 3"}, []string{"exit 111", "tell news"})
	for i, want := range []int{0, 3, 111} {
		if o := outcomes[i]; o.status.ExitStatus() != want || strings.Contains(o.output, " input") != (i < 2) {
			t.Errorf("job %d: %+v, want exit code %d", i, o, want)
		}
	}
	if news := slices.Concat(outcomes[0].news, outcomes[1].news, outcomes[2].news); !slices.Contains(news, "news") {
		t.Errorf("news %q", news)
	}
}

// A job that cannot be done with others is done alone, and so are those like it for a
// while; the others' results count.
func TestGatherAgain(t *testing.T) {
	r, path := gathering(t)
	was := func(outcomes []outcome) bool {
		return several(outcomes[0]) && r.Gather.isAlone([]string{"program", "again"})
	}
	outcomes := together(t, r, path, was, []string{"exit 2"}, []string{"again"})
	if o := outcomes[1]; several(o) || o.status != 0 {
		t.Errorf("alone: %+v", o)
	}
	if o := outcomes[0]; o.status.ExitStatus() != 2 {
		t.Errorf("the other one: %+v", o)
	}
	if r.Gather.isAlone([]string{"program", "exit 2"}) {
		t.Error("what is not like it is alone, too")
	}
	r.Gather.alone["program\x00again"] = time.Now().Add(-time.Second)
	if r.Gather.isAlone([]string{"program", "again"}) || len(r.Gather.alone) > 0 {
		t.Error("it is alone for ever")
	}
	for i := range 2 * mostAlone {
		r.Gather.remember([]string{fmt.Sprint(i)})
	}
	if len(r.Gather.alone) > mostAlone {
		t.Errorf("%d are remembered", len(r.Gather.alone))
	}
}

// A child that is killed has its jobs end as it does; one that leaves has done them.
func TestGatherLosesChild(t *testing.T) {
	r, path := gathering(t)
	killed := func(outcomes []outcome) bool { return outcomes[0].status.Signaled() && outcomes[1].status.Signaled() }
	together(t, r, path, killed, []string{"kill"}, []string{"exit 1"})
	if !r.Gather.isAlone([]string{"program", "kill"}) || !r.Gather.isAlone([]string{"program", "exit 1"}) {
		t.Error("what a child died of is given together with others again")
	}
	noLines(t, r.Gather)
	run(t, r, path, somebody(65534))
	both := func(outcomes []outcome) bool { return several(outcomes[0]) && several(outcomes[1]) }
	for i, o := range together(t, r, path, both, []string{"leave", "exit 5"}, []string{"exit 5"}) {
		if o.status.ExitStatus() != 5 {
			t.Errorf("job %d of one that leaves: %+v", i, o)
		}
	}
}

// What a child says of several jobs is a user's word: what is not as agreed ends the
// conversation.
func TestResults(t *testing.T) {
	two := appendResult(appendResult(beginResults(true), Result{Code: 111, text: "no\n"}), Result{Again: true})
	long := appendResult(beginResults(true), Result{text: strings.Repeat("x", 4*maxTextTogether)})
	for _, test := range []struct {
		name string
		data []byte
		jobs int
		ok   bool
	}{
		{"as agreed", two, 2, true},
		{"cut", long, 1, true},
		{"too few", two, 3, false},
		{"too many", two, 1, false},
		{"nothing", nil, 1, false},
		{"another word", append([]byte{resultWord, 1}, two[2:]...), 2, false},
		{"half", two[:len(two)-1], 2, false},
		{"empty part", append(beginResults(true), 0), 1, false},
		{"endless", []byte{resultsWord, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, 1, false},
	} {
		results, _, ok := parseResults(test.data, test.jobs)
		if ok != test.ok || ok && len(results) != test.jobs {
			t.Errorf("%s: %+v, %v", test.name, results, ok)
		}
	}
	if _, stays, _ := parseResults(appendResult(beginResults(false), Result{}), 1); stays {
		t.Error("one that leaves stays")
	}
	results, _, _ := parseResults(two, 2)
	if results[0] != (Result{Code: 111, text: "no\n"}) || results[1] != (Result{Again: true}) {
		t.Errorf("got %+v", results)
	}
}

func FuzzJobs(f *testing.F) {
	one := appendPart([]byte{manyWord}, []byte("Jprogram\x00arg\x00"))
	f.Add(one, 1)
	f.Add(appendPart(one, []byte("Jx\x00")), 2)
	f.Fuzz(func(t *testing.T, data []byte, files int) {
		if len(data) == 0 || files < 0 || files > MaxFiles {
			return
		}
		if jobs, ok := parseJobs(data, make([]fdio.FD, files)); ok && len(jobs) != files {
			t.Errorf("%d jobs of %d files", len(jobs), files)
		}
		_, _, _ = parseResults(data, files)
	})
}
