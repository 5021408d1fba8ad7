// Package limits lets Go programs live under the small memory limits of
// qmail hosts ("softlimit -m 3000000").
//
// The Go runtime reserves hundreds of megabytes of address space before main
// and dies with exit status 2 where RLIMIT_AS forbids it. Every program is
// therefore linked with this package's entry point (the Makefile passes
// -E …/compat/limits.entry): a dozen instructions that save the soft
// RLIMIT_DATA and RLIMIT_AS, raise them to the hard ones, and jump to the
// runtime's own entry. Where the hard limit is too low as well, it writes one
// line to descriptor 2 and leaves with the program's temporary exit code.
//
// A runtime that cannot start for another reason (no thread, no descriptor)
// would leave with 2 as well, which spawners report as a permanent failure. The
// entry point has it end by a signal instead, by GOTRACEBACK=crash in front of
// the environment; the variable is gone when main runs.
//
// It is also where a program is made deaf to signals before its runtime starts,
// and has its timers' slack set (deaf, timerSlack).
//
// The saved soft limits become Go's memory limit (Apply) and are put back for
// programs that we run (package child). The entry point also sees which of the
// descriptors 0 to 2 are closed, before the runtime opens /dev/null on them
// (Unplug). The package must not know what any program does.
package limits

//lint:file-ignore U1000 the assembly uses what Go code does not

import (
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
)

// Resource numbers of setrlimit(2) on Linux.
const (
	Data  = 2
	Files = 7
	AS    = 9
)

// floor is the smallest memory limit given to the garbage collector, in
// bytes. The runtime itself occupies several megabytes; a limit below that
// only makes it collect without end.
const floor = 12 << 20

// Written by the entry point before the runtime starts; zero in a program
// that was linked without it. Each pair is soft limit, hard limit.
var (
	savedData  [2]uint64
	savedAS    [2]uint64
	savedFiles [2]uint64
	wanted     [2]uint64

	closedFDs [3]byte // by descriptor: 1 if it was closed
)

// leastAS is the address space in bytes below which the Go runtime cannot
// start (measured: it needs about 800 MB on amd64).
var leastAS uint64 = 900 << 20

// exitCode is set at link time to the program's temporary exit code.
var exitCode = "111"

// threads is set at link time, to anything, for programs that run their Go
// code on one thread: those that live for one message, or only hand work on. The
// runtime then starts fewer of them, which is a fifth of its time to start. The
// entry point tells it so by adding oneThread to the environment; Apply takes it
// out again.
var (
	threads   string
	oneThread = oneThreadName + "=" + oneThreadValue + "\x00"
)

// OneThread reports whether the program runs its Go code on one thread.
func OneThread() bool { return threads != "" }

// Widen lets a program that was linked for one thread run its Go code on as
// many as n.
func Widen(n int) {
	threads = ""
	runtime.GOMAXPROCS(n)
	if brief == "" {
		return
	}
	all, _ := os.ReadDir("/proc/self/task")
	for _, thread := range all {
		_ = os.WriteFile("/proc/"+thread.Name()+"/timerslack_ns", strconv.AppendUint(nil, timerSlack, 10), 0)
	}
}

// UsualSlack gives the calling thread, and what it starts, the slack that programs have
// which are not brief. The caller has locked the goroutine to the thread.
func UsualSlack() {
	if brief != "" {
		_, _, _ = syscall.RawSyscall(syscall.SYS_PRCTL, syscall.PR_SET_TIMERSLACK, uintptr(timerSlack), 0)
	}
}

const (
	oneThreadName  = "GOMAXPROCS"
	oneThreadValue = "01" // as nobody else writes it
)

// deaf is set at link time, to anything, for a program that ignores SIGHUP and
// SIGINT and must not be ended by one that comes before its main does so. ignore
// is what rt_sigaction(2) is given then: SIG_IGN, no flags, no mask.
var (
	deaf   string
	ignore = [4]uint64{1}
)

// timerSlack is how late timers may be, in nanoseconds (PR_SET_TIMERSLACK of
// prctl(2)); the kernel's default is 50000. The runtime has a thread that, while
// there is something to do, asks for 20 microseconds of sleep again and again,
// and is woken by the first system call of each job. Less often, it costs a
// delivery a fifth less in all, and blocked threads are still noticed in time.
// Programs that we run inherit it.
var timerSlack uint64 = 250_000

// brief is set at link time, to anything, for programs that serve one client and
// wait for nobody else meanwhile. Nothing that they do waits for that thread,
// which wakes them a dozen times while they start: it gets startSlack, and so do
// threads that it starts. The one that main begins on gets timerSlack, and so do
// programs that we run (UsualSlack). Widen ends it.
var (
	brief      string
	startSlack uint64 = 10_000_000
)

// few is set at link time, to anything, for programs that start often and open
// few files. While the runtime starts they may open none but the fewest that are
// there: so it does not find its cgroup's CPU limits, whose five files below /proc
// and /sys take it as long to read as all else that it does before main. Then the
// limit is what it was, not raised as package syscall would (ManyFiles), but for what
// the runtime itself needs (leastFiles).
var (
	few    string
	fewest uint64 = 3
)

