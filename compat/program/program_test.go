package program

import (
	"bytes"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"github.com/reqmail/reqmail/compat/fdio"
)

// behaviour names, in the environment of the test's own binary, the command
// that it then is.
const behaviour = "PROGRAM_TEST_BEHAVIOUR"

const temporary = 111

var commands = map[string]func() int{
	"code":    func() int { return 17 },
	"panic":   func() int { panic("a bug") },
	"runtime": func() int { var none []int; return none[len(os.Args)] },
	"goroutine": func() int {
		go panic("a bug that nobody can recover")
		select {}
	},
	"pipe below": func() int {
		IgnorePipeThroughout()
		if out, _ := exec.Command("/bin/sh", "-c", "kill -PIPE $$; echo survived").Output(); string(out) != "survived\n" {
			return 1
		}
		return 0
	},
	"pipe": func() int {
		IgnorePipe()
		r, w, err := fdio.Pipe()
		if err != nil {
			return 1
		}
		r.Close()
		if err := syscall.Dup3(int(w), 1, 0); err != nil {
			return 2
		}
		if _, err := fdio.FD(1).WriteString("x"); err != syscall.EPIPE {
			return 3
		}
		if _, err := os.Stdout.WriteString("x"); err == nil {
			return 4
		}
		return 0
	},
}

func TestMain(m *testing.M) {
	if run, ok := commands[os.Getenv(behaviour)]; ok {
		Main("qmail-test", temporary, run)
	}
	os.Exit(m.Run())
}

// A panic must not end a program with Go's 2, which callers of delivery
// programs take for a permanent failure.
func TestMainEnds(t *testing.T) {
	const bug = "qmail-test: fatal: internal bug (#4.3.0)\n"
	tests := []struct {
		behaviour string
		code      int // -1: by a signal
		stderr    string
	}{
		{"code", 17, ""},
		{"panic", temporary, bug},
		{"runtime", temporary, bug},
		{"pipe", 0, ""},
		{"pipe below", 0, ""},
	}
	for _, test := range tests {
		state, stderr := start(t, test.behaviour)
		if state.ExitCode() != test.code || stderr != test.stderr {
			t.Errorf("%s: %v, %q", test.behaviour, state, stderr)
		}
	}
	state, _ := start(t, "goroutine")
	if status := state.Sys().(syscall.WaitStatus); !status.Signaled() {
		t.Errorf("goroutine: %v", state)
	}
}

func start(t *testing.T, command string) (*os.ProcessState, string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), behaviour+"="+command)
	cmd.Dir = t.TempDir() // for a core file
	cmd.Stderr = &stderr
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return cmd.ProcessState, stderr.String()
}
