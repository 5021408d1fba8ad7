package queue

import (
	"strconv"
	"syscall"
)

// Ossified is the age in seconds (by access time) above which a file without
// an owner is removed: 36 hours, well above the 24 that qmail-queue lives.
const Ossified = 129600

// RemoveTodo removes the envelope of a preprocessed message: S4 → S5. The name in
// intd means nothing since there is one in todo, and may go at any time; that in
// todo only when all that preprocessing has written is durable.
// Nothing is synced: a crash brings the envelope back, and the message is
// preprocessed again.
func (r *Remover) RemoveTodo(id ID) error {
	r.hold(id.Todo())
	if err := unlinkIfThere(id.Intd()); err != nil {
		return err
	}
	return unlinkIfThere(id.Todo())
}

// SyncTodo makes it durable what is gone from todo. A text may be removed only
// then: an envelope that a crash brings back must find it.
func SyncTodo() error { return syncDirOf("todo/") }

// RemoveMess removes a message that nothing refers to any more: S2 → S1.
// Nothing is synced: a crash brings the file back, and it is removed again
// after 36 hours.
func (r *Remover) RemoveMess(id ID) error {
	if err := removeStale(id.Intd()); err != nil {
		return err
	}
	r.hold(id.Mess())
	return unlinkIfThere(id.Mess())
}

// RemoveInfo removes the info file of a message that has nothing else but its text:
// S5 → S2. Nothing is synced: a crash brings the file back, and the message is found
// to be done. That there is no such file is an error here.
func (r *Remover) RemoveInfo(id ID) error {
	r.hold(id.Info())
	return syscall.Unlink(id.Info())
}

// RemoveChannel removes the recipients of a message on a channel, all of which are
// done. Nothing is synced: a crash brings them back, as they were. That there is no
// such file is an error here.
func (r *Remover) RemoveChannel(id ID, c Channel) error {
	r.hold(id.Recipients(c))
	return syscall.Unlink(id.Recipients(c))
}

// SweepPid removes files that a qmail-queue which died left in pid. now is in
// Unix seconds.
func SweepPid(now int64) { sweep("pid", now, func(string) bool { return true }) }

// SweepIntd removes envelopes whose message is gone: a crash may undo the removal
// of the one and not of the other. It looks at every message that waits to be
// preprocessed. now is in Unix seconds.
func SweepIntd(now int64) {
	sweep("intd", now, func(name string) bool {
		id, ok := ParseID(name)
		return ok && withoutMess(id)
	})
}

// sweep removes the old files of a directory that are ripe.
func sweep(dir string, now int64, ripe func(name string) bool) {
	f, err := openDir(dir)
	if err != nil {
		return
	}
	defer f.Close()
	buf := make([]byte, 4<<10)
	for more := true; more && err == nil; {
		more, err = f.Entries(buf, func(_ byte, name []byte) {
			var st syscall.Stat_t
			path := dir + "/" + string(name)
			if syscall.Stat(path, &st) == nil && old(&st, now) && ripe(string(name)) {
				_ = syscall.Unlink(path)
			}
		})
	}
}

func old(st *syscall.Stat_t, now int64) bool { return now >= int64(st.Atim.Sec)+Ossified }

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

// Orphaned reports whether the files of a message have outlived its text,
// which is removed last: a crash has undone their removal. None of them was
// written in the last 36 hours; they are read all the while. now is in Unix
// seconds.
func Orphaned(id ID, now int64) bool {
	if !withoutMess(id) {
		return false
	}
	found := false
	for _, path := range []string{id.Info(), id.Recipients(Local), id.Recipients(Remote), id.Bounce(), id.Todo()} {
		var st syscall.Stat_t
		switch err := syscall.Stat(path, &st); {
		case err == nil && now >= int64(st.Mtim.Sec)+Ossified:
			found = true
		case err != syscall.ENOENT:
			return false
		}
	}
	return found
}

// withoutMess reports whether a message's text is gone, not merely out of
// sight with its directory.
func withoutMess(id ID) bool {
	if there, err := exists(id.Mess()); there || err != nil {
		return false
	}
	there, err := exists("mess/" + strconv.FormatUint(uint64(id)%Split(), 10))
	return there && err == nil
}
