// Package users maps local addresses to accounts: the lookup in users/cdb,
// its compilation from users/assign (qmail-newu), the making of users/assign
// from the password file (qmail-pw2u), and the lookup without either
// (qmail-getpw). It must not know what is delivered to an account.
package users

import (
	"bytes"
	"io"
	"syscall"

	"github.com/reqmail/reqmail/compat/address"
	"github.com/reqmail/reqmail/compat/cdb"
	"github.com/reqmail/reqmail/compat/fdio"
)

// Find looks a local part up in the database at path. The data are six
// NUL-separated fields: user, uid, gid, home, dash, ext; after a wildcard hit
// the rest of the local part is appended in its own case. A missing database
// knows nobody.
func Find(path, local string) (data []byte, found bool, err error) {
	f, err := fdio.Open(path, syscall.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err == syscall.ENOENT {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	defer f.Close()
	return find(f, local)
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
