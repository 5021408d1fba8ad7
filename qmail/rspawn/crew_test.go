package rspawn

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
	"github.com/reqmail/reqmail/compat/errand"
	"github.com/reqmail/reqmail/compat/fdio"
	"github.com/reqmail/reqmail/compat/resident"
	"github.com/reqmail/reqmail/compat/wire"
	"github.com/reqmail/reqmail/qmail/spawn"
)

// fake names, in the environment of the test's own binary, the name by which
// it offers to stay: then it is a qmail-remote.
const fake = "RSPAWN_TEST_CHILD"

func TestMain(m *testing.M) {
	if name := os.Getenv(fake); name != "" {
		beRemote(name)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// beRemote prints how and by which process each message is delivered. What a
// recipient's name begins with is what becomes of his delivery.
func beRemote(name string) {
	_, offered := os.LookupEnv(resident.Variable)
	post := resident.Invited()
	_, kept := os.LookupEnv(resident.Variable)
	stays := post != nil && post.Stay(name, nil) == nil
	text, _ := io.ReadAll(fdio.FD(0))
	_, _ = fdio.FD(1).WriteString(report("run", strings.Join(os.Args[1:], " "), string(text)))
	if !stays || offered == kept {
		return
	}
	if resident.Detach() != nil || post.Send(errand.Answer{Number: errand.First, Kind: errand.Done}.Append(nil)) != nil {
		return
	}
	buf := make([]byte, resident.MaxDatagram)
	for {
		data, files, err := post.Receive(buf)
		if err != nil {
			return
		}
		j, _ := errand.ParseJob(data)
		a := errand.Answer{Number: j.Number, Kind: errand.Done}
		switch word, _, _ := strings.Cut(j.Recipient, "@"); word {
		case "die":
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		case "wait":
			continue
		case "decline":
			a.Kind = errand.Declined
			_, _ = io.ReadAll(files[0]) // as far as it came
		case "progress":
			news := errand.Answer{Number: j.Number, Kind: errand.Progress, News: errand.News{Phase: wire.PhaseSending, Host: "mx", Sent: 1, Total: 2}}
			_ = post.Send(news.Append(nil))
			fallthrough
		default:
			text, _ := io.ReadAll(files[0])
			a.Output = []byte(report("stayed", j.Host+" "+j.Sender+" "+j.Recipient, string(text)))
		}
		resident.Close(files)
		if post.Send(a.Append(nil)) != nil {
			return
		}
	}
}

func report(how, operands, text string) string {
	return how + "|" + operands + "|" + text + "|" + strconv.Itoa(os.Getpid())
}

// spawner runs deliveries through a program.
type spawner struct {
	t      *testing.T
	remote *Remote
	path   string // of the program
	tells  func(phase, host string, sent, total int64)
}

// newSpawner makes one whose program is made by put.
func newSpawner(t *testing.T, put func(path string)) *spawner {
	t.Helper()
	t.Setenv(fake, errand.Name)
	path := filepath.Join(t.TempDir(), "qmail-remote")
	put(path)
	return &spawner{t: t, path: path, remote: &Remote{Program: path, Reaper: child.NewReaper(), Residents: true}}
}

// ourselves puts the test's own binary at a path.
func ourselves(t *testing.T) func(path string) {
	return func(path string) {
		t.Helper()
		self, err := os.Executable()
		if err == nil {
			err = os.Symlink(self, path)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// deliver delivers a message and returns the end and the parts of the output:
// how, the operands, the text, the process.
func (s *spawner) deliver(recipient string) (spawn.End, [4]string) {
	s.t.Helper()
	path := filepath.Join(s.t.TempDir(), "message")
	if err := os.WriteFile(path, []byte("text"), 0o600); err != nil {
		s.t.Error(err)
	}
	in, err := fdio.Open(path, syscall.O_RDONLY, 0)
	if err != nil {
		s.t.Error(err)
	}
	defer in.Close()
	var output strings.Builder
	_, host, _ := strings.Cut(recipient, "@")
	end := s.remote.Run(spawn.Delivery{Sender: "s@x", Recipient: recipient, Domain: host, Message: in, Output: &output, Progress: s.tells})
	var parts [4]string
	copy(parts[:], strings.Split(output.String(), "|"))
	return end, parts
}

// expect delivers, fails unless that went as it should, and returns the
// process.
func (s *spawner) expect(recipient, how string) (pid string) {
	s.t.Helper()
	end, got := s.deliver(recipient)
	_, host, _ := strings.Cut(recipient, "@")
	if want := [4]string{how, host + " s@x " + recipient, "text", got[3]}; end != (spawn.End{}) || got != want {
		s.t.Errorf("%s: got %+v, %q, want %q", recipient, end, got, want)
	}
	return got[3]
}

// TestResident: the first delivery is run as ever, the others by the process
// that stayed.
func TestResident(t *testing.T) {
	s := newSpawner(t, ourselves(t))
	pid := s.expect("first@y", "run")
	for range 3 {
		if got := s.expect("next@y", "stayed"); got != pid {
			t.Errorf("process %s, want %s", got, pid)
		}
	}
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() { s.expect("many@y", "stayed") })
	}
	all.Wait()
}

// TestResidentAtOnce: deliveries that begin together, before anybody has
// stayed, are all carried out. How many need a process of their own is a
// matter of how fast the first one starts.
func TestResidentAtOnce(t *testing.T) {
	s := newSpawner(t, ourselves(t))
	var all sync.WaitGroup
	for range 30 {
		all.Go(func() {
			if end, got := s.deliver("many@y"); end != (spawn.End{}) || got[2] != "text" {
				t.Errorf("got %+v, %q", end, got)
			}
		})
	}
	all.Wait()
	s.expect("next@y", "stayed")
}

// TestNoResident: whoever does not stay is run for each delivery.
func TestNoResident(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name string
		put  func(path string)
		set  func(s *spawner)
	}{
		{"a wrapper", func(path string) {
			if err := os.WriteFile(path, []byte("#!/bin/sh\nexec "+self+" \"$@\"\n"), 0o755); err != nil {
				t.Fatal(err)
			}
		}, func(*spawner) {}},
		{"another version", ourselves(t), func(*spawner) { t.Setenv(fake, "qmail-remote/older") }},
		{"switched off", ourselves(t), func(s *spawner) { s.remote.Residents = false }},
		{"a stranger's variable", ourselves(t), func(s *spawner) {
			t.Setenv(resident.Variable, "0:1:2")
			s.remote.Residents = false
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newSpawner(t, test.put)
			test.set(s)
			if a, b := s.expect("first@y", "run"), s.expect("second@y", "run"); a == b {
				t.Errorf("both by process %s", a)
			}
		})
	}
}

// TestReplaced: another executable in the program's place is run for the next
// delivery.
func TestReplaced(t *testing.T) {
	s := newSpawner(t, ourselves(t))
	old := s.expect("first@y", "run")
	s.expect("second@y", "stayed")
	text, err := os.ReadFile(s.path)
	if err == nil {
		err = os.WriteFile(s.path+".new", text, 0o755)
	}
	if err == nil {
		err = os.Rename(s.path+".new", s.path)
	}
	if err != nil {
		t.Fatal(err)
	}
	if pid := s.expect("third@y", "run"); pid == old {
		t.Error("by the old process")
	}
	s.expect("fourth@y", "stayed")
}

// TestCrash: a process that is killed costs the deliveries that it had, and
// nothing else.
func TestCrash(t *testing.T) {
	s := newSpawner(t, ourselves(t))
	s.expect("first@y", "run")
	waiting := make(chan spawn.End)
	go func() {
		end, _ := s.deliver("wait@y")
		waiting <- end
	}()
	for deadline := time.Now().Add(time.Minute); s.busy() == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("nobody has the delivery")
		}
	}
	crashed := spawn.End{Crashed: true}
	if end, _ := s.deliver("die@y"); end != crashed {
		t.Errorf("the one that killed it: %+v", end)
	}
	if end := <-waiting; end != crashed {
		t.Errorf("the one beside it: %+v", end)
	}
	s.expect("next@y", "run")
	s.expect("next@y", "stayed")
}

