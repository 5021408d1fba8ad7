package child

import (
	"syscall"
	"unsafe"

	"github.com/reqmail/reqmail/compat/fdio"
	"github.com/reqmail/reqmail/compat/limits"
)

// The hooks by which package syscall brackets its own fork. The runtime keeps
// them reachable for packages that, like this one, need a step between fork
// and exec that syscall.SysProcAttr does not offer.

//go:linkname beforeFork syscall.runtime_BeforeFork
func beforeFork()

//go:linkname afterFork syscall.runtime_AfterFork
func afterFork()

//go:linkname afterForkInChild syscall.runtime_AfterForkInChild
func afterForkInChild()

// limitedPlan is everything the child needs between fork and exec, laid out
// before the fork: there it must not allocate.
type limitedPlan struct {
	path   *byte
	argv   []*byte
	envv   []*byte
	dir    *byte
	files  []int
	cred   *syscall.Credential
	limits []limits.Saved
	rlimit []syscall.Rlimit
	report int // write end of a close-on-exec pipe: the child's errno
}

// startLimited does what syscall.ForkExec does and, in the child, puts the
// lifted memory limits back. The parent's may not be touched: the Go runtime
// dies when it cannot get memory.
func (c *Command) startLimited(env []string, lifted []limits.Saved) (int, error) {
	plan, err := c.plan(env, lifted)
	if err != nil {
		return 0, err
	}
	syscall.ForkLock.Lock()
	var pipe [2]int
	if err := syscall.Pipe2(pipe[:], syscall.O_CLOEXEC); err != nil {
		syscall.ForkLock.Unlock()
		return 0, err
	}
	plan.report = pipe[1]
	// Descriptors that the shuffle below overwrites must lie out of its way.
	for i, fd := range plan.files {
		if fd >= 0 && fd < len(plan.files) && fd != i {
			if plan.files[i], err = dupAbove(fd, len(plan.files)); err != nil {
				break
			}
		}
	}
	if err == nil && plan.report < len(plan.files) {
		plan.report, err = dupAbove(plan.report, len(plan.files))
	}
	pid := 0
	if err == nil {
		pid, err = forkLimited(plan)
	}
	for i, fd := range plan.files {
		if fd >= 0 && fd != int(c.Files[i]) {
			_ = syscall.Close(fd)
		}
	}
	if plan.report != pipe[1] {
		_ = syscall.Close(plan.report)
	}
	_ = syscall.Close(pipe[1])
	syscall.ForkLock.Unlock()
	if err != nil {
		_ = syscall.Close(pipe[0])
		return 0, err
	}
	return pid, awaitExec(pipe[0], pid)
}

// plan prepares the child's side.
func (c *Command) plan(env []string, lifted []limits.Saved) (*limitedPlan, error) {
	p := &limitedPlan{cred: c.Credential, limits: lifted}
	var err error
	if p.path, err = syscall.BytePtrFromString(c.Path); err != nil {
		return nil, err
	}
	if p.argv, err = syscall.SlicePtrFromStrings(c.Args); err != nil {
		return nil, err
	}
	if p.envv, err = syscall.SlicePtrFromStrings(env); err != nil {
		return nil, err
	}
	if c.Dir != "" {
		if p.dir, err = syscall.BytePtrFromString(c.Dir); err != nil {
			return nil, err
		}
	}
	for _, f := range c.Files {
		p.files = append(p.files, int(f))
	}
	for _, l := range lifted {
		p.rlimit = append(p.rlimit, syscall.Rlimit{Cur: l.Soft, Max: l.Hard})
	}
	return p, nil
}

func dupAbove(fd, least int) (int, error) {
	copied, err := fdio.DupAbove(fdio.FD(fd), least)
	return int(copied), err
}

// awaitExec learns from the report pipe whether the child reached its
// program; if not it reaps the child.
func awaitExec(report, pid int) error {
	var errno [unsafe.Sizeof(uintptr(0))]byte
	n, err := 0, error(nil)
	for {
		if n, err = syscall.Read(report, errno[:]); err != syscall.EINTR {
			break
		}
	}
	_ = syscall.Close(report)
	if n == 0 {
		return nil
	}
	if _, waitErr := Wait(pid); waitErr != nil {
		return waitErr
	}
	if n == len(errno) {
		return *(*syscall.Errno)(unsafe.Pointer(&errno))
	}
	return syscall.EPIPE
}

