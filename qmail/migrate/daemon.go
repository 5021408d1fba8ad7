package migrate

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// daemons keep running the program that they were started from; every other
// program is started anew for each job.
var daemons = []string{"qmail-send", "qmail-lspawn", "qmail-rspawn", "qmail-clean"}

// process is a running daemon of this home.
type process struct {
	pid   int
	name  string
	stale bool // its program is no longer the one in bin/
}

// processes finds the daemons that were started from this home's bin/.
func (h *Host) processes() []process {
	var all []process
	for _, dir := range h.glob("/proc/[0-9]*") {
		comm, err := os.ReadFile(filepath.Join(dir, "comm"))
		name := strings.TrimSpace(string(comm))
		if err != nil || !slices.Contains(daemons, name) {
			continue // it has ended meanwhile, or is none of ours
		}
		exe, err := os.Readlink(filepath.Join(dir, "exe"))
		if err != nil || filepath.Dir(strings.TrimSuffix(exe, " (deleted)")) != h.bin() {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(dir))
		if err != nil {
			continue
		}
		all = append(all, process{pid: pid, name: name, stale: h.stale(dir, name)})
	}
	return all
}

// stale reports whether the process in a folder of /proc runs another file
// than a process started now would.
func (h *Host) stale(proc, name string) bool {
	running, err := os.Stat(filepath.Join(proc, "exe"))
	if err != nil {
		return true
	}
	places, _, err := h.places(name)
	if err != nil {
		return true
	}
	return !slices.ContainsFunc(places, func(p place) bool {
		there, err := os.Stat(p.path)
		return err == nil && os.SameFile(running, there)
	})
}

// sendPID returns the process id of the running qmail-send, 0 without one.
func (h *Host) sendPID() int {
	for _, p := range h.processes() {
		if p.name == "qmail-send" {
			return p.pid
		}
	}
	return 0
}

// outdated names the daemons that still run a program that has been replaced.
func (h *Host) outdated() []string {
	var names []string
	for _, p := range h.processes() {
		if p.stale {
			names = append(names, p.name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
