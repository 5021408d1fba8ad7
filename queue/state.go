package queue

import (
	"syscall"

	"github.com/reqmail/reqmail/compat/fdio"
)

// State is what files a preprocessed message has.
type State struct {
	Info, Todo bool
	Birth      int64 // Unix seconds, with Info: when the message was preprocessed first
	Recipients [Channels]bool
	NextTry    [Channels]int64 // Unix seconds, of channels with recipients
}

// Look looks which files a message has. Of one without info, or with todo, the
// rest says nothing and is not looked at. The error is a *FileError for the
// one that cannot be looked at.
func Look(id ID) (State, error) {
	var s State
	var err error
	if s.Birth, s.Info, err = Birth(id); err != nil || !s.Info {
		return s, err
	}
	if s.Todo, err = exists(id.Todo()); err != nil {
		return s, &FileError{"unable to stat", id.Todo(), err}
	}
	if s.Todo {
		return s, nil
	}
	for c := range Channel(Channels) {
		var st syscall.Stat_t
		if err := s.note(c, id, &st, syscall.Stat(id.Recipients(c), &st)); err != nil {
			return s, err
		}
	}
	return s, nil
}

// Look is the function Look for a message that is not in todo, by someone who has
// read the directories: only recipient files that were listed are looked at.
func (n *Near) Look(m Listed) (s State, err error) {
	s.Birth, s.Info, err = birth(m.ID, &n.st, n.stat(InfoFile, m.ID))
	if err == nil && s.Info {
		err = n.lookAtRecipients(&s, m)
	}
	return s, err
}

// LookAtTries is Look without the birth: that the directory has listed info is
// believed.
func (n *Near) LookAtTries(m Listed) (s State, err error) {
	s.Info = true
	err = n.lookAtRecipients(&s, m)
	return s, err
}

func (n *Near) lookAtRecipients(s *State, m Listed) error {
	for c, kind := range [Channels]Kind{LocalFile, RemoteFile} {
		if !m.Recipients[c] {
			continue
		}
		if err := s.note(Channel(c), m.ID, &n.st, n.stat(kind, m.ID)); err != nil {
			return err
		}
	}
	return nil
}

// note notes what came of a look at a recipient file.
func (s *State) note(c Channel, id ID, st *syscall.Stat_t, err error) error {
	switch err {
	case nil:
		s.Recipients[c], s.NextTry[c] = true, int64(st.Mtim.Sec)
	case syscall.ENOENT:
	default:
		return &FileError{"unable to stat", id.Recipients(c), err}
	}
	return nil
}

// Birth tells when a message was preprocessed first, in Unix seconds; false if
// it is not, or no more.
func Birth(id ID) (at int64, ok bool, err error) {
	var st syscall.Stat_t
	return birth(id, &st, syscall.Stat(id.Info(), &st))
}

// birth is Birth after a look at info.
func birth(id ID, st *syscall.Stat_t, err error) (int64, bool, error) {
	switch err {
	case nil:
		return int64(st.Mtim.Sec), true, nil
	case syscall.ENOENT:
		return 0, false, nil
	default:
		return 0, false, &FileError{"unable to stat", id.Info(), err}
	}
}

// HasRecipients tells whether a message has a recipient file for a channel.
func HasRecipients(id ID, c Channel) (bool, error) { return exists(id.Recipients(c)) }

// Queued tells when a message was queued that waits in todo, in Unix seconds;
// false if there is none.
func Queued(id ID) (at int64, ok bool, err error) {
	var st syscall.Stat_t
	switch err := syscall.Stat(id.Todo(), &st); err {
	case nil:
		return int64(st.Mtim.Sec), true, nil
	case syscall.ENOENT:
		return 0, false, nil
	default:
		return 0, false, &FileError{"unable to stat", id.Todo(), err}
	}
}

// SetNextTry records the next try of a message on a channel, in Unix seconds,
// where it outlives qmail-send: in the times of the recipient file.
func SetNextTry(id ID, c Channel, due int64) error {
	t := syscall.Timeval{Sec: due}
	return syscall.Utimes(id.Recipients(c), []syscall.Timeval{t, t})
}

// Gone reports whether all files that make a preprocessed message are away
// while the queue itself is there: somebody has removed it.
func Gone(id ID) bool {
	for _, path := range []string{id.Mess(), id.Info(), id.Recipients(Local), id.Recipients(Remote)} {
		if there, err := exists(path); there || err != nil {
			return false
		}
	}
	dir, err := fdio.Open("mess", syscall.O_RDONLY|syscall.O_DIRECTORY, 0)
	if err != nil {
		return false
	}
	dir.Close()
	return true
}
