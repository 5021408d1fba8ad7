package mbox

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func TestQuoteFrom(t *testing.T) {
	long := strings.Repeat("x", 100000)
	for _, test := range []struct{ name, message, want string }{
		{"nothing to do", "Subject: x\n\nbody\n", "Subject: x\n\nbody\n"},
		{"a line that looks like a message", "a\n\nFrom joe\n", "a\n\n>From joe\n"},
		{"the first line", "From joe\n", ">From joe\n"},
		{"quoted before", ">From joe\n>>>From joe\n", ">>From joe\n>>>>From joe\n"},
		{"no From_ line", "From: joe\nfrom joe\n From joe\n> From joe\nFrom\njoe From joe\n",
			"From: joe\nfrom joe\n From joe\n> From joe\nFrom\njoe From joe\n"},
		{"only marks", ">>>\n>", ">>>\n>\n"},
		{"no newline at the end", "a\nb", "a\nb\n"},
		{"From at the end", "a\nFrom ", "a\n>From \n"},
		{"empty", "", ""},
		{"empty lines", "\n\n", "\n\n"},
		{"a long line", "From " + long + "From \nFrom ", ">From " + long + "From \n>From \n"},
		{"many marks", strings.Repeat(">", 50000) + "From \n", strings.Repeat(">", 50001) + "From \n"},
		{"other bytes", "\x00\xff\r\nFrom \r\n", "\x00\xff\r\n>From \r\n"},
	} {
		for _, in := range []io.Reader{strings.NewReader(test.message), iotest.OneByteReader(strings.NewReader(test.message))} {
			var got bytes.Buffer
			out := bufio.NewWriter(&got)
			err := QuoteFrom(out, in)
			out.Flush()
			if err != nil || got.String() != test.want {
				t.Errorf("%s: got %.80q, %v, want %.80q", test.name, got.String(), err, test.want)
			}
		}
	}
}

// A message that cannot be read to its end must not pass for a whole one.
func TestQuoteFromFails(t *testing.T) {
	failure := errors.New("input/output error")
	for _, begin := range []string{"", "a", "a\n", "From ", ">"} {
		in := io.MultiReader(strings.NewReader(begin), iotest.ErrReader(failure))
		if err := QuoteFrom(bufio.NewWriter(io.Discard), in); err != failure {
			t.Errorf("%q: got %v, want %v", begin, err, failure)
		}
	}
}

// FuzzQuoteFrom: no line of a message begins a new one, and a reader that
// takes one mark away gets the message.
func FuzzQuoteFrom(f *testing.F) {
	for _, seed := range []string{"From ", "a\n>From x", ">>", "\n\nFrom \n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, message string) {
		var got, back strings.Builder
		out := bufio.NewWriter(&got)
		if err := QuoteFrom(out, strings.NewReader(message)); err != nil {
			t.Fatal(err)
		}
		out.Flush()
		for line := range strings.Lines(got.String()) {
			if strings.HasPrefix(line, "From ") {
				t.Fatalf("%q: has %q", message, line)
			}
			if strings.HasPrefix(strings.TrimLeft(line, ">"), "From ") {
				line = line[1:]
			}
			back.WriteString(line)
		}
		if message != "" && !strings.HasSuffix(message, "\n") {
			message += "\n"
		}
		if back.String() != message {
			t.Fatalf("%q: read back %q", message, back.String())
		}
	})
}
