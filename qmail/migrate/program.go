package migrate

import (
	"bytes"
	"debug/buildinfo"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// kind tells whose a file in bin/ is.
type kind int

const (
	missing kind = iota
	ours         // built from this module
	qmails       // a native program, or one of the scripts that qmail installs
	foreign      // a script, link or something else that an administrator or vendor put there
)

const module = "github.com/reqmail/reqmail/"

// scripts are the programs that C qmail installs as shell scripts.
var scripts = []string{"datemail", "elq", "mailsubj", "pinq", "qail", "qmail-qstat", "qmail-upq"}

// added are the programs of ours that C qmail has no place for.
var added = []string{"reqmail-ext", "reqmail"}

// users of reqmail-ext get it with them: they become it.
var extUsers = []string{"qmail-smtpd", "qmail-remote"}

// identify tells whose the file at path is, in the place of the program name.
func identify(path, name string) (kind, error) {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return missing, nil
	case err != nil:
		return foreign, err
	case !info.Mode().IsRegular():
		return foreign, nil
	}
	head, err := firstBytes(path, 4)
	if err != nil {
		return foreign, err
	}
	switch {
	case string(head) == "\x7fELF":
		if build, err := buildinfo.ReadFile(path); err == nil && strings.HasPrefix(build.Path, module) {
			return ours, nil
		}
		return qmails, nil
	case bytes.HasPrefix(head, []byte("#!")) && slices.Contains(scripts, name):
		return qmails, nil
	}
	return foreign, nil
}

func firstBytes(path string, n int) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	head := make([]byte, n)
	got, err := io.ReadFull(f, head)
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return nil, err
	}
	return head[:got], nil
}

// sources returns the names of our programs in the folder From.
func (h *Host) sources() ([]string, error) {
	files, err := os.ReadDir(h.From)
	if err != nil {
		return nil, fmt.Errorf("reading the folder of our programs: %w", err)
	}
	var names []string
	for _, f := range files {
		whose, err := identify(filepath.Join(h.From, f.Name()), f.Name())
		if err != nil {
			return nil, err
		}
		if whose == ours {
			names = append(names, f.Name())
		}
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("%s has no program of reqmail's", h.From)
	}
	return names, nil
}

// place is a file that is a program on this host.
type place struct {
	name    string
	path    string
	kind    kind
	wrapper string // path of the wrapper in front of it
}

// originals are the names under which wrappers keep the program they wrap.
func originals(name string) []string { return []string{name + ".moved", name + ".origin"} }

// places returns the files that are the program name: bin/NAME, or the
// original that a wrapper there keeps. Where the wrapper has been overwritten
// with the program (a known cure on Plesk), both are the program: whichever of
// them comes to be used must work. ambiguous means that it cannot be told
// which of two originals the wrapper runs.
func (h *Host) places(name string) (found []place, ambiguous bool, err error) {
	front := place{name: name, path: filepath.Join(h.bin(), name)}
	if front.kind, err = identify(front.path, name); err != nil {
		return nil, false, err
	}
	for _, original := range originals(name) {
		p := place{name: name, path: filepath.Join(h.bin(), original), wrapper: front.path}
		if p.kind, err = identify(p.path, name); err != nil {
			return nil, false, err
		}
		if p.kind != missing {
			found = append(found, p)
		}
	}
	switch {
	case len(found) == 0:
		return []place{front}, false, nil
	case len(found) > 1:
		return nil, true, nil
	case front.kind == missing:
		found[0].wrapper = ""
		return found, false, nil
	}
	same, err := sameContent(front.path, found[0].path)
	if err != nil {
		return nil, false, err
	}
	if front.kind == ours || same {
		found[0].wrapper = ""
		found = append(found, front)
	}
	return found, false, nil
}

func sameContent(a, b string) (bool, error) {
	first, err := hashFile(a)
	if err != nil {
		return false, err
	}
	second, err := hashFile(b)
	return first == second, err
}
