package splog

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/reqmail/reqmail/compat/fdio"
)

// openFile is NewFile with a fixed host and zone; complaints are collected.
func openFile(path string, complaints *[]string) *File {
	f := NewFile(Config{File: path, Tag: "qmail"}, func(text string) { *complaints = append(*complaints, text) })
	f.prefix, f.zone = " host qmail: ", time.UTC
	return f
}

func content(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

const head = "Nov 22 17:01:28 host qmail: "

func TestFileLine(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0o022))
	path := filepath.Join(t.TempDir(), "maillog")
	var complaints []string
	f := openFile(path, &complaints)
	f.Put(entry(stamp + " new msg 5"))
	f.Close()
	f = openFile(path, &complaints) // appends
	f.Put(entry(stamp + " end msg 5"))
	f.Close()
	if got, want := content(t, path), head+stamp+" new msg 5\n"+head+stamp+" end msg 5\n"; got != want {
		t.Errorf("%q", got)
	}
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o640 {
		t.Errorf("mode %v, %v", st.Mode(), err)
	}
	if complaints != nil {
		t.Error(complaints)
	}
}

func TestFileReopen(t *testing.T) {
	dir := t.TempDir()
	path := dir + "/maillog"
	var complaints []string
	f := openFile(path, &complaints)
	f.Put(entry("1"))
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	f.Put(entry("2")) // before the signal: to the old file
	f.Reopen()
	f.Put(entry("3"))
	if err := os.Rename(path, path+".2"); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	f.Reopen() // cannot be opened: the renamed file is better than nothing
	f.Put(entry("4"))
	if !f.Troubled() || len(complaints) != 1 {
		t.Errorf("troubled %v, complaints %q", f.Troubled(), complaints)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	f.Reopen()
	f.Put(entry("5"))
	if f.Troubled() {
		t.Error("still troubled")
	}
	for name, want := range map[string]string{
		"maillog.1": head + "1\n" + head + "2\n", "maillog.2": head + "3\n" + head + "4\n", "maillog": head + "5\n",
	} {
		if got := content(t, dir+"/"+name); got != want {
			t.Errorf("%s: %q", name, got)
		}
	}
}

func TestFileComesLater(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log", "maillog")
	var complaints []string
	f := openFile(path, &complaints)
	f.Put(entry("1"))
	f.Put(entry("2"))
	f.Reopen()
	if want := "warning: unable to open " + path + ": file does not exist; will try again"; len(complaints) != 1 || complaints[0] != want {
		t.Errorf("%q", complaints)
	}
	if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	f.Reopen()
	f.Put(entry("3"))
	if got := content(t, path); got != head+"1\n"+head+"2\n"+head+"3\n" {
		t.Errorf("%q", got)
	}
}

// While nothing can be written, memory is bounded, the oldest lines are kept,
// and the file tells how many are missing.
func TestFileGap(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log", "maillog")
	var complaints []string
	f := openFile(path, &complaints)
	const sent = 2000
	for i := range sent {
		f.Put(entry(strconv.Itoa(i) + strings.Repeat(" ", 300)))
	}
	if len(f.held) > maxHeld {
		t.Errorf("%d bytes held", len(f.held))
	}
	if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	f.Reopen()
	lines := strings.Split(strings.TrimSuffix(content(t, path), "\n"), "\n")
	for i, line := range lines[:len(lines)-1] {
		if !strings.HasPrefix(line, head+strconv.Itoa(i)+" ") {
			t.Fatalf("line %d: %q", i, line)
		}
	}
	last := fmt.Sprintf(" warning: splogger: %d lines lost, the log could not be written", sent-len(lines)+1)
	if !strings.HasSuffix(lines[len(lines)-1], last) {
		t.Errorf("%q", lines[len(lines)-1])
	}
}

// A line of which a full disk took a part is completed where it began, or
// written whole to a new file.
func TestFilePartialLine(t *testing.T) {
	for _, rotated := range []bool{false, true} {
		path := filepath.Join(t.TempDir(), "maillog")
		var complaints []string
		f := openFile(path, &complaints)
		f.failing = true
		f.Put(entry("1"))
		f.Put(entry("2"))
		f.partial = 10
		if err := os.WriteFile(path, []byte(head[:10]), 0o600); err != nil {
			t.Fatal(err)
		}
		if rotated {
			if err := os.Rename(path, path+".1"); err != nil {
				t.Fatal(err)
			}
		}
		f.Reopen()
		if got := content(t, path); got != head+"1\n"+head+"2\n" {
			t.Errorf("rotated %v: %q", rotated, got)
		}
	}
}

func TestFileFull(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("no /dev/full here")
	}
	var complaints []string
	f := openFile("/dev/full", &complaints)
	f.Put(entry("1"))
	f.Put(entry("2"))
	f.Reopen()
	if !f.Troubled() || len(complaints) != 1 || !strings.Contains(complaints[0], "out of disk space") {
		t.Errorf("%q", complaints)
	}
	f.Close()
	if len(complaints) != 2 || complaints[1] != "warning: 2 lines lost, the log could not be written" {
		t.Errorf("%q", complaints)
	}
}

