package resident

import (
	"os"
	"strings"
	"unsafe"
)

// title is the memory of the process's arguments, where ps(1) looks: a process
// that does another job, or waits for one, must not be taken for one that does
// its first. It is empty where that memory is not as the kernel lays it out.
type title []byte

func newTitle() title {
	if len(os.Args) == 0 {
		return nil
	}
	begin := unsafe.StringData(os.Args[0])
	size := 0
	for i, arg := range os.Args {
		if unsafe.StringData(arg) != (*byte)(unsafe.Add(unsafe.Pointer(begin), size)) {
			return nil
		}
		size += len(arg) + 1 // a NUL
		os.Args[i] = strings.Clone(arg)
	}
	return unsafe.Slice(begin, size)
}

// show puts words in the place of the arguments, as far as they fit.
func (t title) show(words ...string) {
	if len(t) == 0 {
		return
	}
	n := copy(t[:len(t)-1], strings.Join(words, "\x00"))
	clear(t[n:])
}
