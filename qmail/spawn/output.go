package spawn

// Output is what is kept of a delivery's output: at most so many bytes. Where
// there was more, tooMuch stands behind what is left, and later output may follow
// it as far as there is room. C's looks at each piece of 128 bytes that it has
// read.
type Output struct {
	most    int
	tooMuch string
	kept    []byte
}

const (
	piece  = 128 // bytes
	margin = 3   // bytes of room in a cut report
)

// Write keeps what there is room for.
func (o *Output) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		n := min(len(rest), piece)
		o.kept = append(o.kept, rest[:n]...)
		if len(o.kept) > o.most {
			o.kept = append(o.kept[:o.most-len(o.tooMuch)-margin], o.tooMuch...)
		}
		rest = rest[n:]
	}
	return len(p), nil
}
