package remote

import (
	"sync"
	"syscall"
	"time"

	"github.com/reqmail/reqmail/compat/socket"
	"github.com/reqmail/reqmail/control"
)

// configCache reads the control directory when a file in it has changed, so
// that a process that stays sees what a new one would.
type configCache struct {
	path string

	mu     sync.Mutex
	config *Config // nil: none that can be used again
	names  []control.Name
	files  []fileState
}

// fileState tells a file from another one, or from an earlier state of it.
type fileState struct {
	device, inode uint64
	size          int64
	changed       syscall.Timespec // its status, with its content
	missing       bool
}

// settled is how old a change must be for the clock of the file system to tell
// it from the next one.
const settled = 100 * time.Millisecond

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
	c.config, c.names = config, names
	if !c.note() {
		c.config = nil
	}
	return config, nil
}

// note notes the files' states, and reports whether all have been so for long
// enough.
func (c *configCache) note() bool {
	c.files = c.files[:0]
	now := time.Now()
	long := true
	for _, name := range append(c.names, "") {
		f, ok := stateOf(c.path + "/" + string(name))
		age := now.Sub(time.Unix(f.changed.Unix()))
		long = long && ok && (f.missing || age > settled || age < 0)
		c.files = append(c.files, f)
	}
	return long
}

func (c *configCache) unchanged() bool {
	for i, name := range append(c.names, "") {
		if f, ok := stateOf(c.path + "/" + string(name)); !ok || f != c.files[i] {
			return false
		}
	}
	return true
}

// stateOf returns the state of a file; ok is false where that is unknown.
func stateOf(path string) (f fileState, ok bool) {
	var st syscall.Stat_t
	switch err := syscall.Stat(path, &st); err {
	case nil:
		return fileState{uint64(st.Dev), st.Ino, st.Size, st.Ctim, false}, true
	case syscall.ENOENT:
		return fileState{missing: true}, true
	}
	return f, false
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
