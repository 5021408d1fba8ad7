package fdio

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// pipe makes a pipe. Who closes an end twice closes what has got its number.
func pipe(t *testing.T) (r, w FD) {
	t.Helper()
	r, w, err := Pipe()
	if err != nil {
		t.Fatal(err)
	}
	return r, w
}

// flags returns the flags of a descriptor and of what it is open on.
func flags(t *testing.T, f FD) (closeOnExec, nonBlocking bool) {
	t.Helper()
	get := func(what uintptr) uintptr {
		n, _, errno := syscall.Syscall(syscall.SYS_FCNTL, uintptr(f), what, 0)
		if errno != 0 {
			t.Fatal(errno)
		}
		return n
	}
	return get(syscall.F_GETFD)&syscall.FD_CLOEXEC != 0, get(syscall.F_GETFL)&syscall.O_NONBLOCK != 0
}

func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	f, err := Open(path, syscall.O_RDWR|syscall.O_CREAT|syscall.O_EXCL, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if inherited, _ := flags(t, f); !inherited {
		t.Error("children inherit the file")
	}
	if _, err := f.WriteString("hello"); err != nil {
		t.Fatal(err)
	}
	if err := f.Sync(); err != nil {
		t.Error(err)
	}
	if st, err := f.Stat(); err != nil || st.Size != 5 || st.Mode&0o777 != 0o600 {
		t.Errorf("size %d, mode %o, %v", st.Size, st.Mode, err)
	}
	if at, err := f.Seek(1, io.SeekStart); at != 1 || err != nil {
		t.Errorf("at %d, %v", at, err)
	}
	if n, err := f.Read(nil); n != 0 || err != nil {
		t.Errorf("read of nothing: %d, %v", n, err)
	}
	if got, err := io.ReadAll(f); string(got) != "ello" || err != nil {
		t.Errorf("read %q, %v", got, err)
	}
	if n, err := f.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("at the end: %d, %v", n, err)
	}
	if got, err := ReadFile(path); string(got) != "hello" || err != nil {
		t.Errorf("ReadFile: %q, %v", got, err)
	}
}

// Errors are the system's numbers: qmail has its own words for them.
func TestErrors(t *testing.T) {
	dir := t.TempDir()
	if _, err := Open(dir+"/none", syscall.O_RDONLY, 0); err != syscall.ENOENT {
		t.Errorf("open: %v", err)
	}
	if _, err := ReadFile(dir + "/none"); err != syscall.ENOENT {
		t.Errorf("read a file that is not there: %v", err)
	}
	if _, err := ReadFile(dir); err != syscall.EISDIR {
		t.Errorf("read a directory: %v", err)
	}
	const closed = FD(1 << 20)
	if _, err := closed.Read(make([]byte, 1)); err != syscall.EBADF {
		t.Errorf("read: %v", err)
	}
	if n, err := closed.WriteString("x"); n != 0 || err != syscall.EBADF {
		t.Errorf("write: %d, %v", n, err)
	}
	if err := closed.Sync(); err != syscall.EBADF {
		t.Errorf("sync: %v", err)
	}
	if _, err := closed.Stat(); err != syscall.EBADF {
		t.Errorf("stat: %v", err)
	}
	if _, err := DupAbove(closed, 3); err != syscall.EBADF {
		t.Errorf("dup: %v", err)
	}
}

