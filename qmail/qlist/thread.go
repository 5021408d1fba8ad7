package qlist

import (
	"os"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// thread is what a lister's thread has for itself. To do without any of it
// changes nothing but the time that the kernel takes.
type thread struct {
	closing int  // how many files are closed at a time
	lowered bool // it looks at files as their owner, not as root
}

// ownThread keeps the goroutine on its thread, which ends with it, and gives that
// a table of descriptors of its own: the kernel then need not keep other threads
// from it at each call, and files can be closed by the dozen. Where a container
// forbids that, they are closed one by one. polling says that the runtime has
// opened the descriptors that it uses on any thread: those are in every table then.
//
// As root it becomes to file systems who owns the queue: an owner's permission
// takes a kernel less time to find than root's.
func ownThread(polling bool) thread {
	runtime.LockOSThread()
	t := thread{closing: 1}
	if polling && unix.Unshare(unix.CLONE_FILES) == nil {
		t.closing = 32
	}
	var st syscall.Stat_t
	if os.Geteuid() == 0 && syscall.Stat("info", &st) == nil && st.Uid != 0 {
		_ = unix.Setfsgid(int(st.Gid))
		_ = unix.Setfsuid(int(st.Uid))
		t.lowered = true
	}
	return t
}

// startPolling has the runtime open its poller, which it otherwise does at some
// time later, and use it on whatever thread collects garbage. It reports whether
// that was done: a pipe takes deadlines only there.
func startPolling() bool {
	r, w, err := os.Pipe()
	if err != nil {
		return false
	}
	defer r.Close()
	defer w.Close()
	return r.SetDeadline(time.Time{}) == nil
}

// raise makes the thread root again; false if it is or was not. What the owner of
// the queue may not look at, root may.
func (t *thread) raise() bool {
	if !t.lowered {
		return false
	}
	t.lowered = false
	_ = unix.Setfsuid(0)
	_ = unix.Setfsgid(0)
	return true
}