// forkLimited forks; the child never returns. No allocation, no stack growth
// and no ordinary system call wrapper may happen in the child.
//
//go:noinline
//go:norace
//go:nocheckptr
func forkLimited(p *limitedPlan) (int, error) {
	beforeFork()
	pid, errno := rawFork()
	if errno != 0 || pid != 0 {
		afterFork()
		if errno != 0 {
			return 0, errno
		}
		return int(pid), nil
	}
	afterForkInChild()
	errno = p.inChild()
	_, _, _ = syscall.RawSyscall(syscall.SYS_WRITE, uintptr(p.report),
		uintptr(unsafe.Pointer(&errno)), unsafe.Sizeof(errno))
	for {
		_, _, _ = syscall.RawSyscall(syscall.SYS_EXIT_GROUP, 253, 0, 0)
	}
}

//go:nosplit
//go:norace
func rawFork() (uintptr, syscall.Errno) {
	pid, _, errno := syscall.RawSyscall6(syscall.SYS_CLONE, uintptr(syscall.SIGCHLD), 0, 0, 0, 0, 0)
	return pid, errno
}

// execLimited does what syscall.Exec does with the lifted limits put back.
// Between the two nothing may need memory from the system.
func execLimited(path string, args, env []string, lifted []limits.Saved) error {
	p, err := (&Command{Path: path, Args: args}).plan(env, lifted)
	if err != nil {
		return err
	}
	raised := make([]syscall.Rlimit, len(lifted))
	for i, l := range lifted {
		raised[i] = syscall.Rlimit{Cur: l.Hard, Max: l.Hard}
	}
	return p.execHere(raised)
}

// execHere executes the program in the calling process, and after a failure
// raises the limits again.
//
//go:noinline
//go:nocheckptr
func (p *limitedPlan) execHere(raised []syscall.Rlimit) error {
	errno := p.exec()
	p.setLimits(raised)
	return errno
}

// inChild takes the steps between fork and exec and returns the first error.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (p *limitedPlan) inChild() syscall.Errno {
	if errno := p.identity(); errno != 0 {
		return errno
	}
	if p.dir != nil {
		if _, _, errno := syscall.RawSyscall(syscall.SYS_CHDIR, uintptr(unsafe.Pointer(p.dir)), 0, 0); errno != 0 {
			return errno
		}
	}
	for i, fd := range p.files {
		var errno syscall.Errno
		switch {
		case fd < 0:
			_, _, _ = syscall.RawSyscall(syscall.SYS_CLOSE, uintptr(i), 0, 0)
		case fd == i:
			_, _, errno = syscall.RawSyscall(syscall.SYS_FCNTL, uintptr(fd), syscall.F_SETFD, 0)
		default:
			_, _, errno = syscall.RawSyscall(syscall.SYS_DUP3, uintptr(fd), uintptr(i), 0)
		}
		if errno != 0 {
			return errno
		}
	}
	return p.exec()
}

// exec puts the limits back and executes the program.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (p *limitedPlan) exec() syscall.Errno {
	p.setLimits(p.rlimit)
	_, _, errno := syscall.RawSyscall(syscall.SYS_EXECVE, uintptr(unsafe.Pointer(p.path)),
		uintptr(unsafe.Pointer(&p.argv[0])), uintptr(unsafe.Pointer(&p.envv[0])))
	return errno
}

//go:nosplit
//go:norace
//go:nocheckptr
func (p *limitedPlan) setLimits(to []syscall.Rlimit) {
	for i := range p.limits {
		_, _, _ = syscall.RawSyscall6(syscall.SYS_PRLIMIT64, 0, uintptr(p.limits[i].Resource),
			uintptr(unsafe.Pointer(&to[i])), 0, 0, 0)
	}
}

//go:nosplit
//go:norace
//go:nocheckptr
func (p *limitedPlan) identity() syscall.Errno {
	if p.cred == nil {
		return 0
	}
	if !p.cred.NoSetGroups {
		var groups unsafe.Pointer
		if len(p.cred.Groups) > 0 {
			groups = unsafe.Pointer(&p.cred.Groups[0])
		}
		if _, _, errno := syscall.RawSyscall(syscall.SYS_SETGROUPS, uintptr(len(p.cred.Groups)), uintptr(groups), 0); errno != 0 {
			return errno
		}
	}
	if _, _, errno := syscall.RawSyscall(syscall.SYS_SETGID, uintptr(p.cred.Gid), 0, 0); errno != 0 {
		return errno
	}
	_, _, errno := syscall.RawSyscall(syscall.SYS_SETUID, uintptr(p.cred.Uid), 0, 0)
	return errno
}
