package netstring

import (
	"bufio"
	"io"
	"strings"
	"testing"
)

func TestLength(t *testing.T) {
	for _, test := range []struct {
		text string
		want uint64
		err  error
	}{
		{"5:", 5, nil}, {":", 0, nil}, {"007:", 7, nil},
		{"5", 0, io.EOF}, {"5,", 0, ErrFormat}, {"-1:", 0, ErrFormat},
		{"200000000:", 200000000, nil}, {"2000000001:", 2000000001, nil}, {"20000000000:", 0, ErrLength},
	} {
		if got, err := Length(strings.NewReader(test.text)); got != test.want || err != test.err {
			t.Errorf("%q: got %d, %v, want %d, %v", test.text, got, err, test.want, test.err)
		}
	}
}

func TestShort(t *testing.T) {
	for _, test := range []struct {
		text string
		n    uint64
		want string
		ok   bool
	}{
		{"hello", 5, "hello", true}, {"", 0, "", true}, {"a\x00b", 3, "a\x00b", false}, {"toolong", 7, "", false},
	} {
		got, ok, err := Short(strings.NewReader(test.text), test.n, 6)
		if got != test.want || ok != test.ok || err != nil {
			t.Errorf("%q: got %q, %v, %v", test.text, got, ok, err)
		}
	}
	if _, _, err := Short(strings.NewReader("ab"), 3, 6); err != io.EOF {
		t.Errorf("cut short: %v", err)
	}
}

func FuzzNetstring(f *testing.F) {
	f.Add("5:hello,")
	f.Add("0:,")
	f.Add("99999999999999999999:")
	f.Fuzz(func(t *testing.T, text string) {
		r := bufio.NewReader(strings.NewReader(text))
		n, err := Length(r)
		if err != nil {
			return
		}
		got, ok, err := Short(r, n, 100)
		if err == nil && Comma(r) == nil && ok && !strings.Contains(text, got) {
			t.Errorf("%q holds %q", text, got)
		}
		if uint64(len(got)) > 100 {
			t.Errorf("%d bytes kept", len(got))
		}
		if again := Encode(got); ok && err == nil && n > 0 && !strings.HasSuffix(again, got+",") {
			t.Errorf("%q is written as %q", got, again)
		}
	})
}
