// Package child runs other programs: with exactly the descriptors, directory,
// credentials and memory limits a C qmail program would give them.
//
// Children get SIGPIPE and every other signal that the Go runtime handles in
// its default disposition, unless the program ignores it. The package must not
// know what is run or why.
package child

import (
	"os"
	"runtime"
	"slices"
	"strings"
	"syscall"

	"github.com/reqmail/reqmail/compat/fdio"
	"github.com/reqmail/reqmail/compat/limits"
)

// Closed in Command.Files leaves that descriptor closed in the child.
const Closed fdio.FD = -1

// Command describes a child process.
type Command struct {
	Path  string    // file to execute, relative to Dir
	Args  []string  // argv, the program's own name first
	Env   []string  // nil means the caller's environment
	Dir   string    // working directory; empty means the caller's
	Find  bool      // search PATH as execvp(3) does
	Files []fdio.FD // descriptors 0, 1, … of the child; Closed for none

	// Credential switches user and groups, in the order setgroups, setgid,
	// setuid; nil keeps the caller's.
	Credential *syscall.Credential
}

// Start starts the child and returns its process id. The error is the one of
// fork(2), of a step between fork and exec, or of execve(2) itself.
func (c *Command) Start() (int, error) {
	if !c.Find {
		return c.start()
	}
	found := *c
	var err error
	if found.Path, err = Lookup(c.Path); err != nil {
		return 0, err
	}
	pid, err := found.start()
	if err == syscall.ENOEXEC {
		// execvp(3) takes what has no format of its own for a script.
		found.Args = append([]string{"sh", found.Path}, c.Args[1:]...)
		found.Path = "/bin/sh"
		return found.start()
	}
	return pid, err
}

func (c *Command) start() (int, error) {
	c.unplug()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	limits.UsualSlack()
	env := c.Env
	if env == nil {
		env = os.Environ()
	}
	if lifted := limits.ForChildren(); len(lifted) > 0 {
		return c.startLimited(env, lifted)
	}
	files := make([]uintptr, len(c.Files))
	for i, f := range c.Files {
		files[i] = uintptr(f)
	}
	return syscall.ForkExec(c.Path, c.Args, &syscall.ProcAttr{
		Dir:   c.Dir,
		Env:   env,
		Files: files,
		Sys:   &syscall.SysProcAttr{Credential: c.Credential},
	})
}

// unplug leaves those descriptors closed that the program itself was started
// without: what is there now is a placeholder.
func (c *Command) unplug() {
	files := slices.Clone(c.Files)
	for i, f := range files {
		if limits.WasClosed(int(f)) {
			files[i] = Closed
		}
	}
	c.Files = files
}

// Wait waits for the process pid to end.
func Wait(pid int) (syscall.WaitStatus, error) {
	for {
		var status syscall.WaitStatus
		_, err := syscall.Wait4(pid, &status, 0, nil)
		if err != syscall.EINTR {
			return status, err
		}
	}
}

// Run starts the child and waits for it.
func (c *Command) Run() (syscall.WaitStatus, error) {
	pid, err := c.Start()
	if err != nil {
		return 0, err
	}
	return Wait(pid)
}

// Exec replaces the calling process by the program at path, with the memory
// limits the caller was started with. It returns only if it fails.
func Exec(path string, args, env []string) error {
	if lifted := limits.ForChildren(); len(lifted) > 0 {
		return execLimited(path, args, env, lifted)
	}
	return syscall.Exec(path, args, env)
}

// ExecRaised replaces the calling process by the program at path, which must
// be one of ours, with the limits as they are (see limits.Handover). It
// returns only if it fails.
func ExecRaised(path string, args, env []string) error {
	return syscall.Exec(path, args, env)
}

// Lookup finds name in the directories of PATH as execvp(3) does: a name
// with a slash stands for itself, a directory whose file cannot be executed
// is passed over. Where nothing is found it returns EACCES if a file was
// there at all, else ENOENT.
func Lookup(name string) (string, error) {
	if name == "" {
		return "", syscall.ENOENT
	}
	if strings.Contains(name, "/") {
		return name, nil
	}
	path, ok := os.LookupEnv("PATH")
	if !ok {
		path = "/bin:/usr/bin"
	}
	var failure error = syscall.ENOENT
	for dir := range strings.SplitSeq(path, ":") {
		if dir == "" {
			dir = "."
		}
		file := dir + "/" + name
		var st syscall.Stat_t
		if err := syscall.Stat(file, &st); err != nil {
			continue
		}
		const executable = 1 // X_OK of access(2)
		if st.Mode&syscall.S_IFMT == syscall.S_IFREG && syscall.Access(file, executable) == nil {
			return file, nil
		}
		failure = syscall.EACCES
	}
	return "", failure
}
