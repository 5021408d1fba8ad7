package resident

import (
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/reqmail/reqmail/compat/child"
	"github.com/reqmail/reqmail/compat/fdio"
)

// serve names, in the environment of the test's own binary, that it is to be a
// program that calls Serve. Its arguments are what it does, one after the other.
const serve = "RESIDENT_TEST_SERVE"

// beServed is that program. It prints its process id and what it was told to.
func beServed() int {
	p := Program{Name: os.Getenv(serve), Do: beDoing, Together: beTogether}
	return p.Serve(os.Args)
}

func beDoing(j *Job) (code int, stays bool) {
	dir, err := os.Getwd()
	if err != nil {
		return 99, false
	}
	_, _ = io.WriteString(j, strconv.Itoa(os.Getpid())+" "+dir)
	stays = true
	for _, arg := range j.Args[1:] {
		what, rest, _ := strings.Cut(arg, " ")
		switch what {
		case "cat":
			text, _ := io.ReadAll(j.In)
			_, _ = j.Write(text)
		case "say":
			_, _ = io.WriteString(j, " "+rest)
		case "complain":
			_, _ = io.WriteString(j.Errors(), " "+rest)
		case "sh":
			if err := j.Inherit(); err != nil {
				return 98, false
			}
			sh := child.Command{Path: "/bin/sh", Args: []string{"sh", "-c", rest}, Files: []fdio.FD{j.In, 1, 2}}
			_, _ = sh.Run()
		case "panic":
			panic(rest)
		case "tell":
			j.Tell(rest)
		case "set":
			_ = os.Setenv("SET", rest)
		case "env":
			_, _ = io.WriteString(j.Errors(), strings.Join(os.Environ(), ","))
		case "leave":
			stays = false
		case "few": // no file gets in any more
			_ = syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: uint64(j.In), Max: uint64(j.In)})
		case "kill":
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		case "title":
			text, _ := os.ReadFile("/proc/self/cmdline")
			_, _ = io.WriteString(j, " "+string(text))
		case "late":
			go func() {
				for range 1000 {
					j.Tell("late")
				}
			}()
		case "exit":
			code, _ = strconv.Atoi(rest)
		}
	}
	return code, stays
}

// runner returns a Runner for a program made of the test's own binary, called
// as the binary expects, or as another one.
func runner(t *testing.T, called string) (r *Runner, path string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "resident") // where every user can get
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(dir, "program")
	install(t, path)
	t.Setenv(serve, called)
	t.Setenv("GORACE", "atexit_sleep_ms=0") // a second for each child otherwise
	r = &Runner{Pool: Pool{Most: 5, Idle: time.Minute}, Reaper: child.NewReaper()}
	t.Cleanup(r.Pool.Close)
	return r, path
}

