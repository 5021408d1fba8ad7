package child

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/reqmail/reqmail/compat/fdio"
)

// run runs a shell command through Command and returns what it prints on
// descriptor 1.
func run(t *testing.T, cmd Command) string {
	t.Helper()
	r, w, err := fdio.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Files = append([]fdio.FD{Closed, w, 2}, cmd.Files...)
	pid, err := cmd.Start()
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	out, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Wait(pid); err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func shell(line string) Command {
	return Command{Path: "/bin/sh", Args: []string{"/bin/sh", "-c", line}}
}

func TestStart(t *testing.T) {
	dir := t.TempDir()
	f, err := fdio.Open(filepath.Join(dir, "f"), syscall.O_RDWR|syscall.O_CREAT, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	cmd := shell("pwd; echo $A; echo x >&3; test -e /proc/self/fd/0 || echo closed")
	cmd.Dir, cmd.Env, cmd.Files = dir, []string{"A=b", "PATH=/bin:/usr/bin"}, []fdio.FD{f}
	if got, want := run(t, cmd), dir+"\nb\nclosed\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, _ := os.ReadFile(filepath.Join(dir, "f")); string(got) != "x\n" {
		t.Errorf("descriptor 3: got %q", got)
	}
}

func TestStartErrors(t *testing.T) {
	dir := t.TempDir()
	noFormat := filepath.Join(dir, "script")
	if err := os.WriteFile(noFormat, []byte("echo ran $1\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name string
		cmd  Command
		want error
	}{
		{"missing", Command{Path: dir + "/none", Args: []string{"x"}}, syscall.ENOENT},
		{"directory", Command{Path: dir, Args: []string{"x"}}, syscall.EACCES},
		{"no format", Command{Path: noFormat, Args: []string{"x"}}, syscall.ENOEXEC},
		{"not in PATH", Command{Path: "no-such-program-anywhere", Find: true, Args: []string{"x"}}, syscall.ENOENT},
		{"no directory", Command{Path: "/bin/sh", Args: []string{"x"}, Dir: dir + "/none"}, syscall.ENOENT},
	} {
		if _, err := test.cmd.Start(); err != test.want {
			t.Errorf("%s: got %v, want %v", test.name, err, test.want)
		}
	}
	t.Setenv("PATH", "/no-such-directory:"+dir)
	if got := run(t, Command{Path: "script", Find: true, Args: []string{"script", "arg"}}); got != "ran arg\n" {
		t.Errorf("a script without #! found by PATH: got %q", got)
	}
}

// TestSIGPIPE: programs must not inherit that we ignore it.
func TestSIGPIPE(t *testing.T) {
	if got := run(t, shell("kill -PIPE $$; echo survived")); got != "" {
		t.Errorf("SIGPIPE is ignored in children: %q", got)
	}
}

func TestReaper(t *testing.T) {
	reaper := NewReaper()
	type end struct{ want, got int }
	ends := make(chan end)
	const children = 20
	for i := range children {
		cmd := Command{Path: "/bin/sh", Args: []string{"/bin/sh", "-c", "exit $0", string(rune('0' + i%10))}}
		pid, err := cmd.Start()
		if err != nil {
			t.Fatal(err)
		}
		go func() { ends <- end{i % 10, reaper.Wait(pid).ExitStatus()} }()
	}
	for range children {
		if e := <-ends; e.want != e.got {
			t.Errorf("exit %d, want %d", e.got, e.want)
		}
	}
}

// A delivery whose end nobody knows must not count as done.
func TestReaperOfALostChild(t *testing.T) {
	reaper := NewReaper()
	cmd := shell("exit 0")
	pid, err := cmd.Start()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Wait(pid); err != nil {
		t.Fatal(err)
	}
	if end := reaper.Wait(pid); !end.Signaled() {
		t.Errorf("ended with %v, want a crash", end)
	}
}

// limited is a program that is linked with the entry point of package limits
// and runs a shell command: by Start, or with "exec" by Exec.
const limited = `package main

import (
	"os"
	"syscall"

	"github.com/reqmail/reqmail/compat/child"
	"github.com/reqmail/reqmail/compat/fdio"
	"github.com/reqmail/reqmail/compat/limits"
)

func main() {
	if os.Getenv("MANY") != "" {
		limits.ManyFiles()
		var now syscall.Rlimit
		if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &now); err != nil || now.Cur+1 < now.Max {
			os.Stdout.WriteString("few files")
		}
	}
	cmd := child.Command{Path: "/bin/sh", Args: []string{"sh", "-c", os.Args[2]}, Files: []fdio.FD{2, 0, 1}}
	if os.Args[1] == "exec" {
		child.Exec(cmd.Path, cmd.Args, os.Environ())
		os.Exit(9)
	}
	if len(os.Args) > 3 {
		cmd.Path = os.Args[3]
	}
	status, err := cmd.Run()
	if err != nil {
		os.Stdout.WriteString(err.Error())
	}
	os.Exit(status.ExitStatus())
}
`

// TestUnderLimit: below a small memory limit children get that limit, the
// descriptors and the errors that they get without.
func TestUnderLimit(t *testing.T) {
	const limits = "github.com/reqmail/reqmail/compat/limits."
	for _, flags := range []string{"", " -X " + limits + "threads=1 -X " + limits + "few=1 -X " + limits + "brief=1"} {
		t.Run(flags, func(t *testing.T) { underLimit(t, "-E "+limits+"entry"+flags) })
	}
}

func underLimit(t *testing.T, flags string) {
	dir, err := os.MkdirTemp(".", "testprogram")
	if err != nil {
		t.Skip("needs to build a program beside the package: ", err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.WriteFile(filepath.Join(dir, "main.go"), []byte(limited), 0o644); err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(t.TempDir(), "limited")
	build := exec.Command("go", "build", "-ldflags", flags, "-o", program, "./"+dir)
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, test := range []struct {
		name, args, want string
	}{
		{"files alone", `start 'ulimit -Sv >&2; ulimit -Sn >&2'`, "unlimited\n77\nexit 0\n"},
		{"many files alone", `start 'ulimit -Sn >&2'`, "77\nexit 0\n"},
		{"many files alone, exec", `exec 'ulimit -Sn'`, "77\nexit 0\n"},
		{"many files", `start 'ulimit -Sv >&2; ulimit -Sn >&2'`, "4000\n77\nexit 0\n"},
		// The child's 0, 1, 2 are our 2, 0, 1: all three move.
		{"start", `start 'ulimit -Sv; ulimit -Sn; echo err >&2; exit 3'`, "err\nexit 3\n"},
		{"start, limits", `start 'ulimit -Sv >&2; ulimit -Sn >&2'`, "4000\n77\nexit 0\n"},
		{"exec, limits", `exec 'ulimit -Sv; ulimit -Sn'`, "4000\n77\nexit 0\n"},
		{"no such program", `start x /no/such/program`, "no such file or directoryexit 0\n"},
	} {
		script := `ulimit -Sv 4000; ulimit -Sn 77; `
		if strings.Contains(test.name, "alone") {
			script = `ulimit -Sn 77; `
		}
		if strings.Contains(test.name, "many") {
			script += `export MANY=1; `
		}
		script += program + ` ` + test.args + ` 0>/dev/null; ulimit -Sv unlimited; echo exit $?`
		// The exit code must be taken before the limit is lifted again.
		script = strings.Replace(script, "; ulimit -Sv unlimited; echo exit $?", `; e=$?; ulimit -Sv unlimited; echo exit $e`, 1)
		out, err := exec.Command("/bin/sh", "-c", script).Output()
		if err != nil || string(out) != test.want {
			t.Errorf("%s: got %q, %v, want %q", test.name, out, err, test.want)
		}
	}
}
