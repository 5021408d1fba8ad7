package spawn

import (
	"strings"
	"testing"
)

// TestOutput: what is left of long output, in one piece or in many, is what C's
// spawner leaves, which looks after each 128 bytes.
func TestOutput(t *testing.T) {
	const tooMuch = "\nError report too long, sorry.\n"
	cut := 3000 - len(tooMuch) - margin
	for _, test := range []struct {
		size int
		kept int    // bytes of the output before tooMuch, all where it is not there
		rest string // behind it
	}{
		{3000, 3000, ""},
		{3001, cut, ""},
		{3072, cut, ""},
		{3074, cut, "xx"},
		{3075, cut, "xxx"},
		{3076, cut, ""}, // it does not fit: cut once more
	} {
		for _, size := range []int{test.size, 128, 1} {
			if size == 1 && test.size > 3001 {
				continue // C's would have read it in other pieces
			}
			o := Output{most: 3000, tooMuch: tooMuch}
			text := strings.Repeat("x", test.size)
			for len(text) > 0 {
				n := min(size, len(text))
				if _, err := o.Write([]byte(text[:n])); err != nil {
					t.Fatal(err)
				}
				text = text[n:]
			}
			want := strings.Repeat("x", test.kept)
			if test.size > 3000 {
				want += tooMuch + test.rest
			}
			if string(o.kept) != want {
				t.Errorf("%d bytes by %d: %d are kept, %q at the end, want %d", test.size, size, len(o.kept), o.kept[len(o.kept)-40:], len(want))
			}
		}
	}
}
