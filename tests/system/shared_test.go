package system

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/reqmail/reqmail/compat/submit"
	"github.com/reqmail/reqmail/tests/host"
)

// queuers injects messages one after the other and returns, in their order, the
// processes that queued them.
func (s *system) queuers(n int, text string) (pids []int) {
	s.t.Helper()
	before := s.texts()
	for i := range n {
		s.inject(fmt.Sprintf("Subject: number %d\n\n%s", i, text), "you@"+host.Name)
	}
	for i := range n {
		for path, text := range s.texts() {
			m := invoked.FindStringSubmatch(text)
			if before[path] == "" && m != nil && strings.Contains(text, fmt.Sprintf("\nSubject: number %d\n", i)) {
				pid, err := strconv.Atoi(m[1])
				s.ok(err)
				pids = append(pids, pid)
			}
		}
	}
	if len(pids) != n {
		s.t.Fatalf("%d of %d messages are in the queue", len(pids), n)
	}
	return pids
}

var invoked = regexp.MustCompile(`^Received: \(qmail (\d+) invoked `)

// texts returns the texts in the queue.
func (s *system) texts() map[string]string {
	all := map[string]string{}
	paths, _ := filepath.Glob(s.Path("queue/mess/*/*"))
	for _, path := range paths {
		all[path] = s.read(path)
	}
	return all
}

// shared returns the process that all clients share by now.
func (s *system) shared() int {
	s.t.Helper()
	pid := 0
	s.until("a qmail-queue that is shared", func() bool {
		pids := s.queuers(2, "")
		pid = pids[1]
		return pids[0] == pid
	})
	return pid
}

func alive(pid int) bool { return syscall.Kill(pid, 0) == nil }

// TestQueuerShared: clients that come one after the other share a qmail-queue,
// whatever the size of their messages; after the last one it goes.
func TestQueuerShared(t *testing.T) {
	s := layOut(t)
	pid := s.shared()
	command, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	if string(command) != submit.Program+"\n" {
		t.Errorf("its name is %q, %v", command, err)
	}
	for _, n := range sizes {
		for _, other := range s.queuers(2, lines(n)) {
			if other != pid {
				t.Errorf("%d bytes: process %d, want %d", n, other, pid)
			}
		}
	}
	if qp := s.session().message("a: b\n\n"); qp != pid {
		t.Errorf("qmail-smtpd: process %d, want %d", qp, pid)
	}
	s.until("its end", func() bool { return !alive(pid) })
	n := len(s.texts())
	s.up()
	arrived := strings.Join(s.mail(n), "")
	for _, size := range sizes {
		if strings.Count(arrived, "\n\n"+lines(size)) != 2 {
			t.Errorf("the messages of %d bytes have not come as they were sent", size)
		}
	}
}

// TestQueuerSharedNot: nobody shares where a file says so, where there is a
// wrapper, or where the client may write less than others.
func TestQueuerSharedNot(t *testing.T) {
	s := layOut(t)
	apart := func(what string) {
		t.Helper()
		pids := s.queuers(4, "")
		seen := map[int]bool{}
		for _, pid := range pids {
			seen[pid] = true
		}
		if len(seen) != len(pids) {
			t.Errorf("%s: processes %v", what, pids)
		}
	}
	s.shared()
	s.ok(s.Control("residentchildren", "0\n"))
	apart("residentchildren 0")
	s.ok(os.Remove(s.Path("control/residentchildren")))

	s.shared()
	if out, err := s.Run("a: b\n\n", "sh", "-c", "ulimit -f 1000; exec strace -f -o "+s.Path("trace")+" -e trace=connect qmail-inject you@"+host.Name); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if trace := s.read(s.Path("trace")); strings.Contains(trace, submit.Program) {
		t.Errorf("a client with a limit asks for a process without: %s", trace)
	}

	s.ok(os.Rename(s.Path("bin/qmail-queue"), s.Path("bin/qmail-queue.orig")))
	s.ok(os.WriteFile(s.Path("bin/qmail-queue"), []byte("#!/bin/sh\necho x >>"+s.Path("runs")+"\nexec "+s.Path("bin/qmail-queue.orig")+"\n"), 0o755))
	apart("a wrapper")
	if runs := s.read(s.Path("runs")); runs != "x\nx\nx\nx\n" {
		t.Errorf("the wrapper ran %q", runs)
	}
}

// TestQueuerSharedTrouble: a message that a process which is killed has not
// answered for is refused for now, and the next one gets another process. Who
// sets the variable himself is told that his message was not queued.
func TestQueuerSharedTrouble(t *testing.T) {
	s := layOut(t)
	pid := s.shared()
	s.ok(syscall.Kill(pid, syscall.SIGSTOP))
	s.until("all its threads to stop", func() bool {
		threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
		return len(threads) > 0 && !slices.ContainsFunc(threads, func(stat string) bool {
			return !strings.Contains(s.read(stat), ") T ")
		})
	})
	ended := make(chan string, 1)
	go func() {
		out, err := s.Run("a: b\n\n"+lines(100), "qmail-inject", "you@"+host.Name)
		ended <- fmt.Sprint(out, err)
	}()
	select {
	case said := <-ended: // a process that does not answer is passed by
		if said != "<nil>" {
			t.Errorf("qmail-inject: %s", said)
		}
	case <-time.After(host.Patience):
		t.Error("a client waits for a process that does nothing")
	}
	s.ok(syscall.Kill(pid, syscall.SIGKILL))
	s.until("its end", func() bool { return !alive(pid) })
	if other := s.shared(); other == pid {
		t.Error("a dead process queues")
	}

	before := len(s.texts())
	cmd := s.Command("qmail-queue")
	cmd.Env = append(cmd.Env, "REQMAIL_SHARED=1")
	cmd.Stdin = strings.NewReader("a: b\n\n")
	cmd.Stdout = nil
	if err := cmd.Run(); err == nil {
		t.Error("a message that was not queued is told as queued")
	}
	if after := len(s.texts()); after != before {
		t.Errorf("%d messages, then %d", before, after)
	}
}

// TestQueuerSharedEnds: told to end, it does what it has begun, and lets
// nobody in any more.
func TestQueuerSharedEnds(t *testing.T) {
	s := layOut(t)
	pid := s.shared()
	c := s.session()
	c.data()
	c.say(strings.ReplaceAll(lines(100000), "\n", "\r\n")) // begins to write to the process that is shared
	s.until("a message on its way", func() bool {
		partly, _ := filepath.Glob(s.Path("queue/mess/*/*"))
		for _, path := range partly {
			if st, err := os.Stat(path); err == nil && st.Size() > 10000 {
				return true
			}
		}
		return false
	})
	s.ok(syscall.Kill(pid, syscall.SIGTERM))
	for _, other := range s.queuers(2, "") {
		if other == pid {
			t.Error("a process that is to end has let another message in")
		}
	}
	c.say(".\r\n")
	if reply := c.replied("250 "); !strings.Contains(reply, " qp "+strconv.Itoa(pid)) {
		t.Errorf("the message that was on its way: %s", reply)
	}
	s.until("its end", func() bool { return !alive(pid) })
}
