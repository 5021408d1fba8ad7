package remote

import (
	"bufio"
	"bytes"
	"errors"
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
		// The data phase begins behind a line end of ours.
		lines := strings.ReplaceAll("\n"+wire, "\r", "\n")
		if strings.Contains(lines, "\n.\n") {
			t.Errorf("%q is sent as %q, which some server takes for an end", message, wire)
		}
		for rest := wire; ; {
			i := strings.IndexByte(rest, '\n')
			if i < 0 {
				break
			}
			if i == 0 || rest[i-1] != '\r' {
				t.Fatalf("%q is sent as %q, with a bare LF", message, wire)
			}
			rest = rest[i+1:]
		}
	})
}
