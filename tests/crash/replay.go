package crash

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/reqmail/reqmail/queue"
	"github.com/reqmail/reqmail/tests/host"
)

// Verdict counts what went wrong.
type Verdict struct {
	Lost, Corrupted, Duplicates, Left int
	Why                               []string
}

// Bad reports whether anything went wrong.
func (v *Verdict) Bad() bool { return v.Lost+v.Corrupted+v.Duplicates+v.Left > 0 }

func (v *Verdict) say(count *int, format string, args ...any) {
	*count++
	v.Why = append(v.Why, fmt.Sprintf(format, args...))
}

// firstNumber is the lowest name given to a message of a state. Real inode
// numbers, those of bounces, are smaller.
const firstNumber = 1_000_000_000_000

// perState is more than the messages of a state.
const perState = 100

// queueFile matches a queue file that is named by a message's number.
var queueFile = regexp.MustCompile(`^queue/(mess|info|local|remote|intd|todo|bounce)/(?:\d+/)?(\d+)$`)

// translate gives a state's files the names and tokens of its place n in a
// batch. A token that is torn stays, as do the bytes before: no program gets as
// far as that. The numbers of messages change with them: they are inode numbers, and
// a file that is written anew gets another, which qmail-queue might hand out
// again.
func translate(s State, n int) State {
	t := State{Files: map[string]string{}, Accepted: s.Accepted, Cut: s.Cut}
	numbers := map[string]queue.ID{}
	var old []string
	for p := range s.Files {
		if m := queueFile.FindStringSubmatch(p); m != nil && !slices.Contains(old, m[2]) {
			old = append(old, m[2])
		}
	}
	slices.Sort(old)
	for i, number := range old {
		numbers[number] = queue.ID(firstNumber + n*perState + i)
	}
	name := func(p string) string {
		if m := queueFile.FindStringSubmatch(p); m != nil {
			return fileOf(m[1], numbers[m[2]])
		}
		if rest, ok := strings.CutPrefix(p, "queue/pid/"); ok {
			return "queue/pid/" + strconv.Itoa(firstNumber+n*perState) + "." + rest
		}
		return strings.ReplaceAll(p, token, tokenOf(n))
	}
	for p, content := range s.Files {
		t.Files[name(p)] = strings.ReplaceAll(content, token, tokenOf(n))
	}
	return t
}

// Replay starts the system on each of the states, in one home, and judges
// what becomes of them. messages are those of the trace, texts the accepted ones
// by the inode of their text.
func Replay(h *host.Host, messages []message, states []State, texts map[int]string) ([]Verdict, error) {
	if err := os.WriteFile(h.Path(again), nil, 0o600); err != nil {
		return nil, err
	}
	placed := make([]State, len(states))
	for i, s := range states {
		placed[i] = translate(s, i+1)
		if err := place(h, placed[i], tokenOf(i+1)); err != nil {
			return nil, err
		}
	}
	if err := settle(h); err != nil {
		return nil, err
	}
	verdicts := make([]Verdict, len(states))
	left := queued(h)
	for i := range states {
		v := &verdicts[i]
		accepted := map[string]bool{}
		for _, text := range states[i].Accepted {
			accepted[texts[text]] = true
		}
		judge(h, messages, placed[i], tokenOf(i+1), accepted, v)
		for _, file := range left {
			if belongs(file, i+1) {
				v.say(&v.Left, "left behind: %s", file)
			}
		}
		if v.Bad() {
			v.Why = append(v.Why, fmt.Sprintf("cut after %d calls: %s", states[i].Cut, states[i].list()))
		}
	}
	return verdicts, sweep(h)
}

// list shows a state in a line.
func (s *State) list() string {
	var files []string
	for p, content := range s.Files {
		short := content
		if len(short) > 60 {
			short = short[:40] + fmt.Sprintf("…(%d)", len(content))
		}
		files = append(files, fmt.Sprintf("%s=%q", strings.TrimPrefix(p, "queue/"), short))
	}
	slices.Sort(files)
	return strings.Join(files, " ")
}

func belongs(file string, n int) bool {
	number, _, _ := strings.Cut(path.Base(file), ".")
	id, err := strconv.Atoi(number)
	return err == nil && (id-firstNumber)/perState == n
}

// place writes a state's files.
func place(h *host.Host, s State, token string) error {
	if err := addBoxes(h, token); err != nil {
		return err
	}
	for p, content := range s.Files {
		if err := os.WriteFile(h.Path(p), []byte(content), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// settle lets everything through, then makes what is left old enough for the
// clean-up, and starts once more.
func settle(h *host.Host) error {
	if err := run(h, 4*time.Second, func() bool {
		return slices.ContainsFunc(queued(h), func(p string) bool {
			return strings.HasPrefix(p, "queue/todo/") || strings.HasPrefix(p, "queue/info/")
		})
	}); err != nil {
		return err
	}
	left := queued(h)
	if len(left) == 0 {
		return nil
	}
	old := time.Now().Add(-40 * time.Hour)
	for _, p := range left {
		if err := os.Chtimes(h.Path(p), old, old); err != nil && !os.IsNotExist(err) {
			return err
		}
	}
	return run(h, 10*time.Second, func() bool { return len(queued(h)) > 0 })
}

// run keeps the system up as long as there is something to do and patience has
// not passed without a file coming or going.
func run(h *host.Host, patience time.Duration, busy func() bool) error {
	log := h.Path("log")
	_ = os.Remove(log)
	if err := h.Start(log); err != nil {
		return err
	}
	defer h.Kill()
	if err := host.FileSays(log, "status: "); err != nil { // else a signal would end it
		return err
	}
	var before string
	changed := time.Now()
	for nudge := time.Now().Add(time.Second); busy() && time.Since(changed) < patience; time.Sleep(20 * time.Millisecond) {
		if now := strings.Join(queued(h), " "); now != before {
			before, changed = now, time.Now()
		}
		if time.Now().After(nudge) {
			if err := h.Signal(syscall.SIGALRM); err != nil {
				return err
			}
			nudge = time.Now().Add(time.Second)
		}
	}
	return h.Stop()
}

// sweep makes a home ready for other states.
func sweep(h *host.Host) error {
	files := queued(h)
	for _, pattern := range []string{"far/*", "far/.[0-9]*", "mail/.qmail-k*", "mail/k*", "mail/again", "log", "trace*"} {
		found, err := filepath.Glob(h.Path(pattern))
		if err != nil {
			return err
		}
		for _, file := range found {
			files = append(files, strings.TrimPrefix(file, h.Home+"/"))
		}
	}
	for _, file := range files {
		if err := os.RemoveAll(h.Path(file)); err != nil {
			return err
		}
	}
	return nil
}
