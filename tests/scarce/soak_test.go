package scarce

import (
	"crypto/sha256"
	"fmt"
	"math/rand"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/reqmail/reqmail/tests/host"
)

// soak is a system under full load to which things happen.
type soak struct {
	*rig
	place string // of the queue

	mu       sync.Mutex
	accepted map[int]bool
	refused  int
	arrived  map[int]int
	spoiled  int
	acts     map[string]int
}

// TestSoak keeps a system under full load for the time in REQMAIL_SOAK (15m,
// say) with kills, restarts, storms of HUP and ALRM, and a disk that is full
// now and then. Every message that was accepted must arrive, whole. A kill may
// double what was just delivered.
func TestSoak(t *testing.T) {
	duration, err := time.ParseDuration(os.Getenv("REQMAIL_SOAK"))
	if err != nil {
		t.Skip("REQMAIL_SOAK is no duration")
	}
	place := volume(t, "soak")
	s := &soak{
		rig: newRig(t, "queue", place), place: place,
		accepted: map[int]bool{}, arrived: map[int]int{}, acts: map[string]int{},
	}
	s.up()
	stop := make(chan struct{})
	var work sync.WaitGroup
	const injectors = 4
	for i := range injectors {
		work.Go(func() { s.inject(i, injectors, stop) })
	}
	work.Go(func() { s.collectUntil(stop) })
	random := rand.New(rand.NewSource(time.Now().UnixNano()))
	for end := time.Now().Add(duration); time.Now().Before(end) && !t.Failed(); {
		time.Sleep(time.Duration(random.Intn(2000)) * time.Millisecond)
		s.disturb(random.Intn(6), random)
	}
	close(stop)
	work.Wait()
	s.settle()
	lost, doubled := 0, 0
	for n := range s.accepted {
		if s.arrived[n] == 0 {
			lost++
			t.Errorf("message %d is lost", n)
		}
	}
	for _, times := range s.arrived {
		doubled += times - 1
	}
	if s.spoiled > 0 {
		t.Errorf("%d messages are corrupted", s.spoiled)
	}
	if s.logs(": failure: ") > 0 {
		t.Error("deliveries failed for good")
	}
	t.Logf("%v: accepted %d, refused %d, lost %d, corrupted %d, doubled %d; %v",
		duration, len(s.accepted), s.refused, lost, s.spoiled, doubled, s.acts)
}

// inject queues every so-manieth message.
func (s *soak) inject(first, step int, stop chan struct{}) {
	for n := first; ; n += step {
		select {
		case <-stop:
			return
		default:
		}
		body := strings.Repeat(fmt.Sprintf("line of message %d\n", n), 1+n%200)
		text := fmt.Sprintf("X-Number: %d\nX-Sum: %x\n\n%s", n, sha256.Sum256([]byte(body)), body)
		_, err := s.Run(text, "qmail-inject", host.User+"@"+host.Name)
		s.mu.Lock()
		if err == nil {
			s.accepted[n] = true
		} else {
			s.refused++
		}
		s.mu.Unlock()
	}
}

// collectUntil takes mail out of the mailbox.
func (s *soak) collectUntil(stop chan struct{}) {
	for {
		select {
		case <-stop:
			return
		case <-time.After(200 * time.Millisecond):
			s.collect()
		}
	}
}

func (s *soak) collect() {
	files, _ := filepath.Glob(s.Path("mail/Maildir/new/*"))
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		header, body, _ := strings.Cut(string(text), "\n\n")
		n, sum := -1, ""
		for line := range strings.Lines(header) {
			_, _ = fmt.Sscanf(line, "X-Number: %d", &n)
			_, _ = fmt.Sscanf(line, "X-Sum: %s", &sum)
		}
		s.mu.Lock()
		if fmt.Sprintf("%x", sha256.Sum256([]byte(body))) == sum {
			s.arrived[n]++
		} else {
			s.spoiled++
		}
		s.mu.Unlock()
		_ = os.Remove(file)
	}
}

// disturb lets something happen.
func (s *soak) disturb(what int, random *rand.Rand) {
	name := [...]string{"kill", "restart", "HUP storm", "ALRM storm", "killed child", "full disk"}[what]
	s.acts[name]++
	switch name {
	case "kill":
		s.Kill()
		s.up()
	case "restart":
		_ = s.Stop() // deliveries may take longer than that waits
		s.Kill()
		s.up()
	case "HUP storm", "ALRM storm":
		for range 100 {
			_ = s.Signal(map[string]syscall.Signal{"HUP storm": syscall.SIGHUP, "ALRM storm": syscall.SIGALRM}[name])
		}
	case "killed child":
		if children := s.children(); len(children) > 0 {
			_ = syscall.Kill(children[random.Intn(len(children))], syscall.SIGKILL)
		}
		_ = s.Stop()
		s.Kill()
		s.up()
	case "full disk":
		free := s.fill(s.place)
		time.Sleep(2 * time.Second)
		free()
	}
}

// children lists the daemons and deliveries below qmail-send.
func (s *soak) children() []int {
	pid := strconv.Itoa(s.PID())
	text, _ := os.ReadFile("/proc/" + pid + "/task/" + pid + "/children")
	var pids []int
	for _, word := range strings.Fields(string(text)) {
		if child, err := strconv.Atoi(word); err == nil {
			pids = append(pids, child)
		}
	}
	return pids
}

// settle lets everything through.
func (s *soak) settle() {
	s.t.Helper()
	nudge := time.Now()
	s.ok(host.Within(10*time.Minute, "an empty queue", func() bool {
		s.collect()
		if time.Now().After(nudge) {
			_ = s.Signal(syscall.SIGALRM)
			nudge = time.Now().Add(time.Second)
		}
		waiting, _ := filepath.Glob(s.Path("queue/info/*/*"))
		todo, _ := filepath.Glob(s.Path("queue/todo/*"))
		return len(waiting)+len(todo) == 0
	}))
	s.collect()
}
