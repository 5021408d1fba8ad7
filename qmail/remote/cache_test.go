package remote

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestConfigCache: whatever changes in the control directory counts for the
// next delivery, and as long as nothing does nothing is read.
func TestConfigCache(t *testing.T) {
	dir, elsewhere := t.TempDir(), filepath.Join(t.TempDir(), "file")
	write := func(path, text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write(dir+"/me", "me.example\n")
	if err := os.Symlink(elsewhere, dir+"/connectionreuse"); err != nil {
		t.Fatal(err)
	}
	c := configCache{path: dir}
	for _, step := range []struct {
		name   string
		change func()
		want   time.Duration // Timeout plus Reuse
	}{
		{"at first", func() {}, 1202 * time.Second},
		{"a file comes", func() { write(dir+"/timeoutremote", "30\n") }, 32 * time.Second},
		{"it changes", func() { write(dir+"/timeoutremote", "40\n") }, 42 * time.Second},
		{"what a link leads to comes", func() { write(elsewhere, "5\n") }, 45 * time.Second},
		{"that changes", func() { write(elsewhere, "6\n") }, 46 * time.Second},
		{"the file goes", func() { os.Remove(dir + "/timeoutremote") }, 1206 * time.Second},
	} {
		for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
			one, err := c.get()
			if two, _ := c.get(); err == nil && one == two {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s: nothing is kept, %v", step.name, err)
			}
		}
		step.change()
		config, err := c.get()
		if err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		if got := config.Timeout + config.Reuse; got != step.want {
			t.Errorf("%s: %v, want %v", step.name, got, step.want)
		}
	}
}
