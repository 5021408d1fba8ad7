package errno

import (
	"errors"
	"fmt"
	"syscall"
	"testing"
)

func TestText(t *testing.T) {
	for _, test := range []struct {
		err  error
		want string
	}{
		{nil, "no error"},
		{syscall.ENOENT, "file does not exist"},
		{syscall.EACCES, "access denied"},
		{syscall.EPERM, "permission denied"},
		{syscall.EREMCHG, "remote address changed"},
		{fmt.Errorf("open x: %w", syscall.ENOSPC), "out of disk space"},
		{syscall.Errno(4000), "unknown error"},
		{syscall.ENOTUNIQ, "unknown error"},
		{errors.New("something"), "unknown error"},
	} {
		if got := Text(test.err); got != test.want {
			t.Errorf("%v: got %q, want %q", test.err, got, test.want)
		}
	}
}

func TestTemporary(t *testing.T) {
	for err, want := range map[error]bool{
		syscall.EIO: true, syscall.ENOSPC: true, syscall.EDQUOT: true, syscall.ETXTBSY: true, syscall.ENOLCK: true,
		syscall.ENOENT: false, syscall.EACCES: false, syscall.EROFS: false, syscall.ENOEXEC: false, errors.New("x"): false,
	} {
		if got := Temporary(err); got != want {
			t.Errorf("%v: got %v, want %v", err, got, want)
		}
	}
}
