package remote

import (
	"sync"
	"syscall"
	"time"

	"github.com/reqmail/reqmail/compat/resolver"
	"github.com/reqmail/reqmail/compat/socket"
	"github.com/reqmail/reqmail/control"
)

// configCache reads the control directory when a file in it has changed, so
// that a process that stays sees what a new one would.
type configCache struct {
	path string

	mu      sync.Mutex
	config  *Config // nil: none that can be used again
	watched []fileState
}

// fileState tells a file from another one, or from an earlier state of it.
type fileState struct {
	path          string
	device, inode uint64
	size          int64
	changed       syscall.Timespec // its status, with its content
	missing       bool
}

// settled is how old a change must be for the clock of the file system to tell
// it from the next one; settledCoarse, where it has no fractions of seconds.
const (
	settled       = 100 * time.Millisecond
	settledCoarse = 1100 * time.Millisecond
)

// get returns the current configuration; the same pointer as long as nothing
// has changed.
func (c *configCache) get() (*Config, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.config != nil && c.unchanged() {
		return c.config, nil
	}
	config, names, err := readConfig(c.path)
	if err != nil {
		c.config = nil
		return nil, err
	}
	// Its states are taken afterwards: what changes in between is younger
	// than settled.
	c.config = config
	if !c.note(names) {
		c.config = nil
	}
	return config, nil
}

// note notes the states of the directory and of the files in it, and reports
// whether all have been so for long enough. A name that is not there is the
// directory's business.
func (c *configCache) note(names []control.Name) bool {
	c.watched = c.watched[:0]
	for _, name := range append([]control.Name{""}, names...) {
		path := c.path + "/" + string(name)
		f, ok := stateOf(path)
		if !ok || !f.settled() {
			return false
		}
		if !f.missing || isLink(path) {
			c.watched = append(c.watched, f)
		}
	}
	return true
}

func (c *configCache) unchanged() bool {
	for _, f := range c.watched {
		if !f.still() {
			return false
		}
	}
	return true
}

// isLink reports whether a name is that of a symbolic link, perhaps to a file
// that is still to come, or may be.
func isLink(path string) bool {
	var st syscall.Stat_t
	return syscall.Lstat(path, &st) != syscall.ENOENT
}

// stateOf returns the state of a file; ok is false where that is unknown.
func stateOf(path string) (f fileState, ok bool) {
	var st syscall.Stat_t
	switch err := syscall.Stat(path, &st); err {
	case nil:
		return fileState{path, uint64(st.Dev), st.Ino, st.Size, st.Ctim, false}, true
	case syscall.ENOENT:
		return fileState{path: path, missing: true}, true
	}
	return f, false
}

// still reports whether a file is as it was.
func (f fileState) still() bool {
	now, ok := stateOf(f.path)
	return ok && now == f
}

// settled reports whether a file has been as it is for so long that its next
// change will show.
func (f fileState) settled() bool {
	age, long := time.Since(time.Unix(f.changed.Unix())), settled
	if f.changed.Nsec == 0 {
		long = settledCoarse
	}
	return f.missing || age > long || age < 0
}

// resolverCache reads resolv.conf(5) when it has changed.
type resolverCache struct {
	mu    sync.Mutex
	of    fileState
	known *resolver.Resolver // nil: none that can be used again
}

func (c *resolverCache) get() *resolver.Resolver {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known != nil && c.of.still() {
		return c.known
	}
	of, ok := stateOf(resolver.Path)
	r := resolver.System()
	if c.known = nil; ok && of.settled() && of.still() {
		c.known, c.of = r, of
	}
	return r
}

// hostCache asks for this host's addresses once a second at most.
type hostCache struct {
	mu    sync.Mutex
	host  *socket.Host
	until time.Time
}

func (c *hostCache) get() (*socket.Host, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Now().Before(c.until) {
		return c.host, nil
	}
	host, err := socket.ThisHost()
	if err == nil {
		c.host, c.until = host, time.Now().Add(time.Second)
	}
	return host, err
}
