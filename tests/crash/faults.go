package crash

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/reqmail/reqmail/tests/host"
)

// Fault is what befalls a program at one of its calls.
type Fault struct {
	Program string
	Call    string
	Nth     int // of the calls of that name in its thread
	What    string
}

func (f Fault) String() string {
	return fmt.Sprintf("%s: %s at %s %d", f.Program, f.What, f.Call, f.Nth)
}

// whats are the faults, in the words of strace. Not every error can come from
// every call; a program must bear all of them.
var whats = []string{kill, "error=EIO", "error=ENOSPC", "error=EMFILE", "error=EINTR", "error=ENOMEM"}

const kill = "signal=KILL"

// targets are the programs that faults befall; a delivery into an mbox and one
// into a Maildir are both qmail-local's.
var targets = []string{"qmail-queue", "qmail-send", "qmail-clean", "qmail-local"}

// faultCalls is where faults can happen: all calls about files.
const faultCalls = Calls + ",read,pread64,fstat,newfstatat,getdents64,utimensat,flock,fchmod"

// Faults lists what can befall a program in an undisturbed run of the
// scenario: each fault at each call that is about the queue or a mailbox.
func Faults(h *host.Host, program string) ([]Fault, error) {
	trace, _, err := disturb(h, Fault{Program: program})
	if err != nil {
		return nil, err
	}
	if left := queued(h); len(left) > 0 {
		return nil, fmt.Errorf("the undisturbed run of %s leaves %v", program, left)
	}
	type point struct {
		call string
		nth  int
	}
	// Of a qmail-local that refuses a message this is its report, to a pipe;
	// should that fail, the bounce would not say why.
	reporting := point{"write", 1}
	count, points := map[string]int{}, map[point]bool{}
	for line := range strings.Lines(trace) {
		m := callLine.FindStringSubmatch(strings.TrimSuffix(line, "\n"))
		if m == nil {
			continue
		}
		count[m[1]+m[3]]++
		if concerns(h.Home, m[4]) {
			points[point{m[3], count[m[1]+m[3]]}] = true
		}
	}
	var faults []Fault
	for p := range maps.Keys(points) {
		for _, what := range whats {
			if what != kill && (program == "qmail-local" && p == reporting || p.call == "exit_group") {
				continue // exit_group(2) always succeeds
			}
			faults = append(faults, Fault{program, p.call, p.nth, what})
		}
	}
	slices.SortFunc(faults, func(a, b Fault) int { return strings.Compare(a.String(), b.String()) })
	return faults, nil
}

// concerns reports whether a call's arguments name the queue or a mailbox.
func concerns(home, arguments string) bool {
	dir := home
	for _, m := range argument.FindAllStringSubmatch(arguments, -1) {
		arg := unhex(m[1] + m[2])
		if m[1] != "" {
			dir = arg
		} else if !strings.HasPrefix(arg, "/") {
			arg = path.Join(dir, arg)
		}
		if strings.HasPrefix(arg, home+"/queue/") || strings.HasPrefix(arg, home+"/mail/") {
			return true
		}
	}
	return false
}

// TryFault runs the scenario with a fault, then everything again undisturbed,
// and judges. reached is false if there was no such call this time.
func TryFault(h *host.Host, f Fault) (v Verdict, reached bool, err error) {
	trace, accepted, err := disturb(h, f)
	if err != nil {
		return v, false, err
	}
	if impossible(trace) {
		return v, false, sweep(h)
	}
	if status := badExit(trace); status != "" {
		v.say(&v.Corrupted, "%v: it left with %s", f, status)
	}
	before, err := snapshot(h)
	if err != nil {
		return v, false, err
	}
	if err := settle(h); err != nil {
		return v, false, err
	}
	judge(h, scenario, before, token, accepted, &v)
	for _, file := range queued(h) {
		v.say(&v.Left, "left behind: %s", file)
	}
	for i := range v.Why {
		v.Why[i] = f.String() + ": " + v.Why[i]
	}
	reached = strings.Contains(trace, "INJECTED") ||
		f.What == kill && strings.Contains(trace, "killed by SIGKILL")
	return v, reached, sweep(h)
}

// badExit returns a status that no qmail program has: 2 is the Go runtime's.
func badExit(trace string) string {
	for _, status := range []string{"exited with 2 ", "killed by SIGSEGV", "killed by SIGABRT"} {
		if strings.Contains(trace, status) {
			return status
		}
	}
	return ""
}

// impossible reports whether the fault befell a call that cannot fail so: that
// by which the Go runtime wakes itself, on an eventfd(2).
func impossible(trace string) bool {
	var eventfd strings.Builder
	for _, c := range []byte("anon_inode:[eventfd]") {
		fmt.Fprintf(&eventfd, `\x%02x`, c)
	}
	for line := range strings.Lines(trace) {
		if strings.Contains(line, "INJECTED") && strings.Contains(line, eventfd.String()) {
			return true
		}
	}
	return false
}