// install puts a fresh copy of the test's binary at a path.
func install(t *testing.T, path string) {
	t.Helper()
	binary, err := os.ReadFile(self(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path+".new", binary, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// somebody is an account that is not root's, nil for the caller's.
func somebody(uid uint32) *syscall.Credential {
	if os.Geteuid() != 0 {
		return nil
	}
	return &syscall.Credential{Uid: uid, Gid: 65534, Groups: []uint32{65534}}
}

// outcome is what became of a run.
type outcome struct {
	pid    string
	dir    string
	output string
	status syscall.WaitStatus
	news   []string
}

func run(t *testing.T, r *Runner, path string, who *syscall.Credential, args ...string) (o outcome) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "input")
	if err := os.WriteFile(file, []byte(" input"), 0o644); err != nil {
		t.Error(err)
	}
	in, err := fdio.Open(file, syscall.O_RDONLY, 0)
	if err != nil {
		t.Error(err)
	}
	defer in.Close()
	var out strings.Builder
	cmd := &child.Command{Path: "program", Args: append([]string{"program"}, args...), Dir: filepath.Dir(path),
		Files: []fdio.FD{in, Collected, Collected}, Credential: who}
	o.status, err = r.Run(cmd, &out, func(text []byte) { o.news = append(o.news, string(text)) })
	if err != nil {
		t.Error(err)
	}
	o.pid, o.output, _ = strings.Cut(out.String(), " ")
	o.dir, o.output, _ = strings.Cut(o.output, " ")
	return o
}

func TestRunner(t *testing.T) {
	r, path := runner(t, "program")
	who := somebody(65534)
	first := run(t, r, path, who, "tell one", "tell two", "set x", "cat", "exit 7")
	if first.status.ExitStatus() != 7 || strings.Join(first.news, ",") != "one,two" || first.output != "input" || first.dir != filepath.Dir(path) {
		t.Errorf("first %+v", first)
	}
	second := run(t, r, path, who, "cat", "env", "late")
	if second.status != 0 || second.pid != first.pid || len(second.news) > 999 || !strings.HasPrefix(second.output, "input") {
		t.Errorf("second %+v", second)
	}
	if want := strings.Join(os.Environ(), ","); second.output != "input"+want {
		t.Errorf("environment %q, want %q", second.output, want)
	}
	if third := run(t, r, path, who, "leave", "exit 3"); third.pid != first.pid || third.status.ExitStatus() != 3 || third.news != nil {
		t.Errorf("third %+v", third)
	}
	fourth := run(t, r, path, who)
	if fourth.pid == first.pid {
		t.Error("a child that leaves is still there")
	}
	if large := run(t, r, path, who, strings.Repeat("x", MaxDatagram)); large.status != 0 || large.pid == fourth.pid {
		t.Errorf("a job that is too large: %v", large.status)
	}
	if crash := run(t, r, path, who, "kill"); !crash.status.Signaled() {
		t.Errorf("killed: %+v", crash)
	}
	if after := run(t, r, path, who, "exit 1"); after.status.ExitStatus() != 1 {
		t.Errorf("after that: %+v", after)
	}
}

// What a job prints, and what programs print that it runs, comes in the order in
// which it was written, however it is carried.
func TestOutput(t *testing.T) {
	r, path := runner(t, "program")
	who := somebody(65534)
	first := run(t, r, path, who, "say one", "complain two", "sh printf ' three'; printf ' four' >&2", "say five")
	if first.output != "one two three four five" {
		t.Errorf("the first: %+v", first)
	}
	long := strings.Repeat("x", maxText)
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"say one", "complain two"}, "one two"},
		{[]string{"say one", "sh printf ' two'; printf ' three' >&2", "say four", "complain five"}, "one two three four five"},
		{[]string{"sh cat", "say more"}, "input more"},
		{[]string{"sh (exec 0<&-; sleep 0.1; echo late) & printf ' soon\\n'"}, "soon\nlate\n"},
		{[]string{"say one", "say " + long, "complain two"}, "one " + long + " two"},
		{[]string{"say one"}, "one"},
	} {
		if o := run(t, r, path, who, test.args...); o.output != test.want || o.pid != first.pid || o.status != 0 {
			t.Errorf("%.60q: %+v", test.args, o)
		}
	}
	if o := run(t, r, path, who, "say the end", "leave", "exit 3"); o.output != "the end" || o.pid != first.pid || o.status.ExitStatus() != 3 {
		t.Errorf("of one that leaves: %+v", o)
	}
	run(t, r, path, who)
	if o := run(t, r, path, who, "say before", "panic oh"); !strings.HasPrefix(o.output, "before") || !strings.Contains(o.output, "panic: oh") {
		t.Errorf("of one that breaks: %+v", o)
	}
}

// Jobs that take no time share one child, those that do take some have more.
func TestTurn(t *testing.T) {
	r, path := runner(t, "program")
	r.Turn = NewTurn(time.Minute)
	together := func(n int, args ...string) map[string]bool {
		var mu sync.Mutex
		pids := map[string]bool{}
		var all sync.WaitGroup
		for range n {
			all.Go(func() {
				o := run(t, r, path, somebody(65534), args...)
				mu.Lock()
				defer mu.Unlock()
				pids[o.pid] = o.status == 0
			})
		}
		all.Wait()
		return pids
	}
	together(1)
	if pids := together(10); len(pids) > 5 { // on a host that is not busy, 1
		t.Errorf("done by %d children", len(pids))
	}
	r.Turn = NewTurn(0)
	together(1)
	if pids := together(3, "sh sleep 0.3"); len(pids) != 3 {
		t.Errorf("those that take long done by %d children", len(pids))
	}
}

// A program that cannot have a pipe is told so: it has other ways to fail.
func TestNoPipe(t *testing.T) {
	r, path := runner(t, "program")
	who := somebody(65534)
	first := run(t, r, path, who)
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit) }()
	free, err := fdio.Open("/dev/null", syscall.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	free.Close()
	few := syscall.Rlimit{Cur: uint64(free) + 1, Max: limit.Max} // the input, no more
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &few); err != nil {
		t.Fatal(err)
	}
	if o := run(t, r, path, who, "say one", "sh echo two"); o.status.ExitStatus() != 98 || o.pid != first.pid || o.output != "one" {
		t.Errorf("got %+v", o)
	}
	if _, err := r.Run(&child.Command{Path: path, Files: []fdio.FD{0, Collected, Collected}}, io.Discard, nil); err != ErrPipe {
		t.Errorf("a process: %v", err)
	}
}

