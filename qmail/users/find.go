// Package users maps local addresses to accounts: the lookup in users/cdb,
// its compilation from users/assign (qmail-newu), the making of users/assign
// from the password file (qmail-pw2u), and the lookup without either
// (qmail-getpw). It must not know what is delivered to an account.
package users

import (
	"bytes"
	"io"
	"sync"
	"syscall"
	"time"

	"github.com/reqmail/reqmail/compat/address"
	"github.com/reqmail/reqmail/compat/cdb"
	"github.com/reqmail/reqmail/compat/fdio"
)

// Database is users/cdb. It keeps a copy while the file is the same. Any number
// of goroutines may use it.
type Database struct {
	Path string

	now  func() time.Time // nil: time.Now
	mu   sync.Mutex
	of   version
	copy []byte // nil: there is none
}

// version is a file's content: it cannot change without one of these.
type version struct {
	device, inode     uint64
	size              int64
	modified, changed syscall.Timespec
}

const (
	// mostKept is the size in bytes of the largest database that is kept.
	mostKept = 1 << 20

	// settled is how long a file must not have changed for a copy to be kept: if
	// it changed once more just after, its times could still be the same.
	settled = 2 * time.Second
)

// Find looks a local part up in the database. The data are six NUL-separated
// fields: user, uid, gid, home, dash, ext; after a wildcard hit the rest of the
// local part is appended in its own case. A missing database knows nobody.
//
// It opens the file each time, as C's does, which on a network tells what is there
// now where a look at its name might not.
func (d *Database) Find(local string) (data []byte, found bool, err error) {
	f, err := fdio.Open(d.Path, syscall.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err == syscall.ENOENT {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil || st.Size > mostKept {
		return find(f, local)
	}
	whole := d.kept(st)
	if whole == nil {
		if whole, err = io.ReadAll(io.NewSectionReader(f, 0, mostKept+1)); err != nil {
			return nil, false, err
		}
		d.keep(st, whole)
	}
	return find(bytes.NewReader(whole), local)
}

// kept returns the copy of a file, nil if there is none.
func (d *Database) kept(st syscall.Stat_t) []byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.of != versionOf(st) {
		return nil
	}
	return d.copy
}

// keep keeps what was read of a file that was so before.
func (d *Database) keep(st syscall.Stat_t, whole []byte) {
	now := time.Now
	if d.now != nil {
		now = d.now
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.of, d.copy = versionOf(st), nil
	if int64(len(whole)) == st.Size && now().Sub(time.Unix(st.Ctim.Unix())) > settled {
		d.copy = whole
	}
}

func versionOf(st syscall.Stat_t) version {
	return version{uint64(st.Dev), st.Ino, st.Size, st.Mtim, st.Ctim}
}

func find(db io.ReaderAt, local string) (data []byte, found bool, err error) {
	wildcards, ok, err := cdb.Find(db, nil)
	if err == nil && !ok {
		err = cdb.ErrFormat
	}
	if err != nil {
		return nil, false, err
	}
	key := "!" + address.Lower(local)
	data, found, err = cdb.Find(db, []byte(key+"\x00"))
	if found || err != nil {
		return data, found, err
	}
	for n := len(key); n > 0; n-- {
		// The last character of every wildcard is listed, which saves
		// most of the lookups.
		if n > 1 && bytes.IndexByte(wildcards, key[n-1]) < 0 {
			continue
		}
		data, found, err = cdb.Find(db, []byte(key[:n]))
		if found || err != nil {
			return append(data, local[n-1:]...), found, err
		}
	}
	return nil, false, nil
}
