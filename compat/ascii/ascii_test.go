package ascii

import "testing"

func TestPrintable(t *testing.T) {
	for in, want := range map[string]string{
		"": "", " plain~": " plain~", "a\r\nb\x00\x7f": "a??b??", "\x1b[31m": "?[31m", "é": "??",
	} {
		if got := Printable(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}
