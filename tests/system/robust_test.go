package system

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/reqmail/reqmail/packaging/layout"
)

// underLimit runs its arguments with soft limits of 3 MB on memory, as
// softlimit -m 3000000 does.
var underLimit = []string{"/bin/sh", "-c", `ulimit -Sv 2929; ulimit -Sd 2929; exec "$0" "$@"`}

// limitInKB is what programs that we run must find in force.
const limitInKB = "2929"

func TestSmallMemoryLimit(t *testing.T) {
	s := layOut(t)
	r := s.remote()
	s.Prefix = underLimit
	s.write("mail/.qmail-limit", "|ulimit -Sv\n&you\n./Maildir/\n")
	s.up()
	s.inject("Subject: x\n\n", "you-limit@demo.example")
	s.inject("Subject: y\n\n", "a@remote.example")
	s.logged("success: " + limitInKB + "/did_1+1+1/")
	s.mail(2)
	s.logged("success: 127.0.0.1_accepted_message.")
	if len(r.Received()) != 1 {
		t.Errorf("%d messages arrived, want 1", len(r.Received()))
	}
	s.empty()
}

// TestEveryProgramStartsUnderLimit tells a program that came up, and said what
// is wrong with its arguments or its surroundings, from one that the kernel or
// Go's runtime killed.
func TestEveryProgramStartsUnderLimit(t *testing.T) {
	s := layOut(t)
	entries, err := os.ReadDir(s.Path("bin"))
	s.ok(err)
	for _, e := range entries {
		switch e.Name() {
		case "qmail-start":
			continue // would run on; TestSmallMemoryLimit has it
		case "reqmail-ext", "reqmail":
			continue // the one is executed with raised limits, the other by administrators (qmail-limits(7))
		}
		s.Prefix = nil
		free := s.Command(e.Name())
		freeOut, _ := free.CombinedOutput()
		s.Prefix = underLimit
		limited := s.Command(e.Name())
		limitedOut, _ := limited.CombinedOutput()
		if free.ProcessState.ExitCode() != limited.ProcessState.ExitCode() {
			t.Errorf("%s: exit %v with %q under the limit, %v with %q without", e.Name(),
				limited.ProcessState, limitedOut, free.ProcessState, freeOut)
		}
	}
}

// TestHardLimit: where the hard limit is low too, a program says so and leaves
// with its temporary exit code.
func TestHardLimit(t *testing.T) {
	s := layOut(t)
	s.Prefix = []string{"/bin/sh", "-c", `ulimit -v 100000; exec "$0" "$@"`}
	for program, code := range map[string]int{"qmail-queue": 51, "qmail-local": 111, "qmail-getpw": 111, "qmail-remote": 111} {
		cmd := s.Command(program)
		out, _ := cmd.CombinedOutput()
		if got := cmd.ProcessState.ExitCode(); got != code {
			t.Errorf("%s: exit %d, want %d", program, got, code)
		}
		if text := string(out); !strings.HasPrefix(text, "fatal: ") || strings.Count(text, "\n") != 1 {
			t.Errorf("%s says %q, want one line that begins with fatal:", program, text)
		}
	}
}

// replace puts the program that can be told to fail in place of another.
func (s *system) replace(program string) {
	s.t.Helper()
	s.ok(layout.CopyFile(filepath.Join(binDir(s.t), "../fault", program), s.Path("bin", program), 0o755))
}

