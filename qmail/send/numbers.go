package send

import (
	"slices"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/reqmail/reqmail/compat/fdio"
	"github.com/reqmail/reqmail/queue"
)

// numbers keeps the numbers of messages that ended in the second of their birth
// from being given to others in that second: a file system gives them out again
// at once, and number and birth must name one message. A number is kept by a
// descriptor of the text, which may be unlinked meanwhile.
type numbers struct {
	kept []keptNumber // in the order of their births
	most int
}

type keptNumber struct {
	text  fdio.FD
	birth int64 // Unix seconds
}

// mostNumbers is how many numbers are kept: more do not end in a second.
const mostNumbers = 4096

func newNumbers() numbers {
	var files syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files) != nil {
		return numbers{}
	}
	return numbers{most: int(min(files.Cur/2, mostNumbers))}
}

// keep keeps the number of a message that is about to lose its text.
func (n *numbers) keep(id queue.ID, birth, now int64) {
	if birth != now || len(n.kept) >= n.most {
		return
	}
	if f, err := fdio.Open(id.Mess(), unix.O_PATH, 0); err == nil {
		n.kept = append(n.kept, keptNumber{f, birth})
	}
}

// release lets go of the numbers whose second is over; beside the loop, for then
// the file system removes their texts.
func (n *numbers) release(now int64) {
	over := slices.IndexFunc(n.kept, func(k keptNumber) bool { return k.birth == now })
	if over < 0 {
		over = len(n.kept)
	}
	if over == 0 {
		return
	}
	go func(done []keptNumber) {
		for _, k := range done {
			k.text.Close()
		}
	}(slices.Clone(n.kept[:over]))
	n.kept = slices.Delete(n.kept, 0, over)
}

// releaseNumbers does so where there are any.
func (st *steering) releaseNumbers(now int64) {
	if st != nil {
		st.numbers.release(now)
	}
}

// nextRelease is when numbers can be let go, in Unix seconds; false: there are
// none.
func (st *steering) nextRelease() (at int64, ok bool) {
	if st == nil || len(st.numbers.kept) == 0 {
		return 0, false
	}
	return st.numbers.kept[0].birth + 1, true
}
