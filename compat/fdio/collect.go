package fdio

import "io"

// Collect makes a pipe for others to write to. What they write goes to a
// writer, until all of them have closed their end; then done is closed.
func Collect(to io.Writer) (w FD, done <-chan struct{}, err error) {
	r, w, err := Pipe()
	if err != nil {
		return w, nil, err
	}
	end := make(chan struct{})
	go func() {
		f := Pollable(r, "output")
		// Nothing is wrong with a pipe but its end.
		_, _ = io.CopyBuffer(struct{ io.Writer }{to}, struct{ io.Reader }{f}, make([]byte, collectSize))
		f.Close()
		close(end)
	}()
	return w, end, nil
}

// collectSize is how much is read at a time, in bytes.
const collectSize = 1024
