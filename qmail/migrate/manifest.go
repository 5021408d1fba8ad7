package migrate

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/google/renameio/v2"
)

// State is how far a swap has come.
type State string

// The states of a manifest.
const (
	Swapping  State = "swapping"
	Swapped   State = "swapped"
	Restoring State = "restoring"
)

// Entry is a program that a swap replaces or adds.
type Entry struct {
	Name string      `json:"name"`
	Path string      `json:"path"`           // as the host knows it
	Kept string      `json:"kept,omitempty"` // below the backup folder; "" if the swap adds the file
	Old  *Attributes `json:"old,omitempty"`
	New  Attributes  `json:"new"`
}

// Manifest is what a backup folder's manifest.json says. It is on disk before
// the first program is replaced.
type Manifest struct {
	Version  int       `json:"version"`
	State    State     `json:"state"`
	Begun    time.Time `json:"begun"`
	Home     string    `json:"home"`
	From     string    `json:"from"`
	Programs []Entry   `json:"programs"`

	dir string
}

const (
	manifestName    = "manifest.json"
	manifestVersion = 1
	backupPrefix    = "backup-"
)

// kept returns where an entry's old program is.
func (m *Manifest) kept(e Entry) string { return filepath.Join(m.dir, e.Kept) }

// entry returns the entry of a path, nil if there is none.
func (m *Manifest) entry(path string) *Entry {
	for i := range m.Programs {
		if m.Programs[i].Path == path {
			return &m.Programs[i]
		}
	}
	return nil
}

// save writes the manifest durably.
func (m *Manifest) save() error {
	data, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	path := filepath.Join(m.dir, manifestName)
	if err := renameio.WriteFile(path, append(data, '\n'), 0o600, renameio.WithTempDir(m.dir)); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return syncDir(m.dir)
}

func loadManifest(dir string) (*Manifest, error) {
	path := filepath.Join(dir, manifestName)
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	m := &Manifest{dir: dir}
	if err := json.Unmarshal(data, m); err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	if m.Version != manifestVersion {
		return nil, fmt.Errorf("%s has version %d, not %d: use the reqmail that wrote it", path, m.Version, manifestVersion)
	}
	for _, e := range m.Programs {
		if e.Kept != "" && (e.Kept != filepath.Base(e.Kept) || e.Old == nil) {
			return nil, fmt.Errorf("%s: entry %s makes no sense", path, e.Name)
		}
	}
	return m, nil
}

// own is the folder that belongs to these commands.
func (h *Host) own() string { return h.home("reqmail") }

// backups returns the manifests of swaps that can be undone, newest first, and
// the folders without one: there a swap ended before it replaced anything.
func (h *Host) backups() (all []*Manifest, unused []string, err error) {
	dirs, err := filepath.Glob(filepath.Join(h.own(), backupPrefix+"*"))
	if err != nil {
		return nil, nil, err
	}
	slices.Sort(dirs)
	slices.Reverse(dirs)
	for _, dir := range dirs {
		m, err := loadManifest(dir)
		switch {
		case errors.Is(err, os.ErrNotExist):
			unused = append(unused, dir)
		case err != nil:
			return nil, nil, err
		default:
			all = append(all, m)
		}
	}
	return all, unused, nil
}

// newBackup makes the folder of a swap. Others cannot look into it: it keeps
// set-uid programs.
func (h *Host) newBackup(now time.Time) (*Manifest, error) {
	if err := h.makeOwn(); err != nil {
		return nil, err
	}
	dir := filepath.Join(h.own(), backupPrefix+now.UTC().Format("20060102T150405.000000"))
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	return &Manifest{
		Version: manifestVersion, State: Swapping, Begun: now.UTC().Truncate(time.Second),
		Home: h.Home, From: h.From, dir: dir,
	}, syncDir(h.own())
}

func (h *Host) makeOwn() error {
	if err := os.Mkdir(h.own(), 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	return syncDir(h.home())
}

// forget removes a backup folder: first its manifest, so that what is left of
// an interrupted removal is known to be of no use.
func forget(dir string) error {
	if err := drop(filepath.Join(dir, manifestName)); err != nil {
		return err
	}
	if !strings.HasPrefix(filepath.Base(dir), backupPrefix) {
		return fmt.Errorf("%s is no backup folder", dir)
	}
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	return syncDir(filepath.Dir(dir))
}

// lock keeps a second swap or rollback out until the process ends or release
// is called.
func (h *Host) lock() (release func(), err error) {
	if err := h.makeOwn(); err != nil {
		return nil, err
	}
	path := filepath.Join(h.own(), "lock")
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("locking %s: %w: another swap or rollback is running", path, err)
	}
	return func() { f.Close() }, nil
}
