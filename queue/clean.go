package queue

import (
	"syscall"
)

// Ossified is the age in seconds (by access time) above which a file without
// an owner is removed: 36 hours, well above the 24 that qmail-queue lives.
const Ossified = 129600

// RemoveTodo removes the envelope of a preprocessed message: S4 → S5.
// Nothing is synced: a crash brings the envelope back, and the message is
// preprocessed again.
func RemoveTodo(id ID) error {
	if err := unlinkIfThere(id.Intd()); err != nil {
		return err
	}
	return unlinkIfThere(id.Todo())
}

// RemoveMess removes a message that nothing refers to any more: S2 → S1.
// Nothing is synced: a crash brings the file back, and it is removed again
// after 36 hours.
func RemoveMess(id ID) error {
	if err := unlinkIfThere(id.Intd()); err != nil {
		return err
	}
	return unlinkIfThere(id.Mess())
}

// SweepPid removes files that a qmail-queue which died left in pid. now is in
// Unix seconds.
func SweepPid(now int64) {
	s := &Scan{dirs: []string{"pid"}, file: -1}
	defer s.Close()
	for {
		name, more, err := s.nextName()
		if !more || err != nil {
			return
		}
		var st syscall.Stat_t
		path := "pid/" + name
		if syscall.Stat(path, &st) == nil && now >= int64(st.Atim.Sec)+Ossified {
			_ = syscall.Unlink(path)
		}
	}
}

// Abandoned reports whether a message in mess was left by a qmail-queue that
// died: not touched for 36 hours, neither queued nor preprocessed. A file
// that cannot be looked at is not abandoned. now is in Unix seconds.
func Abandoned(id ID, now int64) bool {
	var st syscall.Stat_t
	if syscall.Stat(id.Mess(), &st) != nil || now <= int64(st.Atim.Sec)+Ossified {
		return false
	}
	for _, path := range []string{id.Info(), id.Todo()} {
		if there, err := exists(path); there || err != nil {
			return false
		}
	}
	return true
}
