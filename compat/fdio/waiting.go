package fdio

import (
	"io"
	"os"
	"strconv"
	"syscall"
	"unsafe"
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
		var got uintptr
		got, failure = Call(syscall.SYS_READ, fd, uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)))
		n = int(got)
		return failure != syscall.EAGAIN
	})
	switch {
	case err != nil:
		return 0, err
	case failure != nil:
		return 0, failure
	case n == 0:
		return 0, io.EOF
	}
	return n, nil
}
