// Package migrate takes a host from the C programs to ours and back: it looks
// a host over (Doctor), replaces programs (Swap) and restores them (Rollback).
//
// It owns HOME/reqmail: a folder backup-TIME for each swap that can be undone,
// with the programs that were replaced and a manifest, and the lock that keeps
// two of these commands apart. It knows how hosts keep, wrap, limit, start and
// watch qmail's programs. It must not know what a program does, and it changes
// nothing in the queue or in control/: its test message goes through
// qmail-queue like everybody's.
//
// Any program may be ours or C's at any time, so every mixture delivers mail.
// A swap that is killed between two steps therefore needs no repair: each
// program's place holds a whole program, the manifest on disk tells what was
// there before, and Swap or Rollback run again go on from there.
//
//	on disk                                     after
//	backup-TIME without manifest.json           keeping the old programs; nothing is replaced
//	manifest.json, "swapping"                   the old programs and their attributes are safe
//	bin/.NAME.reqmail-new                       a fresh program is being written
//	manifest.json, "swapped"                    every program is in place, restarted and tried
//	manifest.json, "restoring"                  a rollback has begun
//	no backup-TIME                              it is as before the swap
package migrate

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/reqmail/reqmail/compat/home"
)

// Exit is the exit code of a command.
type Exit int

// The exit codes.
const (
	Done   Exit = 0   // done, or healthy
	Look   Exit = 1   // done, but there is something to look at
	Usage  Exit = 2   // wrong usage
	Failed Exit = 111 // not done; what was begun has been undone or can be picked up
)

// Host is the host that is looked at or changed.
type Host struct {
	Home string // qmail's home, as the programs know it
	Root string // put before every path, for tests; empty otherwise
	From string // folder of our built programs; Root does not count for it
}

// path returns where a path of the host lies.
func (h *Host) path(elem ...string) string {
	return filepath.Join(append([]string{h.Root, "/"}, elem...)...)
}

// home returns a path below qmail's home.
func (h *Host) home(elem ...string) string {
	return h.path(append([]string{h.Home}, elem...)...)
}

// bin is the folder of the programs. Debian's /var/qmail/bin is a link.
func (h *Host) bin() string {
	if dir, err := filepath.EvalSymlinks(h.home("bin")); err == nil {
		return dir
	}
	return h.home("bin")
}

// bare is a path as the host itself knows it, without Root.
func (h *Host) bare(path string) string {
	if h.Root == "" {
		return path
	}
	if rest, ok := strings.CutPrefix(path, filepath.Clean(h.Root)+"/"); ok {
		return "/" + rest
	}
	return path
}

// glob returns the paths of the host that match one of the patterns.
func (h *Host) glob(patterns ...string) []string {
	var all []string
	for _, pattern := range patterns {
		found, err := filepath.Glob(h.path(pattern))
		if err == nil { // the only error is a malformed pattern
			all = append(all, found...)
		}
	}
	return all
}

// private reports whether the home is an ordinary user's own, where every role
// is played under his uid.
func (h *Host) private() bool {
	return os.Geteuid() != 0 && (home.Private() || h.Root != "")
}

// DefaultFrom is the folder of our programs where none is named: the package's,
// or the one beside the running program.
func DefaultFrom() string {
	const packaged = "/usr/lib/reqmail/bin"
	if info, err := os.Stat(packaged); err == nil && info.IsDir() {
		return packaged
	}
	self, err := os.Executable()
	if err != nil {
		return packaged
	}
	return filepath.Dir(self)
}