// Who looks at the processes must see who does what.
func TestTitle(t *testing.T) {
	r, path := runner(t, "program")
	who := somebody(65534)
	args := []string{"cat", "exit 1", "tell that there is room"}
	first := run(t, r, path, who, args...)
	title := func() string {
		text, err := os.ReadFile("/proc/" + first.pid + "/cmdline")
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimRight(string(text), "\x00")
	}
	if got := title(); got != "program waits" {
		t.Errorf("it waits as %q", got)
	}
	if second := run(t, r, path, who, "title", "b", strings.Repeat("x", 1000)); !strings.HasPrefix(second.output, "program\x00title\x00b\x00xxxx") {
		t.Errorf("it works as %q", second.output)
	}
}

// A child that ends while it waits is no trouble.
func TestRunnerLosesIdleChild(t *testing.T) {
	r, path := runner(t, "program")
	who := somebody(65534)
	first := run(t, r, path, who)
	pid, err := strconv.Atoi(first.pid)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); syscall.Kill(pid, 0) == nil; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it does not die")
		}
	}
	if second := run(t, r, path, who, "exit 5"); second.status.ExitStatus() != 5 || second.pid == first.pid {
		t.Errorf("got %+v", second)
	}
}

// Nobody gets a job but a child of the same user, with the same executable.
func TestRunnerKeepsApart(t *testing.T) {
	r, path := runner(t, "program")
	first := run(t, r, path, somebody(65534))
	if os.Geteuid() == 0 {
		if other := run(t, r, path, somebody(65533)); other.pid == first.pid {
			t.Error("another user's job")
		}
		root := run(t, r, path, nil)
		if again := run(t, r, path, nil); again.pid == root.pid {
			t.Error("root's child stays")
		}
	}
	install(t, path)
	if second := run(t, r, path, somebody(65534)); second.pid == first.pid {
		t.Error("a job for another executable")
	}
	r.Plain = true
	plain := run(t, r, path, somebody(65534))
	if again := run(t, r, path, somebody(65534)); again.pid == plain.pid {
		t.Error("switched off")
	}
}

// Wrappers, foreign programs and other versions are run once for each job.
func TestRunnerOfOthers(t *testing.T) {
	r, path := runner(t, "another version")
	who := somebody(65534)
	first := run(t, r, path, who, "cat", "exit 4")
	second := run(t, r, path, who, "exit 4")
	if first.status.ExitStatus() != 4 || first.output != "input" || second.status.ExitStatus() != 4 || first.pid == second.pid {
		t.Errorf("another version: %+v, %+v", first, second)
	}
	if err := os.Rename(path, path+".real"); err != nil {
		t.Fatal(err)
	}
	t.Setenv(serve, "program")
	for _, script := range []string{
		"exec " + path + `.real "$@"`,
		path + `.real "$@"; e=$?; sleep 5 <&- >&- 2>&- & exit $e`, // keeps the socket
		`echo $$ x; exit 4`,
	} {
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		first, second := run(t, r, path, who, "exit 4"), run(t, r, path, who, "exit 4")
		if first.status.ExitStatus() != 4 || second.status.ExitStatus() != 4 || first.pid == second.pid {
			t.Errorf("%s: %+v, %+v", script, first, second)
		}
	}
}

// TestRunnerLosesJob: a job that does not get into a child has not been done.
func TestRunnerLosesJob(t *testing.T) {
	r, path := runner(t, "program")
	for _, what := range []string{"cat", "few"} {
		if o := run(t, r, path, somebody(65534), what); o.status != 0 {
			t.Fatalf("%s: %+v", what, o)
		}
	}
	if o := run(t, r, path, somebody(65534), "cat"); o.status.ExitStatus() != temporary {
		t.Errorf("lost: %+v, want exit code %d", o, temporary)
	}
	if o := run(t, r, path, somebody(65534), "cat"); o.status != 0 || o.output != "input" {
		t.Errorf("after that: %+v", o)
	}
}

func FuzzArguments(f *testing.F) {
	f.Add([]byte("Ja\x00b\x00"))
	f.Add([]byte("J\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		args, ok := arguments(data)
		if !ok {
			return
		}
		again := []byte{jobWord}
		for _, a := range args {
			again = append(append(again, a...), 0)
		}
		if string(again) != string(data) {
			t.Errorf("%q: %q", data, args)
		}
	})
}
