package system

import (
	"errors"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/reqmail/reqmail/tests/host"
)

// terminal is a program on a terminal of 80 columns and 24 lines.
type terminal struct {
	*system
	keys *os.File
	end  chan error

	mu   sync.Mutex
	text strings.Builder
}

// onTerminal starts a program on a terminal of its own.
func (s *system) onTerminal(argv ...string) *terminal {
	s.t.Helper()
	outer, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		s.t.Skip("no pseudo-terminals here: ", err)
	}
	s.t.Cleanup(func() { outer.Close() })
	s.ok(unix.IoctlSetPointerInt(int(outer.Fd()), unix.TIOCSPTLCK, 0))
	n, err := unix.IoctlGetInt(int(outer.Fd()), unix.TIOCGPTN)
	s.ok(err)
	inner, err := os.OpenFile("/dev/pts/"+strconv.Itoa(n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		s.t.Skip("no pseudo-terminals here: ", err)
	}
	defer inner.Close()
	s.ok(unix.IoctlSetWinsize(int(inner.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 80}))
	cmd := s.Command(argv...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = inner, inner, inner
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	s.ok(cmd.Start())
	t := &terminal{system: s, keys: outer, end: make(chan error, 1)}
	s.t.Cleanup(func() { _ = cmd.Process.Kill() })
	go t.watch()
	go func() { t.end <- cmd.Wait() }()
	return t
}

func (t *terminal) watch() {
	buf := make([]byte, 4096)
	for {
		n, err := t.keys.Read(buf)
		t.mu.Lock()
		t.text.Write(buf[:n])
		t.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func (t *terminal) seen() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.text.String()
}

// shows waits for a text.
func (t *terminal) shows(text string) {
	t.t.Helper()
	if err := host.Until(strconv.Quote(text), func() bool { return strings.Contains(t.seen(), text) }); err != nil {
		t.t.Fatalf("%v in %q", err, t.seen())
	}
}

// typed types keys and wants the program to end well.
func (t *terminal) typed(keys string) {
	t.t.Helper()
	_, err := t.keys.WriteString(keys)
	t.ok(err)
	t.ok(<-t.end)
}

// top and list --watch refresh until q is typed and leave the screen as it was;
// acts ask; no line is longer than the terminal is wide.
func TestManageTerminal(t *testing.T) {
	s := start(t)
	name := s.waiting(2, strings.Repeat("long", 20)+"@a.example")[0]
	top := s.onTerminal("reqmail", "top", "--every", "1s")
	top.shows("PHASE")
	s.write("alias/.qmail-slow", "|sleep 60\n")
	s.inject("\nx\n", "-f", "bob@b.example", "slow@"+host.Name)
	top.shows("bob@b.example")
	top.typed("q")
	top.shows("\x1b[?25h\x1b[?1049l")
	watch := s.onTerminal("reqmail", "list", "--watch", "--every", "1s")
	watch.shows("3 of 3 messages")
	s.reqmail(fine, "remove", id(name))
	watch.shows("2 of 2 messages")
	watch.typed("q")
	for _, line := range strings.Split(watch.seen(), "\r\n") {
		line = line[strings.LastIndex(line, "\x1b[H")+1:] // a frame ends without a new line
		line = strings.NewReplacer("[H", "", "\x1b[K", "", "\x1b[J", "", "\x1b[1m", "", "\x1b[0m", "", "\x1b[?1049h", "", "\x1b[?25l", "").Replace(line)
		if n := len([]rune(line)); n > 80 {
			t.Errorf("%d columns: %q", n, line)
		}
	}
	raw := s.onTerminal("reqmail", "show", "--raw", id(s.messages("--sender", "long*")[0].Name))
	raw.shows("may upset a terminal")
	no := s.onTerminal("reqmail", "hold", "--all")
	no.shows("[y/N] ")
	_, err := no.keys.WriteString("n\n")
	s.ok(err)
	no.shows("reqmail: nothing is done\r\n") // what is seen may come after the end
	var exit *exec.ExitError
	if err := <-no.end; !errors.As(err, &exit) || exit.ExitCode() != look {
		t.Errorf("no: %v, %q", err, no.seen())
	}
	ask := s.onTerminal("reqmail", "hold", "--all")
	ask.shows("hold 2 messages? [y/N] ")
	ask.typed("y\n")
	if n := len(s.messages("--state", "held")); n != 2 {
		t.Errorf("%d messages are held", n)
	}
}
