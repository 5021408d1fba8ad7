package migrate

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const selinux = "security.selinux"

// Mode is permission bits, with set-uid and its kind; octal in the manifest.
type Mode uint32

// MarshalText writes the mode as chmod(1) takes it.
func (m Mode) MarshalText() ([]byte, error) { return fmt.Appendf(nil, "%04o", uint32(m)), nil }

// UnmarshalText reads what MarshalText writes.
func (m *Mode) UnmarshalText(text []byte) error {
	n, err := strconv.ParseUint(string(text), 8, 32)
	*m = Mode(n)
	return err
}

// Attributes are what a program's place has beside its name.
type Attributes struct {
	SHA256  string    `json:"sha256"`
	UID     int       `json:"uid"`
	GID     int       `json:"gid"`
	Mode    Mode      `json:"mode"`
	Label   string    `json:"label,omitempty"` // SELinux
	Changed time.Time `json:"changed"`         // mtime; package managers verify it
}

// equal tells whether two files have the same content, owner, mode and label.
func (a Attributes) equal(b Attributes) bool {
	a.Changed, b.Changed = time.Time{}, time.Time{}
	return a == b
}

// examine reads the attributes of a regular file.
func examine(path string) (Attributes, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return Attributes{}, err
	}
	st := info.Sys().(*syscall.Stat_t)
	a := Attributes{UID: int(st.Uid), GID: int(st.Gid), Mode: Mode(st.Mode & 0o7777), Changed: info.ModTime()}
	if a.SHA256, err = hashFile(path); err != nil {
		return a, err
	}
	a.Label, err = labelOf(path)
	return a, err
}

func hashFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return "", fmt.Errorf("reading %s: %w", path, err)
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// labelOf returns the SELinux label of a file, "" where there is none.
func labelOf(path string) (string, error) {
	buf := make([]byte, 1024)
	n, err := unix.Lgetxattr(path, selinux, buf)
	switch {
	case errors.Is(err, unix.ENODATA), errors.Is(err, unix.ENOTSUP):
		return "", nil
	case err != nil:
		return "", &os.PathError{Op: "getxattr", Path: path, Err: err}
	}
	return strings.TrimRight(string(buf[:n]), "\x00"), nil
}

// fresh is the name under which the next content of path is written. A leftover
// of it is an interrupted swap's, and is overwritten.
func fresh(path string) string {
	return filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".reqmail-new")
}

// stage writes fresh(path) with the content of source and the attributes that
// path is to have, and syncs it. A source that is not what was promised is an
// error: it was changed meanwhile, or is damaged.
func stage(source, path string, want Attributes) error {
	_ = os.Remove(fresh(path)) // where it cannot be, creating it fails
	in, err := os.Open(source)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(fresh(path), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer out.Close()
	sum := sha256.New()
	if _, err := io.Copy(io.MultiWriter(out, sum), in); err != nil {
		return fmt.Errorf("copying %s: %w", source, err)
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != want.SHA256 {
		return fmt.Errorf("%s is not the file it was: its sha256 is %s, not %s", source, got, want.SHA256)
	}
	if err := dress(out, want); err != nil {
		return err
	}
	if err := out.Sync(); err != nil {
		return err
	}
	return out.Close()
}

// dress gives an open file owner, mode, label and time. The mode comes behind
// the owner, for a change of owner takes set-uid away.
func dress(f *os.File, want Attributes) error {
	if err := f.Chown(want.UID, want.GID); err != nil {
		return err
	}
	if err := unix.Fchmod(int(f.Fd()), uint32(want.Mode)); err != nil {
		return &os.PathError{Op: "chmod", Path: f.Name(), Err: err}
	}
	if want.Label != "" {
		if err := unix.Fsetxattr(int(f.Fd()), selinux, []byte(want.Label+"\x00"), 0); err != nil {
			return &os.PathError{Op: "setxattr " + selinux, Path: f.Name(), Err: err}
		}
	}
	if want.Changed.IsZero() {
		return nil
	}
	return os.Chtimes(f.Name(), want.Changed, want.Changed)
}

// promote puts the staged file in place.
func promote(path string) error {
	if err := os.Rename(fresh(path), path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// keep gives a file a second name in a folder on the same file system, so that
// nothing of it can get lost; elsewhere it is copied.
func keep(path, kept string, a Attributes) error {
	err := os.Link(path, kept)
	if err == nil || errors.Is(err, os.ErrExist) {
		return err
	}
	if err := stage(path, kept, a); err != nil {
		return err
	}
	return promote(kept)
}

// stageKept is stage for a program that was kept: where possible the very file
// gets its name back.
func stageKept(kept, path string, want Attributes) error {
	_ = os.Remove(fresh(path)) // where it cannot be, linking and creating fail
	if err := os.Link(kept, fresh(path)); err == nil {
		if got, err := examine(fresh(path)); err == nil && got.equal(want) {
			return nil
		}
	}
	return stage(kept, path, want)
}

// drop removes a file for good; one that is not there is no error.
func drop(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}
