package manage

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/reqmail/reqmail/compat/steer"
)

// View shows something of a queue.
type View func(s *Screen, q Queue) error

// Once shows a view once.
func Once(s *Screen, view View) error {
	q, err := Open()
	if err != nil {
		return err
	}
	defer q.Close()
	s.remark(q)
	return view(s, q)
}

// Watch shows a view again and again until q is typed; where the screen is no
// terminal, or keys is none, once.
func Watch(ctx context.Context, s *Screen, keys *os.File, every time.Duration, view View) error {
	restore, err := singleKeys(keys)
	if !s.Terminal() || err != nil {
		return Once(s, view)
	}
	defer restore()
	const enter, leave = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l" // a screen of its own, without a cursor
	if _, err := io.WriteString(s.Out, enter); err != nil {
		return err
	}
	defer io.WriteString(s.Out, leave)
	for {
		if f, ok := s.Out.(*os.File); ok {
			s.Width, s.Height = Dimensions(f)
		}
		if err := s.frame(view); err != nil {
			return err
		}
		if typedQ(ctx, keys, every) {
			return nil
		}
	}
}

// frame shows a view, cut to the height of the terminal. That qmail-send is
// away is shown, for it may come back.
func (s *Screen) frame(view View) error {
	var text bytes.Buffer
	inner := &Screen{Out: &text, Err: &text, Width: s.Width, Height: s.Height}
	err := Once(inner, view)
	var refusal *steer.Error
	switch {
	case errors.Is(err, errNotLive), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.As(err, &refusal):
		inner.line("%s", Safe(err.Error()))
	case err != nil:
		return err
	}
	lines := slices.Collect(bytes.Lines(text.Bytes()))
	if room := max(s.Height-1, 1); len(lines) > room {
		lines = lines[:room]
	}
	const home, restOfLine, restOfScreen = "\x1b[H", "\x1b[K\n", "\x1b[J"
	out := []byte(home)
	for _, line := range lines {
		out = append(append(out, bytes.TrimSuffix(line, []byte("\n"))...), restOfLine...)
	}
	out = append(out, clip("q leaves; "+time.Now().Format("15:04:05"), s.Width)+restOfScreen...)
	_, err = s.Out.Write(out)
	return err
}

// typedQ waits; it reports whether q was typed meanwhile, or the wait is to end
// for good.
func typedQ(ctx context.Context, keys *os.File, wait time.Duration) bool {
	const slice = 100 * time.Millisecond
	for end := time.Now().Add(wait); ; {
		if ctx.Err() != nil {
			return true
		}
		left := time.Until(end)
		if left <= 0 {
			return false
		}
		fds := []unix.PollFd{{Fd: int32(keys.Fd()), Events: unix.POLLIN}}
		if n, _ := unix.Poll(fds, int(min(left, slice).Milliseconds())+1); n < 1 {
			continue
		}
		var key [16]byte
		n, err := unix.Read(int(keys.Fd()), key[:])
		if n <= 0 && err != unix.EINTR && err != unix.EAGAIN || n > 0 && bytes.ContainsAny(key[:n], "qQ\x04") {
			return true
		}
	}
}

// singleKeys has a terminal give keys as they are typed, unseen.
func singleKeys(f *os.File) (restore func(), err error) {
	fd := int(f.Fd())
	old, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return nil, err
	}
	single := *old
	single.Lflag &^= unix.ICANON | unix.ECHO
	single.Cc[unix.VMIN], single.Cc[unix.VTIME] = 1, 0
	if err := unix.IoctlSetTermios(fd, unix.TCSETS, &single); err != nil {
		return nil, err
	}
	return func() { _ = unix.IoctlSetTermios(fd, unix.TCSETS, old) }, nil
}

// Dimensions returns the columns and lines of a terminal, 0 of anything else.
func Dimensions(f *os.File) (width, height int) {
	fd := int(f.Fd())
	if _, err := unix.IoctlGetTermios(fd, unix.TCGETS); err != nil {
		return 0, 0
	}
	size, err := unix.IoctlGetWinsize(fd, unix.TIOCGWINSZ)
	if err != nil || size.Col == 0 {
		return 80, 24
	}
	return int(size.Col), int(size.Row)
}
