package check

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"

	"github.com/reqmail/reqmail/queue"
)

// A message whose number is not the inode number of its text gets the right
// one in these steps, each of them for all such messages and durable before
// the next begins:
//
//	1  the text has a second name in moving; then todo or info goes there, so
//	   that no qmail-send knows the message any more
//	2  its other files go there, and the text loses its first name
//	3  all but todo or info go to their places under the new number
//	4  todo or info go there, and the message is in the queue again
//
// In every state between them repeating all steps leads to the end: what is in
// moving is the whole list of what is left to do. The new number is free, for
// a number in use that is no inode's is renumbered in the same run, and while
// the text is in moving its inode number is nobody else's.

// move is one message on its way.
type move struct{ from, to queue.ID }

func (m move) staged(k queue.Kind) string { return fmt.Sprintf("%s/%d-%d.%s", moving, m.from, m.to, k) }

// decides tells that with files of this kind a message is known to qmail-send.
func decides(k queue.Kind) bool { return k == queue.TodoFile || k == queue.InfoFile }

// number takes the first half of step 1: settle does the rest for all.
func (r *repair) number(f Finding) error {
	if o, ok := r.held[f.ID]; ok && o.Held {
		return fmt.Errorf("message %v is held, and its number would change: release it first", f.ID)
	}
	mess := r.view.messages[f.ID].one(queue.MessFile)
	mv := move{f.ID, queue.ID(mess.stat.Ino)}
	err := os.Link(mess.path, mv.staged(queue.MessFile))
	if errors.Is(err, os.ErrExist) {
		return nil
	}
	return err
}

// stage moves the files of some kinds to moving. Of a message in todo the rest
// comes of that: it is not needed.
func stage(mv move, m message, which func(queue.Kind) bool) error {
	for _, k := range queue.Kinds() {
		f := m.one(k)
		if f == nil || !which(k) {
			continue
		}
		if m.one(queue.TodoFile) != nil && k != queue.TodoFile {
			if err := unlinked(f.path); err != nil {
				return wrap("unlink", f.path, err)
			}
			continue
		}
		if err := renameNew(f.path, mv.staged(k)); err != nil && err != syscall.ENOENT {
			return wrap("rename", f.path, err)
		}
	}
	return nil
}

// settle takes all messages that have begun to move to their new numbers, also
// those that an interrupted run has left.
func (r *repair) settle() error {
	moves, err := readMoves()
	if err != nil || len(moves) == 0 {
		return err
	}
	v, err := look(r.Tree)
	if err != nil {
		return err
	}
	notText := func(k queue.Kind) bool { return !decides(k) && k != queue.MessFile }
	steps := []func(mv move) error{
		func(mv move) error { return stage(mv, v.messages[mv.from], decides) },
		func(mv move) error {
			m := v.messages[mv.from]
			if err := stage(mv, m, notText); err != nil {
				return err
			}
			return wrap("unlink", m.one(queue.MessFile).path, unlinked(m.one(queue.MessFile).path))
		},
		func(mv move) error { return r.unstage(mv, func(k queue.Kind) bool { return !decides(k) }) },
		func(mv move) error { return r.unstage(mv, decides) },
	}
	for n, step := range steps {
		if err := syncQueue(); err != nil {
			return err
		}
		for _, mv := range moves {
			// Without its text the old number is another message's by now, or
			// these steps have been taken.
			mess := v.messages[mv.from].one(queue.MessFile)
			if n < 2 && (mess == nil || !sameFile(mess.path, mv.staged(queue.MessFile))) {
				continue
			}
			if err := step(mv); err != nil {
				return err
			}
		}
	}
	return syncQueue()
}

// readMoves lists the messages that have files in moving.
func readMoves() (moves []move, err error) {
	entries, err := os.ReadDir(moving)
	if err != nil && !isGone(err) {
		return nil, err
	}
	for _, e := range entries {
		if mv, ok := parseMove(e.Name()); ok && !slices.Contains(moves[max(len(moves)-1, 0):], mv) {
			moves = append(moves, mv) // the names of one stand together
		}
	}
	return moves, nil
}

// unstage moves files of some kinds from moving to their new places.
func (r *repair) unstage(mv move, which func(queue.Kind) bool) error {
	for _, k := range queue.Kinds() {
		if !which(k) {
			continue
		}
		err := wrap("rename", mv.staged(k), renameNew(mv.staged(k), r.Tree.Path(k, mv.to)))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

func parseMove(name string) (move, bool) {
	numbers, _, ok := strings.Cut(name, ".")
	from, to, dash := strings.Cut(numbers, "-")
	a, okA := queue.ParseID(from)
	b, okB := queue.ParseID(to)
	return move{a, b}, ok && dash && okA && okB
}
