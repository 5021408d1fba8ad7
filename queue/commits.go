package queue

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/reqmail/reqmail/compat/fdio"
	"golang.org/x/sys/unix"
)

// Commits makes what several goroutines have written durable with one sync of
// the queue's whole file system: a disk does that for dozens of messages in the
// time that it needs for a few of their files. It serves where many wait, on
// file systems and kernels that are known to tell of errors then; elsewhere, and
// for good once a sync has failed, each message syncs its own files.
type Commits struct {
	sync    func() error // makes durable what has been written before it is called; nil: cannot
	device  uint64       // of the file system
	writers atomic.Int32

	turn    sync.Mutex // held by who syncs
	mu      sync.Mutex
	next    *commit   // not begun; whoever has written joins it
	failed  bool      // the kernel tells of an error once, perhaps to somebody else
	resting time.Time // not used until then
}

// commit is one sync; its result is read by who holds turn.
type commit struct {
	joined int
	done   bool
	err    error
}

const (
	// crowd is how many messages must be written at a time for a sync of the
	// whole file system to be worth it.
	crowd = 8

	// A sync of the file system also writes what others have left unwritten
	// there. One that takes longer than its messages could have by themselves
	// is not tried again for a while: at least leastRest, and restFactor times as
	// long as it took.
	patience           = 250 * time.Millisecond
	patiencePerMessage = 10 * time.Millisecond
	leastRest          = time.Minute
	restFactor         = 20
)

// errNoCommit says that the file system was not synced; the files must be.
var errNoCommit = errors.New("not synced as a whole")

// syncable are the file systems whose syncfs(2) does for all files what
// fsync(2) does for one, and tells of it when it could not: the magic numbers
// of statfs(2).
var syncable = map[int64]bool{unix.EXT4_SUPER_MAGIC: true, unix.XFS_SUPER_MAGIC: true, unix.BTRFS_SUPER_MAGIC: true}

// NewCommits returns the commits for the queue that is the working directory.
func NewCommits() *Commits {
	dir, err := fdio.Open(".", unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return &Commits{}
	}
	var fs unix.Statfs_t
	st, err := dir.Stat()
	if err != nil || unix.Fstatfs(int(dir), &fs) != nil || !syncable[int64(fs.Type)] || !tellsErrors() {
		dir.Close()
		return &Commits{}
	}
	// The descriptor stays: the kernel tells it of errors since it was opened.
	return &Commits{device: st.Dev, sync: func() error { return unix.Syncfs(int(dir)) }}
}

// tellsErrors reports whether the kernel's syncfs(2) fails when something could
// not be written: data since Linux 5.8 (syncfs(2), VERSIONS), and what the file
// system itself keeps, a commit of its journal say, since 5.17.
func tellsErrors() bool {
	const needed = 5<<8 + 17
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return false
	}
	return release(unix.ByteSliceToString(u.Release[:])) >= needed
}

// release reads the first two numbers of a kernel's version, 5.8 as 0x508.
func release(version string) int {
	number, parts := 0, [2]int{}
	for _, c := range version {
		switch {
		case c >= '0' && c <= '9':
			parts[number] = min(parts[number]*10+int(c-'0'), 255)
		case c == '.' && number == 0:
			number++
		default:
			return parts[0]<<8 + parts[1]
		}
	}
	return parts[0]<<8 + parts[1]
}

// begin and end say that a message is being written.
func (c *Commits) begin() { c.writers.Add(1) }
func (c *Commits) end()   { c.writers.Add(-1) }

// crowded reports whether many messages are being written.
func (c *Commits) crowded() bool { return c.writers.Load() >= crowd }

// serves reports whether a sync of the file system is worth it now.
func (c *Commits) serves() bool { return c.sync != nil && c.crowded() && c.usable() }

func (c *Commits) usable() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.failed && !time.Now().Before(c.resting)
}

// wait returns when what the caller has written is durable, or with an error if
// that is not known. One sync serves all that have come before it began.
func (c *Commits) wait() error {
	c.mu.Lock()
	if c.next == nil {
		c.next = &commit{}
	}
	mine := c.next
	mine.joined++
	c.mu.Unlock()

	c.turn.Lock()
	defer c.turn.Unlock()
	if mine.done {
		return mine.err
	}
	c.mu.Lock()
	c.next = nil // who comes now is not in it
	c.mu.Unlock()
	mine.done = true
	if mine.err = errNoCommit; c.usable() {
		began := time.Now()
		mine.err = c.sync()
		c.judge(mine, time.Since(began))
	}
	return mine.err
}

// judge decides by how a sync went whether, and when, there is another one.
func (c *Commits) judge(m *commit, took time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failed = c.failed || m.err != nil
	if took > patience+time.Duration(m.joined)*patiencePerMessage {
		c.resting = time.Now().Add(max(leastRest, restFactor*took))
	}
}
