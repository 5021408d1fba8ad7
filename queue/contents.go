package queue

import (
	"io"
	"syscall"
)

// Recipient is one record of a recipient file.
type Recipient struct {
	Channel Channel
	Pos     int64 // of the record in the file
	Address string
	Done    bool // delivered, or failed for good
}

// EachRecipient hands the recipients of a message to fn, in the order of the
// files, until fn returns false. A missing file has none.
func EachRecipient(id ID, fn func(Recipient) bool) error {
	for c := range Channel(Channels) {
		more, err := eachOn(id, c, fn)
		if err != nil {
			return &FileError{"trouble reading", id.Recipients(c), err}
		}
		if !more {
			break
		}
	}
	return nil
}

func eachOn(id ID, c Channel, fn func(Recipient) bool) (more bool, err error) {
	f, err := OpenRecipients(id, c)
	if err == syscall.ENOENT {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	for {
		letter, address, pos, err := f.Next()
		if err == io.EOF {
			return true, nil
		}
		if err != nil {
			return false, err
		}
		if letter != 'T' && letter != 'D' {
			return false, ErrUnknownRecord
		}
		if !fn(Recipient{c, pos, address, letter == 'D'}) {
			return false, nil
		}
	}
}

// ReadMess reads a message's text into b, as much as there is room for, and
// returns what was read.
func ReadMess(id ID, b []byte) ([]byte, error) {
	f, err := openRead(id.Mess())
	if err != nil {
		return nil, &FileError{"unable to open", id.Mess(), err}
	}
	defer f.Close()
	n, err := io.ReadFull(f, b)
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return nil, &FileError{"trouble reading", id.Mess(), err}
	}
	return b[:n], nil
}

// MessSize returns the size in bytes of a message's text.
func MessSize(id ID) (int64, error) {
	var st syscall.Stat_t
	err := syscall.Stat(id.Mess(), &st)
	return st.Size, err
}

// Remove removes the files of a message but for its text, which qmail-clean
// removes: S5 → S2.
//
// Nothing is synced. A crash or an error in between leaves a message that
// still has its info file, and is removed, or goes on, with what it has.
func Remove(id ID) error {
	return unlinkAll(id.Bounce(), id.Recipients(Local), id.Recipients(Remote), id.Info())
}

// RemoveRecipients removes the recipients of a message, all of which are done.
// Nothing is synced: a crash brings them back, done.
func RemoveRecipients(id ID) error { return unlinkAll(id.Recipients(Local), id.Recipients(Remote)) }

func unlinkAll(paths ...string) error {
	for _, path := range paths {
		if err := unlinkIfThere(path); err != nil {
			return &FileError{"unable to unlink", path, err}
		}
	}
	return nil
}