// disturb runs the scenario with a fault, or with none, until nothing happens
// any more. It returns the trace of the program and what was accepted.
func disturb(h *host.Host, f Fault) (trace string, accepted map[string]bool, err error) {
	if err := addBoxes(h, token); err != nil {
		return "", nil, err
	}
	file := h.Path("trace")
	argv := []string{"strace", "-DD", "-f", "-y", "-Y", "-xx", "-s", "4096", "-o", file, "-e", "trace=" + faultCalls}
	if f.What != "" {
		argv = append(argv, "-e", fmt.Sprintf("inject=%s:%s:when=%d", f.Call, f.What, f.Nth))
	}
	accepted = map[string]bool{}
	for i, m := range scenario {
		var prefix []string
		if f.Program == "qmail-queue" && i == 1 {
			prefix = argv
		}
		err := inject(h, m, prefix)
		accepted[m.name] = err == nil
		if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
			return "", nil, err
		}
	}
	if f.Program != "qmail-queue" {
		restore, err := wrap(h, f.Program, argv)
		if err != nil {
			return "", nil, err
		}
		defer restore()
	}
	if err := serve(h, f.What == ""); err != nil {
		return "", nil, err
	}
	return traced(file), accepted, nil
}

// traced reads a trace once nobody writes to it any more, or what there is of
// one that does not end. A program that has not run has none.
func traced(file string) string {
	var text string
	_ = host.Until("the end of a trace", func() bool {
		before := text
		b, err := os.ReadFile(file)
		text = string(b)
		return os.IsNotExist(err) || text == before && strings.HasSuffix(text, "+++\n")
	})
	return text
}

// wrap puts a script in a program's place that has it traced.
func wrap(h *host.Host, program string, argv []string) (restore func(), err error) {
	real, hidden := h.Path("bin", program), h.Path("bin", "traced")
	if err := os.MkdirAll(hidden, 0o755); err != nil {
		return nil, err
	}
	if err := os.Rename(real, filepath.Join(hidden, program)); err != nil {
		return nil, err
	}
	// One trace for all of its runs.
	line := strings.Join(argv, " ")
	line = strings.Replace(line, "-o "+h.Path("trace"), "-A -o "+h.Path("trace"), 1)
	script := "#!/bin/sh\nexec " + line + " " + filepath.Join(hidden, program) + " \"$@\"\n"
	if err := os.WriteFile(real, []byte(script), 0o755); err != nil {
		return nil, err
	}
	return func() { _ = os.Rename(filepath.Join(hidden, program), real) }, nil
}

// A disturbed system is stopped when nothing has happened for a while, and in
// any case after some deliveries that fail again and again.
const (
	starting = 3 * time.Second
	quiet    = time.Second
	enough   = 4 * time.Second
)

// serve keeps the system up as long as something happens in the queue, and
// lets deferred mail through once the rest is done. Of an undisturbed one an
// empty queue is expected.
func serve(h *host.Host, undisturbed bool) error {
	if err := h.Start(h.Path("log")); err != nil {
		return err
	}
	defer h.Kill()
	var before string
	began := time.Now()
	changed, nudge := began, began
	patience, limit := starting, enough
	if undisturbed {
		patience, limit = host.Patience, host.Patience
	}
	for ; time.Since(changed) < patience && time.Since(began) < limit; time.Sleep(10 * time.Millisecond) {
		files := queued(h)
		log, _ := os.ReadFile(h.Path("log"))
		if len(log) > 0 && !undisturbed {
			patience = quiet
		}
		if now := fmt.Sprint(files, len(log)); now != before {
			before, changed = now, time.Now()
		}
		if len(files) == 0 {
			break
		}
		if _, err := os.Stat(h.Path(again)); err != nil && strings.Contains(string(log), "deferral") {
			if err := os.WriteFile(h.Path(again), nil, 0o600); err != nil {
				return err
			}
		}
		if time.Now().After(nudge) && strings.Contains(string(log), "status: ") { // else ALRM would end it
			_ = h.Signal(syscall.SIGALRM) // it may be gone
			nudge = time.Now().Add(200 * time.Millisecond)
		}
	}
	_ = h.Signal(syscall.SIGTERM)
	_ = h.Wait() // its end is in the trace
	return os.WriteFile(h.Path(again), nil, 0o600)
}

// snapshot reads the queue and the mailboxes.
func snapshot(h *host.Host) (State, error) {
	s := State{Files: map[string]string{}}
	for _, root := range []string{"queue", "mail", "far"} {
		if err := filepath.WalkDir(h.Path(root), func(file string, d os.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			text, err := os.ReadFile(file)
			s.Files[strings.TrimPrefix(file, h.Home+"/")] = string(text)
			return err
		}); err != nil {
			return s, err
		}
	}
	return s, nil
}
