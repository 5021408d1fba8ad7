package fdio

import (
	"io"
	"os"
	"strconv"
	"syscall"
)

// Waiting returns a reader of a pipe that waits in the runtime's poller and not
// in read(2), for which the thread would have to be given up and got back each
// time. The descriptor, and others that share it, are not made non-blocking: the
// pipe is opened once more. Where that cannot be done, as of other files, and of
// pipes of other users, it is the descriptor itself.
func Waiting(f FD) io.Reader {
	st, err := f.Stat()
	if err != nil || st.Mode&syscall.S_IFMT != syscall.S_IFIFO {
		return f
	}
	path := "/proc/self/fd/" + strconv.Itoa(int(f))
	again, err := Open(path, syscall.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return f
	}
	file := os.NewFile(uintptr(again), path)
	raw, err := file.SyscallConn()
	if err != nil {
		file.Close()
		return f
	}
	return &waiting{file, raw}
}

type waiting struct {
	file *os.File
	raw  syscall.RawConn
}

func (w *waiting) Read(p []byte) (n int, err error) {
	var failure error
	err = w.raw.Read(func(fd uintptr) bool {
		n, failure = Prompt(fd).Read(p)
		return failure != syscall.EAGAIN
	})
	if err == nil {
		err = failure
	}
	return n, err
}