// busy is how many jobs the first member has.
func (s *spawner) busy() int {
	s.remote.crew.mu.Lock()
	defer s.remote.crew.mu.Unlock()
	m := s.remote.crew.members[0]
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.jobs)
}

// TestDeclined: a delivery that the process cannot do is run as ever, with the
// whole message, and a new process may stay.
func TestDeclined(t *testing.T) {
	s := newSpawner(t, ourselves(t))
	first := s.expect("first@y", "run")
	s.expect("decline@y", "run")
	if pid := s.expect("next@y", "run"); pid == first {
		t.Error("the process that declined was asked again")
	}
}

func TestProgress(t *testing.T) {
	s := newSpawner(t, ourselves(t))
	s.expect("first@y", "run")
	told := make(chan string, 1)
	s.tells = func(phase, host string, sent, total int64) {
		told <- phase + " " + host + " " + strconv.FormatInt(sent, 10) + " " + strconv.FormatInt(total, 10)
	}
	s.expect("progress@y", "stayed")
	if got := <-told; got != "sending mx 1 2" {
		t.Errorf("told %q", got)
	}
}

// TestIdle: a process without jobs is let go.
func TestIdle(t *testing.T) {
	s := newSpawner(t, ourselves(t))
	s.expect("first@y", "run")
	s.remote.crew.members[0].dismiss()
	s.expect("next@y", "run")
}
