package fdio

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"

	"golang.org/x/sys/unix"
)

// A reader that waits gets what is written, when it is, whatever it reads from,
// and whoever shares that finds it in blocking mode.
func TestWaiting(t *testing.T) {
	r, w, err := Pipe()
	if err != nil {
		t.Fatal(err)
	}
	in := Waiting(r)
	buf := make([]byte, 4)
	for _, text := range []string{"one", "two", "four", "a"} {
		go func() { _, _ = w.WriteString(text) }()
		if n, err := in.Read(buf); err != nil || string(buf[:n]) != text {
			t.Errorf("read %q, %v, want %q", buf[:n], err, text)
		}
	}
	go func() {
		_, _ = w.WriteString("more than fits")
		w.Close()
	}()
	if text, err := io.ReadAll(iotest.OneByteReader(in)); string(text) != "more than fits" || err != nil {
		t.Errorf("the rest: %q, %v", text, err)
	}
	if flags, err := unix.FcntlInt(uintptr(r), unix.F_GETFL, 0); err != nil || flags&unix.O_NONBLOCK != 0 {
		t.Errorf("flags %o, %v", flags, err)
	}
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte("content"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := Open(path, syscall.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if text, err := io.ReadAll(Waiting(f)); string(text) != "content" || err != nil {
		t.Errorf("a file: %q, %v", text, err)
	}
}

// What several print, one after the other, is collected until the last has ended.
func TestCollect(t *testing.T) {
	var out strings.Builder
	w, done, err := Collect(&out)
	if err != nil {
		t.Fatal(err)
	}
	other, err := DupAbove(w, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = w.WriteString("one ")
	w.Close()
	_, _ = other.WriteString(strings.Repeat("x", 5000))
	other.Close()
	<-done
	if got := out.String(); got != "one "+strings.Repeat("x", 5000) {
		t.Errorf("collected %d bytes", len(got))
	}
}

// Names and positions mean what they do in the system calls of those names.
func TestFiles(t *testing.T) {
	dir := t.TempDir()
	at, err := Open(dir, syscall.O_RDONLY|syscall.O_DIRECTORY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer at.Close()
	f, err := OpenAt(at, "a", syscall.O_RDWR|syscall.O_CREAT|syscall.O_EXCL, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Prompt(f).Write([]byte("content")); err != nil {
		t.Error(err)
	}
	if err := f.Sync(); err != nil {
		t.Error(err)
	}
	buf := make([]byte, 8)
	if n, err := f.ReadAt(buf, 3); string(buf[:n]) != "tent" || err != io.EOF {
		t.Errorf("from the middle: %q, %v", buf[:n], err)
	}
	if n, err := f.ReadAt(buf[:2], 5); string(buf[:n]) != "nt" || err != nil {
		t.Errorf("no more than is there: %q, %v", buf[:n], err)
	}
	if err := LinkAt(at, "a", "b"); err != nil {
		t.Error(err)
	}
	if err := LinkAt(at, "a", "b"); err != syscall.EEXIST {
		t.Errorf("a name that is taken: %v", err)
	}
	if st, err := StatAt(at, "b"); err != nil || st.Size != 7 || st.Nlink != 2 {
		t.Errorf("%+v, %v", st, err)
	}
	if err := UnlinkAt(at, "a"); err != nil {
		t.Error(err)
	}
	if _, err := Stat(filepath.Join(dir, "a")); err != syscall.ENOENT {
		t.Errorf("a name that is gone: %v", err)
	}
	if _, err := Open("a\x00b", syscall.O_RDONLY, 0); err != syscall.EINVAL {
		t.Errorf("a name that is none: %v", err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
}
