package queue

import (
	"strconv"

	"github.com/reqmail/reqmail/compat/fdio"
)

// Scan walks over the message numbers in a directory, in the file system's
// order, without holding more than a buffer of names.
type Scan struct {
	lister      Lister // of suspects, in the parts that come before dirs
	part, parts uint64

	dirs  []string
	file  fdio.FD // of the directory being read; -1 between directories
	buf   []byte
	found []entry // not yet returned
	next  int     // of found
}

// entry is an entry of a directory; ok is false if it is no number.
type entry struct {
	id ID
	ok bool
}

// ScanTodo walks over todo, which it opens at once.
func ScanTodo() (*Scan, error) {
	s := &Scan{dirs: []string{"todo"}, file: -1}
	return s, s.open()
}

// ScanPart walks over kind/n; kind is "mess", "info", or a channel's name.
func ScanPart(kind string, n uint64) *Scan { return &Scan{dirs: []string{part(kind, n)}, file: -1} }

func part(kind string, n uint64) string { return kind + "/" + strconv.FormatUint(n, 10) }

// ScanSuspects walks over every message of which something may have been left in
// the queue: what the directories do not say to be whole. One may come several
// times, its text first.
func ScanSuspects() *Scan {
	return &Scan{parts: Split(), dirs: []string{"bounce", "todo"}, file: -1}
}

// Next returns the next message number. more is false when the walk is over.
// An error is a directory that could not be opened: the walk can go on with
// the same directory later. ok is false for an entry that is no number, so
// that a caller can do one entry at a time.
func (s *Scan) Next() (id ID, ok, more bool, err error) {
	for s.next == len(s.found) {
		if s.part < s.parts {
			if err := s.suspect(); err != nil {
				return 0, false, true, err
			}
			continue
		}
		if s.file < 0 {
			if len(s.dirs) == 0 {
				return 0, false, false, nil
			}
			if err := s.open(); err != nil {
				return 0, false, true, err
			}
		}
		if !s.fill() {
			s.file.Close()
			s.file = -1
		}
	}
	e := s.found[s.next]
	s.next++
	return e.id, e.ok, true, nil
}

// suspect looks for suspects in the next part.
func (s *Scan) suspect() (err error) {
	s.next = 0
	if s.found, err = s.lister.suspects(s.part, s.found[:0]); err == nil {
		s.part++
	}
	return err
}

// open opens the next directory.
func (s *Scan) open() error {
	f, err := openDir(s.dirs[0])
	if err != nil {
		return &FileError{"unable to opendir", s.dirs[0], err}
	}
	s.file, s.dirs = f, s.dirs[1:]
	return nil
}

// Close ends the walk early.
func (s *Scan) Close() {
	if s.file >= 0 {
		s.file.Close()
	}
	*s = Scan{file: -1}
}

// fill reads more entries of the open directory, false at its end. As in C, an
// error of readdir(3) is an end.
func (s *Scan) fill() bool {
	if s.buf == nil {
		s.buf = make([]byte, dirBuffer)
	}
	s.found, s.next = s.found[:0], 0
	more, err := s.file.Entries(s.buf, func(_ byte, name []byte) {
		id, ok := parseID(name)
		s.found = append(s.found, entry{id, ok})
	})
	return more && err == nil
}
