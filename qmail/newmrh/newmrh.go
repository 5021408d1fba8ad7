// Package newmrh is qmail-newmrh: it compiles control/morercpthosts into the
// database in which qmail-smtpd looks recipients' hosts up. It must not know
// what is looked up, or when.
package newmrh

import (
	"bufio"
	"bytes"
	"io"
	"syscall"

	"github.com/reqmail/reqmail/compat/address"
	"github.com/reqmail/reqmail/compat/cdb"
	"github.com/reqmail/reqmail/compat/errno"
	"github.com/reqmail/reqmail/compat/fdio"
	"github.com/reqmail/reqmail/control"
)

// The files, relative to the home.
const (
	source   = "control/" + string(control.MoreRcptHosts)
	database = "control/" + string(control.MoreRcptHostsCDB)
	temp     = source + ".tmp"
)

// Beginnings of error texts. The last one has always lacked its colon.
const (
	unableToRead  = "unable to read " + source + ": "
	unableToWrite = "unable to write to " + temp + ": "
	unableToMove  = "unable to move " + temp + " to " + database
)

// Error is why there is no new database, worded for qmail-newmrh's user.
type Error struct {
	what string
	Err  error
}

func (e *Error) Error() string { return e.what + errno.Text(e.Err) }

func (e *Error) Unwrap() error { return e.Err }

// Compile makes control/morercpthosts.cdb; the working directory is the home.
// The error is an *Error; the old database then stays.
//
// The new database is durable when it returns without error; a crash leaves
// the old one or the new one, and perhaps control/morercpthosts.tmp.
func Compile() error {
	in, err := fdio.Open(source, syscall.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return &Error{unableToRead, err}
	}
	defer in.Close()
	out, err := fdio.Open(temp, syscall.O_WRONLY|syscall.O_CREAT|syscall.O_TRUNC|syscall.O_NONBLOCK, 0o644)
	if err != nil {
		return &Error{unableToWrite, err}
	}
	defer out.Close()
	if err := build(in, out); err != nil {
		return err
	}
	if err := out.Sync(); err != nil {
		return &Error{unableToWrite, err}
	}
	if err := syscall.Rename(temp, database); err != nil {
		return &Error{unableToMove, err}
	}
	if dir, err := fdio.Open("control", syscall.O_RDONLY|syscall.O_DIRECTORY, 0); err == nil {
		_ = dir.Sync() // the rename has happened; what is left is its durability
		dir.Close()
	}
	return nil
}

// build writes the database of the hosts in text.
func build(text io.Reader, db io.WriteSeeker) error {
	w, err := cdb.NewWriter(db)
	if err != nil {
		return &Error{unableToWrite, err}
	}
	in := bufio.NewReader(text)
	for {
		line, readErr := in.ReadBytes('\n')
		if readErr != nil && readErr != io.EOF {
			return &Error{unableToRead, readErr}
		}
		if host, ok := parseLine(line); ok {
			if err := w.Add(host, nil); err != nil {
				return &Error{unableToWrite, err}
			}
		}
		if readErr == io.EOF {
			break
		}
	}
	if err := w.Close(); err != nil {
		return &Error{unableToWrite, err}
	}
	return nil
}

// parseLine returns the host that a line names: what stands before trailing
// blanks, in lower case; false for an empty line and a comment.
func parseLine(line []byte) ([]byte, bool) {
	line = bytes.TrimRight(line, " \t\n")
	if len(line) == 0 || line[0] == '#' {
		return nil, false
	}
	return []byte(address.Lower(string(line))), true
}