// A FIFO without a writer must not stop who reads a file by its name.
func TestReadFileOfFIFO(t *testing.T) {
	path := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := ReadFile(path); len(got) != 0 || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestPipe(t *testing.T) {
	r, w := pipe(t)
	for _, f := range []FD{r, w} {
		if inherited, nonBlocking := flags(t, f); !inherited || nonBlocking {
			t.Errorf("close-on-exec %v, non-blocking %v", inherited, nonBlocking)
		}
	}
	defer r.Close()
	text := strings.Repeat("0123456789", 100000) // more than a pipe takes at once
	go func() {
		_, _ = w.WriteString(text)
		w.Close()
	}()
	if got, err := io.ReadAll(r); string(got) != text || err != nil {
		t.Errorf("got %d bytes, %v, want %d", len(got), err, len(text))
	}
}

// A reader that has gone is an error, and not the end of the process.
func TestBrokenPipe(t *testing.T) {
	r, w := pipe(t)
	defer w.Close()
	r.Close()
	if _, err := w.WriteString("x"); err != syscall.EPIPE {
		t.Errorf("got %v, want %v", err, syscall.EPIPE)
	}
	timed := Timed{Out: w, Timeout: time.Minute}
	if _, err := timed.Write([]byte("x")); err != syscall.EPIPE {
		t.Errorf("timed: got %v, want %v", err, syscall.EPIPE)
	}
}

func TestDupAbove(t *testing.T) {
	r, w := pipe(t)
	defer r.Close()
	dup, err := DupAbove(w, 50)
	if err != nil {
		t.Fatal(err)
	}
	w.Close()
	if inherited, _ := flags(t, dup); dup < 50 || !inherited {
		t.Errorf("descriptor %d, close-on-exec %v", dup, inherited)
	}
	_, _ = dup.WriteString("x")
	dup.Close()
	if got, err := io.ReadAll(r); string(got) != "x" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestPollable(t *testing.T) {
	r, w := pipe(t)
	defer w.Close()
	file := Pollable(r, "pipe")
	defer file.Close()
	if err := file.SetReadDeadline(time.Now().Add(time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if _, err := file.Read(make([]byte, 1)); !os.IsTimeout(err) {
		t.Errorf("got %v, want a time-out", err)
	}
}

func TestTimed(t *testing.T) {
	r, w := pipe(t)
	defer r.Close()
	conn := &Timed{In: r, Out: w, Timeout: time.Minute}
	var _ io.ReadWriter = conn
	if n, err := conn.Write([]byte("hello")); n != 5 || err != nil {
		t.Fatalf("wrote %d, %v", n, err)
	}
	buf := make([]byte, 100)
	if n, err := conn.Read(buf); string(buf[:n]) != "hello" || err != nil {
		t.Errorf("read %q, %v", buf[:n], err)
	}
	if before := conn.SetTimeout(time.Millisecond); before != time.Minute {
		t.Errorf("waited %v before", before)
	}
	if n, err := conn.Read(buf); n != 0 || err != syscall.ETIMEDOUT {
		t.Errorf("a peer that says nothing: %d, %v, want %v", n, err, syscall.ETIMEDOUT)
	}
	w.Close()
	if n, err := conn.Read(buf); n != 0 || err != io.EOF {
		t.Errorf("a peer that has gone: %d, %v", n, err)
	}
}

// A peer that takes nothing holds nobody up for ever, though the descriptors,
// which others share, are in blocking mode.
func TestTimedWrite(t *testing.T) {
	for _, kind := range []string{"socket", "pipe"} {
		t.Run(kind, func(t *testing.T) {
			r, w := pipe(t)
			if kind == "socket" {
				r.Close()
				w.Close()
				ends, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
				if err != nil {
					t.Fatal(err)
				}
				r, w = FD(ends[0]), FD(ends[1])
			}
			defer r.Close()
			defer w.Close()
			text := bytes.Repeat([]byte("0123456789"), 100000) // more than either takes
			conn := &Timed{Out: w, Timeout: 10 * time.Millisecond}
			n, err := conn.Write(text)
			if err != syscall.ETIMEDOUT || n == 0 || n == len(text) {
				t.Fatalf("wrote %d, %v, want some and %v", n, err, syscall.ETIMEDOUT)
			}
			// A peer that takes it all in the end gets it whole.
			conn.Timeout = time.Minute
			read := make(chan []byte)
			go func() {
				got := make([]byte, len(text))
				n, _ := io.ReadFull(r, got)
				read <- got[:n]
			}()
			if more, err := conn.Write(text[n:]); err != nil || n+more != len(text) {
				t.Errorf("wrote %d more, %v", more, err)
			}
			if got := <-read; !bytes.Equal(got, text) {
				t.Errorf("the peer got %d bytes, want %d", len(got), len(text))
			}
		})
	}
}

// FuzzEntries: no buffer makes the parser of directories read beyond it.
func FuzzEntries(f *testing.F) {
	f.Add([]byte("\x01\x00\x00\x00\x00\x00\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00\x18\x00\x0824\x00\x00\x00"))
	f.Add(bytes.Repeat([]byte{0xff}, 40))
	f.Fuzz(func(t *testing.T, b []byte) {
		parseEntries(b, func(_ byte, name []byte) {
			if len(name) == 0 || len(name) > len(b) {
				t.Fatalf("%q", name)
			}
		})
	})
}
