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
	whole   joint
	drafts  atomic.Int64 // begun so far

	mu      sync.Mutex
	failed  bool              // the kernel tells of an error once, perhaps to somebody else
	resting time.Time         // not used until then
	dirs    map[string]*joint // the syncs of directories, by their names
}

// joint is a sync that several need: one serves all who came before it began.
type joint struct {
	turn sync.Mutex // held by who syncs
	mu   sync.Mutex
	next *commit // not begun; whoever has written joins it
}

// commit is one sync; its result is read by who holds turn.
type commit struct {
	joined int
	done   bool
	err    error
}

// wait returns when a sync that began after the call has ended, with its
// error. do makes one, for as many as have joined.
func (j *joint) wait(do func(joined int) error) error {
	j.mu.Lock()
	if j.next == nil {
		j.next = &commit{}
	}
	mine := j.next
	mine.joined++
	j.mu.Unlock()

	j.turn.Lock()
	defer j.turn.Unlock()
	if !mine.done {
		j.mu.Lock()
		j.next = nil // who comes now is not in it
		j.mu.Unlock()
		mine.done = true
		mine.err = do(mine.joined)
	}
	return mine.err
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

// begin and end say that messages are being written.
func (c *Commits) begin()          { c.writers.Add(1) }
func (c *Commits) end(writers int) { c.writers.Add(-int32(writers)) }

// crowded reports whether many messages are being written.
func (c *Commits) crowded() bool { return c.writers.Load() >= crowd }

// Whole reports whether the file system can be synced as a whole, as far as is
// known.
func (c *Commits) Whole() bool { return c.sync != nil && c.usable() }

// serves reports whether a sync of the file system is worth it now.
func (c *Commits) serves() bool { return c.crowded() && c.Whole() }

func (c *Commits) usable() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.failed && !time.Now().Before(c.resting)
}

// wait returns when what the caller has written is durable, or with an error if
// that is not known. One sync serves all that have come before it began.
func (c *Commits) wait() error {
	return c.whole.wait(func(joined int) error {
		if !c.usable() {
			return errNoCommit
		}
		began := time.Now()
		err := c.sync()
		c.judge(joined, err, time.Since(began))
		return err
	})
}

// waitDir returns when the names in a directory, which is open, are durable.
func (c *Commits) waitDir(path string, dir fdio.FD) error {
	c.mu.Lock()
	if c.dirs == nil {
		c.dirs = map[string]*joint{}
	}
	j := c.dirs[path]
	if j == nil {
		j = &joint{}
		c.dirs[path] = j
	}
	own := c.failed
	c.mu.Unlock()
	if own { // an error is told of once, to whom nobody knows
		return dir.Sync()
	}
	err := j.wait(func(int) error { return dir.Sync() })
	if err != nil {
		c.mu.Lock()
		c.failed = true
		c.mu.Unlock()
	}
	return err
}

// judge decides by how a sync went whether, and when, there is another one.
func (c *Commits) judge(joined int, err error, took time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failed = c.failed || err != nil
	if took > patience+time.Duration(joined)*patiencePerMessage {
		c.resting = time.Now().Add(max(leastRest, restFactor*took))
	}
}
