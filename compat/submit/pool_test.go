package submit

import (
	"io"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/reqmail/reqmail/compat/fdio"
	"github.com/reqmail/reqmail/compat/resident"
)

// worker names, in the environment of the test's own binary, that it is to be
// a queue program: it refuses with 31 a message of which its environment's word
// is a part, dies of one that says so, and may stay.
const worker = "SUBMIT_TEST_WORKER"

func TestMain(m *testing.M) {
	if word := os.Getenv(worker); word != "" {
		os.Exit(work(resident.Invited(), word))
	}
	os.Exit(m.Run())
}

func work(post *resident.Post, word string) int {
	judge := func(text, envelope io.Reader) byte {
		all, _ := io.ReadAll(text)
		to, _ := io.ReadAll(envelope)
		switch {
		case !strings.HasSuffix(string(to), "\x00\x00"):
			return 54
		case strings.Contains(string(all), word):
			return 31
		case strings.Contains(string(all), "die"):
			os.Exit(0) // without an answer
		}
		return 0
	}
	code := judge(fdio.FD(0), fdio.FD(1))
	if post == nil || post.Stay(Program, []byte{code}) != nil || resident.Detach() != nil {
		return int(code)
	}
	for fd := fdio.FD(3); fd <= 6; fd++ {
		if inherited(fd) == fd {
			fd.Close()
		}
	}
	buf := make([]byte, resident.MaxDatagram)
	for {
		job, files, err := post.Next(buf)
		if err != nil {
			return int(code)
		}
		if len(files) == 2 {
			code = judge(files[0], files[1])
		} else if text, envelope, ok := SplitJob(job); ok {
			code = judge(strings.NewReader(string(text)), strings.NewReader(string(envelope)))
		}
		resident.Close(files)
		if post.Send([]byte{code}) != nil {
			return int(code)
		}
	}
}

// workers is a pool of such programs and their environment.
func workers(t *testing.T, most, spare int) (*Pool, []string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("REQMAIL_HOME", t.TempDir())
	p := NewPool(most, spare)
	t.Cleanup(p.Close)
	return p, []string{worker + "=spam", "QMAILQUEUE=" + self}
}

// submitTo submits a message and returns the process that got it.
func submitTo(t *testing.T, p *Pool, env []string, text, want string) (qp int) {
	t.Helper()
	m, err := p.Open(env)
	if err != nil {
		t.Error(err)
		return 0
	}
	m.WriteString(text)
	m.From("a")
	m.To("b")
	if got := m.Close(); got != want {
		t.Errorf("%.20q: %q, want %q", text, got, want)
	}
	return m.QP()
}

const refused = "Dmail server permanently rejected message (#5.3.0)"

func TestPoolKeeps(t *testing.T) {
	p, env := workers(t, 1, 1)
	large := strings.Repeat("x", 3*inBand)
	first := submitTo(t, p, env, "one", "")
	second := submitTo(t, p, env, "spam", refused)
	if first == second {
		t.Error("a first message's program was asked to stay")
	}
	for _, m := range []struct{ text, want string }{
		{"three", ""}, {"spam", refused}, {large, ""}, {large + "spam", refused}, {"", ""},
	} {
		if qp := submitTo(t, p, env, m.text, m.want); qp != second {
			t.Errorf("%.20q: process %d, want %d", m.text, qp, second)
		}
	}
	// Those that are given up cost no program.
	for _, text := range []string{"small", large} {
		for _, end := range []func(*Message){
			func(m *Message) { m.Abandon() },
			func(m *Message) {
				m.Fail()
				m.From("")
				if got := m.Close(); got != "Zqq read error (#4.3.0)" {
					t.Errorf("failed: %q", got)
				}
			},
		} {
			m, err := p.Open(env)
			if err != nil {
				t.Fatal(err)
			}
			m.WriteString(text)
			end(m)
		}
	}
	if qp := submitTo(t, p, env, "after all that", ""); qp != second {
		t.Errorf("process %d, want %d", qp, second)
	}
	// One that has died is replaced, and its message refused for now.
	submitTo(t, p, env, "die", "Zqq crashed (#4.3.0)")
	if qp := submitTo(t, p, env, "on", ""); qp == second {
		t.Error("a dead program has queued a message")
	}
	// Other programs get none of it.
	if qp := submitTo(t, p, append([]string{"REQMAIL_HOME=/elsewhere"}, env...), "one", ""); qp == second {
		t.Error("homes share a program")
	}
}

func TestPoolShared(t *testing.T) {
	p, env := workers(t, 3, 0)
	large := strings.Repeat("x", 3*inBand)
	var wg sync.WaitGroup
	for range 8 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for range 3 {
				submitTo(t, p, env, "x", "")
				submitTo(t, p, env, large+"spam", refused)
			}
		}()
	}
	wg.Wait()
}
