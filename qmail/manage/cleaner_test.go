package manage

import (
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/reqmail/reqmail/qmail/clean"
	"github.com/reqmail/reqmail/queue"
)

// What a cleaner is told is what qmail-clean understands; what it could not do
// is an error.
func TestCleaner(t *testing.T) {
	t.Chdir(t.TempDir())
	const id = queue.ID(7)
	for _, path := range []string{id.Mess(), id.Intd(), id.Todo()} {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	requests, asks := io.Pipe()
	told, answers := io.Pipe()
	go func() {
		clean.Run(requests, answers, time.Now)
		answers.Close()
	}()
	c := &Cleaner{requests: asks, answers: told}
	for _, step := range []struct {
		do   func(queue.ID) error
		gone string
	}{{c.envelope, id.Todo()}, {c.text, id.Mess()}} {
		if err := step.do(id); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(step.gone); !os.IsNotExist(err) {
			t.Errorf("%s: %v", step.gone, err)
		}
	}
	if err := os.MkdirAll(id.Mess(), 0o700); err != nil {
		t.Fatal(err)
	}
	if c.text(id) == nil {
		t.Error("a text that cannot be removed is taken for removed")
	}
	asks.Close()
	if c.text(id) == nil {
		t.Error("a cleaner that has ended is believed")
	}
}
