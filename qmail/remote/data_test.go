package remote

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func encoded(t testing.TB, message string) (string, error) {
	t.Helper()
	var wire bytes.Buffer
	out := bufio.NewWriter(&wire)
	err := encode(out, iotest.OneByteReader(strings.NewReader(message)))
	if flushErr := out.Flush(); flushErr != nil {
		t.Fatal(flushErr)
	}
	return wire.String(), err
}

func TestEncode(t *testing.T) {
	for _, test := range []struct {
		message, wire string
		err           error
	}{
		{"", "", nil},
		{"a\nb\n", "a\r\nb\r\n", nil},
		{"a\r\nb\r\n", "a\r\nb\r\n", nil}, // CR LF in the queue is one line end
		{".\n", "..\r\n", nil},
		{"a.\n.b\n", "a.\r\n..b\r\n", nil},
		{"a\rb\n", "a\r\nb\r\n", nil},    // a bare CR ends a line …
		{"a\r.b\n", "a\r\n..b\r\n", nil}, // … behind which a dot is doubled
		{"\n\r.\r\nz\n", "\r\n\r\n..\r\nz\r\n", nil},
		{"a\r\r\nb\n", "a\r\n\r\r\nb\r\n", nil}, // a CR behind a bare CR stays
		{"a\r\r.b\n", "a\r\n\r..b\r\n", nil},    // some take that for a line end too
		{"a\r\r\rb\n", "a\r\n\r\r\nb\r\n", nil},
		{"a\r", "a\r\n", nil},
		{"a\x00\xff\n", "a\x00\xff\r\n", nil},
		{"a", "a", errPartialLine},
		{"a\n.", "a\r\n..", errPartialLine},
	} {
		wire, err := encoded(t, test.message)
		if wire != test.wire || err != test.err {
			t.Errorf("%q: got %q, %v, want %q, %v", test.message, wire, err, test.wire, test.err)
		}
	}
}

// TestEncodeEverything: all short messages of the bytes that matter.
func TestEncodeEverything(t *testing.T) {
	const alphabet = "\r\n.a"
	var try func(message string, more int)
	try = func(message string, more int) {
		wire, err := encoded(t, message)
		checkSafe(t, message, wire)
		var whole bytes.Buffer
		out := bufio.NewWriter(&whole)
		if wholeErr := encode(out, strings.NewReader(message)); wholeErr != err || out.Flush() != nil || whole.String() != wire {
			t.Errorf("%q: got %q, %v in one piece, %q, %v byte by byte", message, whole.String(), wholeErr, wire, err)
		}
		lines := strings.ReplaceAll(message, "\r\n", "\n")
		if err == nil && !strings.Contains(lines, "\r") {
			if got := decoded(wire); got != lines {
				t.Errorf("%q arrives as %q", message, got)
			}
		}
		if more == 0 {
			return
		}
		for _, c := range alphabet {
			try(message+string(c), more-1)
		}
	}
	try("", 7)
}

// decoded is what a host makes of a data phase (RFC 5321 4.5.2).
func decoded(wire string) string {
	var b strings.Builder
	for line := range strings.SplitSeq(wire, "\r\n") {
		b.WriteString(strings.TrimPrefix(line, ".") + "\n")
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// TestEncodeSplitsNoLineEnd: a write that is full but for one byte leaves the
// line end to the next one.
func TestEncodeSplitsNoLineEnd(t *testing.T) {
	var writes writeLog
	out := bufio.NewWriterSize(&writes, 16)
	if err := encode(out, strings.NewReader(strings.Repeat("x", 15)+"\n")); err != nil || out.Flush() != nil {
		t.Fatal(err)
	}
	if len(writes) != 2 || len(writes[0]) != 15 {
		t.Errorf("got %q", writes)
	}
}

// writeLog keeps every write.
type writeLog []string

func (w *writeLog) Write(p []byte) (int, error) {
	*w = append(*w, string(p))
	return len(p), nil
}

// TestEncodeMemory: the size of a message is no matter of memory.
func TestEncodeMemory(t *testing.T) {
	line := strings.Repeat("x", 70) + "\r\n"
	allocs := testing.AllocsPerRun(1, func() {
		message := io.LimitReader(endless(line), 8<<20/int64(len(line))*int64(len(line)))
		if err := encode(bufio.NewWriterSize(io.Discard, outSize), message); err != nil {
			t.Fatal(err)
		}
	})
	if allocs > 20 {
		t.Errorf("8 MB take %v allocations", allocs)
	}
}

// endless repeats a text.
func endless(text string) io.Reader {
	at := 0
	return readerFunc(func(p []byte) (int, error) {
		n := copy(p, text[at:])
		at = (at + n) % len(text)
		return n, nil
	})
}

type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func TestEncodeUnreadableMessage(t *testing.T) {
	out := bufio.NewWriter(&bytes.Buffer{})
	if err := encode(out, iotest.ErrReader(errors.New("disk"))); err != errMessage {
		t.Errorf("got %v, want %v", err, errMessage)
	}
}

// FuzzEncodeNeverEnds: no message may end its own data phase, whatever the
// server takes for a line end.
func FuzzEncodeNeverEnds(f *testing.F) {
	for _, seed := range []string{"", ".\n", "\r.\r\n", "a\r\r.\r\n", "\n.\r\n", "\r\n.\n", "\r\r\r.\r\r.\n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, message string) {
		wire, err := encoded(t, message)
		if err != nil {
			return
		}
		checkSafe(t, message, wire)
	})
}

// checkSafe checks that a data phase does not end itself. It begins behind a
// line end of ours.
func checkSafe(t *testing.T, message, wire string) {
	t.Helper()
	lines := strings.ReplaceAll("\n"+wire, "\r", "\n")
	if strings.Contains(lines, "\n.\n") {
		t.Errorf("%q is sent as %q, which some server takes for an end", message, wire)
	}
	if strings.Count(wire, "\n") != strings.Count(wire, "\r\n") {
		t.Errorf("%q is sent as %q, with a bare LF", message, wire)
	}
}

// TestReceived: what is signed is what arrives, once the dots are taken away.
func TestReceived(t *testing.T) {
	for _, message := range []string{
		"", ".\n", "a\n.b\n..c\r\n\r.\r\r.d\n", "a\rb\r", "\r\r\n", strings.Repeat("..x\r", 5000),
	} {
		var sent, received strings.Builder
		out := bufio.NewWriter(&sent)
		if err := encode(out, strings.NewReader(message)); err != nil {
			t.Fatal(err)
		}
		_ = out.Flush()
		if err := Received(&received, strings.NewReader(message)); err != nil {
			t.Fatal(err)
		}
		// What is doubled behind a CR that ends no line stays so.
		want := strings.ReplaceAll("\r\n"+sent.String(), "\r\n.", "\r\n")[len("\r\n"):]
		if received.String() != want {
			t.Errorf("%q arrives as %q, not as %q", message, want, received.String())
		}
	}
	if err := Received(io.Discard, strings.NewReader("x")); err != errPartialLine {
		t.Errorf("a partial last line: %v", err)
	}
}