// Under a log that is rotated all the time every line is whole and in exactly
// one file.
func TestFollowRotation(t *testing.T) {
	dir := t.TempDir()
	path := dir + "/maillog"
	in, out, err := fdio.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	hup := make(chan os.Signal)
	done := make(chan struct{})
	f := NewFile(Config{File: path, Tag: "qmail"}, func(text string) { t.Error(text) })
	go func() {
		Follow(in, f, hup)
		close(done)
	}()
	const lines, rotations = 20000, 50
	go func() {
		w := bufio.NewWriter(out)
		for i := range lines {
			fmt.Fprintf(w, "line %d\n", i)
		}
		_ = w.Flush()
	}()
	for i := range rotations {
		if err := os.Rename(path, path+"."+strconv.Itoa(i)); err != nil {
			t.Fatal(err)
		}
		hup <- syscall.SIGHUP
		// Taken up once the channel is free again: only then is there a file to
		// rename.
		hup <- syscall.SIGHUP
	}
	waitForLast(t, dir, lines)
	out.Close()
	<-done
	seen := map[string]int{}
	files, _ := filepath.Glob(dir + "/*")
	for _, name := range files {
		for line := range strings.Lines(content(t, name)) {
			_, text, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "line ")
			if !ok {
				t.Fatalf("torn: %q", line)
			}
			seen[text]++
		}
	}
	for i := range lines {
		if n := seen[strconv.Itoa(i)]; n != 1 {
			t.Fatalf("line %d is there %d times", i, n)
		}
	}
}

// waitForLast waits until the last line has been logged somewhere.
func waitForLast(t *testing.T, dir string, lines int) {
	t.Helper()
	last := fmt.Sprintf("line %d\n", lines-1)
	for deadline := time.Now().Add(8 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		files, _ := filepath.Glob(dir + "/*")
		for _, name := range files {
			if strings.HasSuffix(content(t, name), last) {
				return
			}
		}
	}
	t.Fatal("the last line never came")
}

// stuck delivers one line and then nothing until it is released.
type stuck struct {
	first   string
	release chan struct{}
}

func (s *stuck) Read(p []byte) (int, error) {
	if s.first != "" {
		n := copy(p, s.first)
		s.first = s.first[n:]
		return n, nil
	}
	<-s.release
	return 0, io.EOF
}

// Lines that could not be written are tried again although no more come.
func TestFollowRetries(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log", "maillog")
	in := &stuck{"hello\n", make(chan struct{})}
	told := make(chan struct{}, 1)
	f := NewFile(Config{File: path}, func(string) { told <- struct{}{} })
	<-told
	done := make(chan struct{})
	go func() {
		Follow(in, f, nil)
		close(done)
	}()
	if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(8 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if data, _ := os.ReadFile(path); strings.HasSuffix(string(data), " hello\n") {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("never written")
		}
	}
	close(in.release)
	<-done
}