// TestOurOwnFailureDefers: a bug or a lack of memory in a program must not
// bounce mail. Go's exit status 2 would.
func TestOurOwnFailureDefers(t *testing.T) {
	for _, test := range []struct {
		program, address, want string
	}{
		{"qmail-local", "you@demo.example", "deferral: "},
		{"qmail-remote", "a@remote.example", "deferral: "},
		{"qmail-getpw", "other@demo.example", "deferral: Temporary_failure_in_qmail-lspawn./"},
	} {
		for _, fault := range []string{"panic", "goroutine", "memory"} {
			t.Run(test.program+"/"+fault, func(t *testing.T) {
				s := layOut(t)
				s.remote()
				if test.program == "qmail-getpw" {
					s.ok(os.Remove(s.Path("users/cdb")))
				}
				s.replace(test.program)
				s.Env = append(s.Env, "REQMAIL_FAULT="+test.program+":"+fault)
				s.up()
				s.inject("", test.address)
				s.logged(test.want)
				if log := s.read(s.log); strings.Contains(log, ": failure: ") || strings.Contains(log, "goroutine") {
					t.Errorf("the message bounced, or the log has a traceback:\n%s", log)
				}
			})
		}
	}
}

// TestFailureStatus: C's spawners take exit codes other than 111 and its like
// for permanent failures; a signal or 111 is safe under them too.
func TestFailureStatus(t *testing.T) {
	for _, program := range []string{"qmail-local", "qmail-remote", "qmail-getpw"} {
		for _, fault := range []string{"panic", "goroutine", "memory"} {
			cmd := exec.Command(filepath.Join(binDir(t), "../fault", program), "x")
			cmd.Env = []string{"REQMAIL_FAULT=" + program + ":" + fault}
			_ = cmd.Run()
			status := cmd.ProcessState.Sys().(syscall.WaitStatus)
			temporary := status.Exited() && (status.ExitStatus() == 111 || status.ExitStatus() == 118)
			if !status.Signaled() && !temporary {
				t.Errorf("%s %s: %v, want a signal or a temporary exit code", program, fault, cmd.ProcessState)
			}
		}
	}
}

// TestEnvironmentStaysAsItWas: what our programs' entry point tells the runtime
// in their environment (compat/limits) does not reach what they run, and what
// stands there in the same place does.
func TestEnvironmentStaysAsItWas(t *testing.T) {
	s := layOut(t)
	for _, env := range [][]string{nil, {"GOMAXPROCS=3"}, {"GOMAXPROCS="}} {
		cmd := s.Command("except", "/bin/sh", "-c", "env; exit 1") // 0 for failure
		cmd.Env = append([]string{"B=1"}, env...)
		cmd.Env = append(cmd.Env, "A=2")
		out, err := cmd.Output()
		s.ok(err)
		var got []string
		for line := range strings.Lines(string(out)) {
			if line = strings.TrimSpace(line); !strings.HasPrefix(line, "PWD=") && !strings.HasPrefix(line, "_=") && !strings.HasPrefix(line, "SHLVL=") && !strings.HasPrefix(line, "OLDPWD=") {
				got = append(got, line)
			}
		}
		slices.Sort(got)
		want := slices.Clone(cmd.Env)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// TestTimerSlack: it is small enough for whatever programs of .qmail lines do.
func TestTimerSlack(t *testing.T) {
	s := layOut(t)
	out, err := s.Run("", "bouncesaying", "no", "grep", "-qx", "250000", "/proc/self/timerslack_ns")
	if code, _ := err.(*exec.ExitError); code == nil || code.ExitCode() != 100 { // what grep has found bounces
		t.Errorf("not 250000 ns: %v: %s", err, out)
	}
}

// TestQueueIgnoresInterrupt: qmail-queue ignores SIGINT and SIGHUP before the
// runtime starts, for they may come at once.
func TestQueueIgnoresInterrupt(t *testing.T) {
	s := layOut(t)
	if _, err := exec.LookPath("strace"); err != nil {
		t.Skip("strace is not installed")
	}
	trace := s.Path("trace")
	_ = s.Command("strace", "-e", "trace=rt_sigaction,openat", "-o", trace, s.Path("bin/qmail-queue")).Run()
	before, _, _ := strings.Cut(s.read(trace), "openat(")
	for _, sig := range []string{"SIGINT", "SIGHUP"} {
		if !strings.Contains(before, "rt_sigaction("+sig+", {sa_handler=SIG_IGN") {
			t.Errorf("%s is not ignored at once: %s", sig, before)
		}
	}
}