// leastFiles is for as many files as a C program may have been given, and those of the
// runtime's poller.
const leastFiles = 32

// manyFiles says that the process may open more files than the limit that it was
// started with.
var manyFiles bool

var complaint = "fatal: hard limit on address space too low (see ulimit -Hv, LimitAS=) (#4.3.0)\n"

// traceback is what the entry point puts in front of the environment.
var traceback = "GOTRACEBACK=crash\x00"

func init() {
	_ = os.Unsetenv("GOTRACEBACK") // not for the programs that we run
	if few != "" && savedFiles[0] > fewest {
		// By package syscall, which would else give children the lower one.
		open := max(savedFiles[0], min(leastFiles, savedFiles[1]))
		err := syscall.Setrlimit(Files, &syscall.Rlimit{Cur: open, Max: savedFiles[1]})
		manyFiles = err == nil && open != savedFiles[0]
	}
	UsualSlack()
}

// ManyFiles lets the process open as many files as its hard limit says. Programs
// that it runs get the soft one that it was started with.
func ManyFiles() {
	if few == "" || savedFiles[0] >= savedFiles[1] {
		return // package syscall has done so
	}
	manyFiles = syscall.Setrlimit(Files, &syscall.Rlimit{Cur: savedFiles[1], Max: savedFiles[1]}) == nil
}

// entry is the program's entry point, in assembly.
func entry()

// raise is entry's helper, in assembly.
func raise()

// Saved is a soft limit that the program was started with and that its entry
// point has lifted.
type Saved struct {
	Resource int
	Soft     uint64
	Hard     uint64
}

// Lifted returns the soft limits that were in force when the program was
// started and have been raised; none where nothing was limited.
func Lifted() []Saved {
	var out []Saved
	if savedData[0] < savedData[1] {
		out = append(out, Saved{Data, savedData[0], savedData[1]})
	}
	if savedAS[0] < savedAS[1] {
		out = append(out, Saved{AS, savedAS[0], savedAS[1]})
	}
	return out
}

// Variable carries the lifted limits to another program of ours that takes the
// place of this one with its limits still raised (Handover, Adopt).
const Variable = "REQMAIL_LIMITS"

// Handover returns the variable's value: resource and soft limit, in pairs.
func Handover() string {
	var b strings.Builder
	for _, s := range ForChildren() {
		b.WriteString(strconv.Itoa(s.Resource) + " " + strconv.FormatUint(s.Soft, 10) + " ")
	}
	return b.String()
}

// Adopt takes over the limits that Handover described, and removes the
// variable. Whoever else sets it can only lower what programs that we run get.
func Adopt() {
	value, ok := os.LookupEnv(Variable)
	if !ok {
		return
	}
	_ = os.Unsetenv(Variable)
	words := strings.Fields(value)
	for i := 0; i+1 < len(words); i += 2 {
		soft, err := strconv.ParseUint(words[i+1], 10, 64)
		if err != nil {
			return
		}
		for resource, saved := range map[string]*[2]uint64{"2": &savedData, "7": &savedFiles, "9": &savedAS} {
			if words[i] == resource && soft < saved[1] {
				saved[0] = soft
			}
		}
	}
}

// Apply takes out of the environment what the entry point has put there, and
// makes the lowest of the lifted limits the Go runtime's memory limit,
// but never less than the runtime needs to work at all.
func Apply() {
	if os.Getenv(oneThreadName) == oneThreadValue {
		_ = os.Unsetenv(oneThreadName)
	}
	least := uint64(math.MaxInt64)
	for _, s := range Lifted() {
		least = min(least, s.Soft)
	}
	if least < math.MaxInt64 {
		debug.SetMemoryLimit(int64(max(least, floor)))
	}
}

// ForChildren returns the limits to give a program that we run: the lifted
// ones, and the number of open files, which package syscall raises at its
// start and puts back only in its own fork. None where no memory
// limit was lifted, nor that number by ManyFiles, for then package syscall's
// fork does all that is needed.
func ForChildren() []Saved {
	saved := Lifted()
	if len(saved) > 0 || manyFiles {
		saved = append(saved, Saved{Files, savedFiles[0], savedFiles[1]})
	}
	return saved
}

// WasClosed reports whether the program was started without the descriptor.
func WasClosed(fd int) bool { return fd >= 0 && fd < len(closedFDs) && closedFDs[fd] != 0 }

// Unplug makes the descriptors 0 and 1 that the program was started without
// behave as closed ones: to read from /dev/null, which the runtime has put
// there, would look like an empty message. They stay occupied, so that no
// file that is opened later takes their number.
func Unplug() {
	const pathOnly = 0x200000 // O_PATH of open(2): reads and writes are EBADF
	for fd, closed := range closedFDs[:2] {
		if closed == 0 {
			continue
		}
		if f, err := syscall.Open("/", pathOnly|syscall.O_CLOEXEC, 0); err == nil {
			_ = syscall.Dup3(f, fd, syscall.O_CLOEXEC)
			_ = syscall.Close(f)
		}
	}
}
