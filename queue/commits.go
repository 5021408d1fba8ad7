package queue

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/reqmail/reqmail/compat/fdio"
	"golang.org/x/sys/unix"
)

// Commits makes what several goroutines have written durable with one sync of
// the queue's whole file system: a disk does that for dozens of messages in the
// time that it needs for a few of their files. It serves where many wait, on
// file systems and kernels that are known to tell of errors then; all others
// sync file by file. Its zero value, and a nil one, serve nobody.
type Commits struct {
	sync    func() error // makes durable what has been written before it is called
	device  uint64       // of the file system
	writers atomic.Int32

	turn    sync.Mutex // held by who syncs
	mu      sync.Mutex
	next    *commit   // not begun; whoever has written joins it
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
	// is not tried again for a while.
	patience           = 250 * time.Millisecond
	patiencePerMessage = 10 * time.Millisecond
	rest               = time.Minute
)

// syncable are the file systems whose syncfs(2) does for all files what
// fsync(2) does for one: the magic numbers of statfs(2).
var syncable = map[int64]bool{
	unix.EXT4_SUPER_MAGIC: true, unix.XFS_SUPER_MAGIC: true, unix.BTRFS_SUPER_MAGIC: true, unix.F2FS_SUPER_MAGIC: true,
}

// NewCommits returns the commits for the queue that is the working directory,
// nil where its files must be synced one by one.
func NewCommits() *Commits {
	dir, err := fdio.Open(".", unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil
	}
	var fs unix.Statfs_t
	st, err := dir.Stat()
	if err != nil || unix.Fstatfs(int(dir), &fs) != nil || !syncable[int64(fs.Type)] || !tellsErrors() {
		dir.Close()
		return nil
	}
	// The descriptor stays: the kernel tells it of errors since it was opened.
	return &Commits{device: st.Dev, sync: func() error { return unix.Syncfs(int(dir)) }}
}

// tellsErrors reports whether the kernel's syncfs(2) fails when something could
// not be written: since Linux 5.8 (syncfs(2), VERSIONS).
func tellsErrors() bool {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return false
	}
	return release(unix.ByteSliceToString(u.Release[:])) >= 5<<8+8
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
func (c *Commits) begin() {
	if c != nil {
		c.writers.Add(1)
	}
}

func (c *Commits) end() {
	if c != nil {
		c.writers.Add(-1)
	}
}

// serves reports whether a sync of the file system is worth it now.
func (c *Commits) serves() bool {
	if c == nil || c.writers.Load() < crowd {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return !time.Now().Before(c.resting)
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
	if !mine.done {
		c.mu.Lock()
		c.next = nil // who comes now is not in it
		c.mu.Unlock()
		began := time.Now()
		mine.err = c.sync()
		mine.done = true
		if took := time.Since(began); took > patience+time.Duration(mine.joined)*patiencePerMessage {
			c.mu.Lock()
			c.resting = time.Now().Add(rest)
			c.mu.Unlock()
		}
	}
	return mine.err
}
