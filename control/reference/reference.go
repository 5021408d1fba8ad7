// Package reference is the manual of the control files and of the environment
// variables: who reads each, and what it means. docs/controls.md and a part of
// qmail-control(5) are made of its tables by "go generate".
//
// It is apart from package control because its texts have no place in programs
// that are started for every message. It must not know how a file is read:
// names and defaults are package control's.
package reference

//go:generate go run ../../packaging/reference ../..

import (
	"strconv"
	"strings"

	"github.com/reqmail/reqmail/control"
)

// Format is how a control file is read.
type Format string

// The formats of control files.
const (
	Line     Format = "line"
	Number   Format = "number"
	List     Format = "list"
	Pairs    Format = "pairs"    // a list of key:value
	Database Format = "database" // a cdb file
	PEM      Format = "PEM"
	Marker   Format = "marker"
	Rules    Format = "rules"
)

// meanings explain the formats.
var meanings = [...]struct {
	format Format
	text   string
}{
	{Line, "The first line counts, without blanks at its end. A file that exists but is empty means an empty text, not the default."},
	{Number, "The digits at the start of the first line count; without any, the default does."},
	{List, "An entry on each line, without blanks at its end. Empty lines and lines that begin with # are ignored."},
	{Pairs, "A list whose entries have the form key:value; those without a colon are ignored. Keys are compared without regard to case, and of equal ones the last counts."},
	{Database, "A cdb file, which a program makes of a list."},
	{PEM, "Certificates and keys, as openssl writes them."},
	{Marker, "It counts that the file exists; what is in it does not."},
	{Rules, "A rule on each line: an action and its conditions. Empty lines and lines that begin with # are ignored. A line that is no rule is reported in the log and left out; at HUP it keeps the old rules in force."},
}

// File is a control file.
type File struct {
	Name    control.Name
	Format  Format
	Readers string // programs, with a space between two
	Meaning string // whole sentences

	// Absent is what it means that the file is missing, where package control
	// has no default for it.
	Absent string
}

// all stands for readers that need no list.
const all = "all programs"

// Default says what counts where the file is missing.
func (f File) Default() string {
	d := control.DefaultOf(f.Name)
	switch {
	case d.Me && f.Absent != "":
		return "me, else " + f.Absent
	case d.Me && d.Text != "":
		return "me, else " + d.Text
	case d.Me:
		return "me"
	case d.Text != "":
		return d.Text
	case f.Format == Number:
		return strconv.Itoa(d.Int)
	}
	return f.Absent
}

// Meaning says what a file or directory in control is for; ok is false where
// nothing here reads it.
func Meaning(name string) (meaning string, ok bool) {
	for _, f := range Files {
		if first, _, _ := strings.Cut(string(f.Name), "/"); first == name {
			return f.Meaning, true
		}
	}
	return "", false
}

// Variable is an environment variable that programs read.
type Variable struct {
	Name    string
	Readers string // programs, with a space between two
	Meaning string // whole sentences
}
