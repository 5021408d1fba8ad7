package users

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"
	"syscall"

	"github.com/reqmail/reqmail/compat/address"
	"github.com/reqmail/reqmail/compat/cdb"
	"github.com/reqmail/reqmail/compat/fdio"
)

// The files of the users directory, relative to the home.
const (
	assignFile = "users/assign"
	cdbFile    = "users/cdb"
	cdbTemp    = "users/cdb.tmp"
)

// errFormat says that users/assign is malformed.
var errFormat = errors.New("bad format in " + assignFile)

// Newu compiles users/assign into users/cdb; the working directory is the
// home. The error is worded for qmail-newu's user. On an error the old
// database stays.
//
// The new database is durable when it returns without error; a crash leaves
// the old one or the new one, and perhaps users/cdb.tmp.
func Newu() error {
	in, err := fdio.Open(assignFile, syscall.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return errors.New("unable to open " + assignFile)
	}
	defer in.Close()
	out, err := fdio.Open(cdbTemp, syscall.O_WRONLY|syscall.O_CREAT|syscall.O_TRUNC|syscall.O_NONBLOCK, 0o644)
	if err != nil {
		return errors.New("unable to open " + cdbTemp)
	}
	defer out.Close()
	if err := compile(in, out); err != nil {
		return err
	}
	if out.Sync() != nil {
		return errWrite
	}
	if syscall.Rename(cdbTemp, cdbFile) != nil {
		return errors.New("unable to move " + cdbTemp + " to " + cdbFile)
	}
	if dir, err := fdio.Open("users", syscall.O_RDONLY|syscall.O_DIRECTORY, 0); err == nil {
		_ = dir.Sync() // the rename has happened; what is left is its durability
		dir.Close()
	}
	return nil
}

var errWrite = errors.New("unable to write " + cdbTemp)

// compile writes the database of an assign file.
func compile(assign io.Reader, db io.WriteSeeker) error {
	w, err := cdb.NewWriter(db)
	if err != nil {
		return errWrite
	}
	in := bufio.NewReader(assign)
	var wildcards []byte
	for {
		line, err := in.ReadBytes('\n')
		if err != nil && err != io.EOF {
			return errors.New("unable to read " + assignFile)
		}
		if len(line) > 0 && line[0] == '.' {
			break
		}
		if err == io.EOF {
			return errFormat
		}
		key, data, ok := parseAssign(line)
		if !ok {
			return errFormat
		}
		if last, ok := wildcardEnd(line); ok && bytes.IndexByte(wildcards, last) < 0 {
			wildcards = append(wildcards, last)
		}
		if w.Add(key, data) != nil {
			return errWrite
		}
	}
	if w.Add(nil, wildcards) != nil || w.Close() != nil {
		return errWrite
	}
	return nil
}

// parseAssign makes key and data of a line "=local:user:uid:gid:home:dash:ext:"
// or "+prefix:…" with its newline.
func parseAssign(line []byte) (key, data []byte, ok bool) {
	name, rest, ok := bytes.Cut(line, []byte{':'})
	if !ok || len(name) == 0 || bytes.IndexByte(line, 0) >= 0 {
		return nil, nil, false
	}
	fields := bytes.SplitN(rest, []byte{':'}, 7)
	if len(fields) < 7 {
		return nil, nil, false
	}
	text := "!" + address.Lower(string(name[1:]))
	if name[0] != '+' {
		text += "\x00"
	}
	return []byte(text), bytes.Join(fields[:6], []byte{0}), true
}

// wildcardEnd returns the last character, as written, of a wildcard's prefix.
func wildcardEnd(line []byte) (byte, bool) {
	name, _, _ := strings.Cut(string(line), ":")
	if len(name) < 2 || name[0] != '+' {
		return 0, false
	}
	return name[len(name)-1], true
}
