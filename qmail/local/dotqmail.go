package local

import (
	"io"
	"strings"
	"syscall"

	"github.com/reqmail/reqmail/compat/address"
	"github.com/reqmail/reqmail/compat/errno"
	"github.com/reqmail/reqmail/compat/fdio"
)

// dotQmail is the file with the instructions for an address.
type dotQmail struct {
	found       bool
	text        string
	forwardOnly bool   // the owner may execute it: nothing but forwarding
	hasDefault  bool   // it is a default file, or ends in that word
	defaultExt  string // what "default" stands for, in its own case
}

// safeExt is the extension as it appears in file names.
func (d *Delivery) safeExt() string {
	return strings.ReplaceAll(address.Lower(d.Ext), ".", ":")
}

// findDotQmail finds the file for the address: the exact one, then for each
// prefix of the extension up to a "-" the default, the longest first.
func (d *Delivery) findDotQmail() (dotQmail, error) {
	const word = "default"
	ext := d.safeExt()
	file, err := readDotQmail(".qmail" + d.Dash + ext)
	if err != nil {
		return file, err
	}
	if file.found {
		if strings.HasSuffix(ext, word) {
			file.hasDefault, file.defaultExt = true, d.Ext[len(ext)-len(word):]
		}
		return file, nil
	}
	for n := len(ext); n >= 0; n-- {
		if n > 0 && ext[n-1] != '-' {
			continue
		}
		file, err := readDotQmail(".qmail" + d.Dash + ext[:n] + word)
		if err != nil || file.found {
			file.hasDefault, file.defaultExt = true, d.Ext[n:]
			return file, err
		}
	}
	return dotQmail{}, nil
}

// readDotQmail reads a .qmail file. What is not a regular file is not there.
func readDotQmail(name string) (dotQmail, error) {
	f, err := fdio.Open(name, syscall.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		if errno.Temporary(err) || err == syscall.EPERM || err == syscall.EACCES {
			return dotQmail{}, trouble("Unable to open "+name, err, "4.3.0")
		}
		return dotQmail{}, nil
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return dotQmail{}, trouble("Unable to open "+name, err, "4.3.0")
	}
	if st.Mode&syscall.S_IFMT != syscall.S_IFREG {
		return dotQmail{}, nil
	}
	if st.Mode&othersWrite != 0 {
		return dotQmail{}, temporary("Uh-oh: .qmail file is writable. (#4.7.0)")
	}
	text, err := io.ReadAll(fdio.Prompt(f))
	if err != nil {
		return dotQmail{}, temporary("Out of memory. (#4.3.0)") // qmail's word for it
	}
	return dotQmail{found: true, text: string(text), forwardOnly: st.Mode&syscall.S_IXUSR != 0}, nil
}

// forwardSender returns the envelope sender of forwarded copies: the owner of
// a list where .qmail-…-owner exists, with a variable return path where
// .qmail-…-owner-default does too.
func (d *Delivery) forwardSender() (string, error) {
	if d.Sender == "" || d.Sender == "#@[]" {
		return d.Sender, nil
	}
	base := ".qmail" + d.Dash + d.safeExt() + "-owner"
	owner, err := isThere(base)
	if err != nil || !owner {
		return d.Sender, err
	}
	variable, err := isThere(base + "-default")
	if variable {
		return d.Local + "-owner-@" + d.Host + "-@[]", err
	}
	return d.Local + "-owner@" + d.Host, err
}

func isThere(name string) (bool, error) {
	_, err := fdio.Stat(name)
	if err != nil && errno.Temporary(err) {
		return false, trouble("Unable to open "+name, err, "4.3.0")
	}
	return err == nil, nil
}

// kind is what an instruction asks for.
type kind int

const (
	nothing kind = iota // a comment, a blank line, an unknown "+" word
	toMbox
	toMaildir
	toProgram
	toAddress
	listMode // from here on nothing but forwarding
)

// instruction is one line of a .qmail file.
type instruction struct {
	kind kind
	arg  string // file, command or address
}

// errBlank says that the first line is blank, which smells of a mistake.
var errBlank = temporary("Uh-oh: first line of .qmail file is blank. (#4.2.1)")

// parseLine parses a line without its newline. Blanks at its end do not
// count. A NUL ends the line for everybody but -n, which shows all of it, and
// the "/" that makes a Maildir, which is looked for at its end.
func parseLine(line string, first bool) (instruction, error) {
	line = strings.TrimRight(line, " \t")
	if line == "" || line[0] == 0 {
		if first {
			return instruction{}, errBlank
		}
		return instruction{}, nil
	}
	switch line[0] {
	case '#':
		return instruction{}, nil
	case '.', '/':
		if strings.HasSuffix(line, "/") {
			return instruction{toMaildir, line}, nil
		}
		return instruction{toMbox, line}, nil
	case '|':
		return instruction{toProgram, line[1:]}, nil
	case '+':
		if word, _, _ := strings.Cut(line, "\x00"); word == "+list" {
			return instruction{kind: listMode}, nil
		}
		return instruction{}, nil
	case '&':
		return instruction{toAddress, line[1:]}, nil
	}
	return instruction{toAddress, line}, nil
}
