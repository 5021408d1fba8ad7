package migrate

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// leastAS is the address space in bytes that our programs cannot do without:
// compat/limits refuses to start below it. Only hard limits matter, for the
// entry point raises the soft one.
const leastAS = 900 << 20

// limitRule is a way to limit address space in a kind of file.
type limitRule struct {
	pattern *regexp.Regexp // its first group is the number, the second its unit
	unit    uint64         // bytes, where the number has no unit of its own
}

// leastSoft is the soft limit in bytes below which the system cannot load our
// larger programs, so that their entry point has no say.
const leastSoft = 3 << 20

// softLimits are the ways to set a soft limit alone, which does no harm unless
// it is tiny.
func softLimits() []limitRule {
	return []limitRule{
		{regexp.MustCompile(`(?m)^[^#\n]*\bsoftlimit\b[^#\n]*\s-[am]\s*([0-9]+)()`), 1},
		{regexp.MustCompile(`(?m)^[^#\n]*\bchpst\b[^#\n]*\s-m\s*([0-9]+)()`), 1},
		{regexp.MustCompile(`(?m)^[^#\n]*\bulimit\s+(?:-S\s+-v|-Sv)\s+([0-9]+)()`), 1 << 10},
	}
}

// The rules for hard limits.
func shellLimits() []limitRule {
	return []limitRule{
		{regexp.MustCompile(`(?m)^[^#\n]*\bulimit\s+(?:-H\s*)?-H?v\s+([0-9]+)()`), 1 << 10},
		{regexp.MustCompile(`(?m)^[^#\n]*\bprlimit\b[^#\n]*--as=(?:[0-9]*:)?([0-9]+)()`), 1},
		{regexp.MustCompile(`(?m)^[^#\n]*\bs6-softlimit\s+-H\b[^#\n]*-a\s*([0-9]+)()`), 1},
	}
}

func unitLimits(key string) []limitRule {
	return []limitRule{{regexp.MustCompile(`(?m)^\s*` + key + `\s*=\s*(?:[0-9]+[KMGT]?:)?([0-9]+)([KMGT]?)`), 1}}
}

func xinetdLimits() []limitRule {
	return []limitRule{{regexp.MustCompile(`(?m)^\s*rlimit_as\s*=\s*([0-9]+)([KM]?)`), 1}}
}

func pamLimits() []limitRule {
	return []limitRule{{regexp.MustCompile(`(?m)^\s*[^#\s]+\s+(?:hard|-)\s+as\s+([0-9]+)()`), 1 << 10}}
}

// lowest returns the lowest limit that a text sets, in bytes.
func lowest(text string, rules []limitRule) (limit uint64, found bool) {
	for _, rule := range rules {
		for _, match := range rule.pattern.FindAllStringSubmatch(text, -1) {
			n, err := strconv.ParseUint(match[1], 10, 64)
			if err != nil {
				continue // larger than any limit
			}
			n *= scale(match[2], rule.unit)
			if !found || n < limit {
				limit, found = n, true
			}
		}
	}
	return limit, found
}

func scale(unit string, plain uint64) uint64 {
	switch unit {
	case "K":
		return 1 << 10
	case "M":
		return 1 << 20
	case "G":
		return 1 << 30
	case "T":
		return 1 << 40
	}
	return plain
}

// checkLimits looks for hard limits on address space where qmail's programs
// are started, and at what the running ones have got.
func (h *Host) checkLimits(r *Report, name string) {
	say := func(path string, rules []limitRule) {
		if limit, ok := lowest(readText(path), rules); ok && limit < leastAS {
			r.say(Bad, name, h.bare(path), fmt.Sprintf("a hard limit of %d MB of address space; our programs need %d MB: lift it", limit>>20, leastAS>>20))
		}
	}
	for _, path := range h.starters() {
		say(path, shellLimits())
		if limit, ok := lowest(readText(path), softLimits()); ok && limit < leastSoft {
			r.say(Bad, name, h.bare(path), fmt.Sprintf("a soft limit of %d bytes of memory; our programs need %d: raise it", limit, leastSoft))
		}
	}
	for _, unit := range h.units() {
		if strings.Contains(readText(unit), "qmail") || strings.Contains(readText(unit), "svscan") {
			say(unit, unitLimits("LimitAS"))
		}
	}
	for _, path := range h.glob("/etc/systemd/system.conf", "/etc/systemd/system.conf.d/*.conf") {
		say(path, unitLimits("DefaultLimitAS"))
	}
	for _, dropIn := range h.glob("/etc/systemd/system/*qmail*.d/*.conf", "/etc/systemd/system/*svscan*.d/*.conf", "/etc/systemd/system/xinetd.service.d/*.conf") {
		say(dropIn, unitLimits("LimitAS"))
	}
	say(h.path("/etc/xinetd.conf"), xinetdLimits())
	for _, service := range h.glob("/etc/xinetd.d/*") {
		if strings.Contains(readText(service), h.Home+"/bin/") {
			say(service, xinetdLimits())
		}
	}
	for _, path := range h.glob("/etc/security/limits.conf", "/etc/security/limits.d/*.conf") {
		say(path, pamLimits())
	}
	h.checkRunning(r, name)
}

// starters are the scripts that qmail's programs may be started from.
func (h *Host) starters() []string {
	return h.glob("/service/*/run", "/service/*/log/run", "/etc/service/*/run", "/etc/service/*/log/run",
		h.Home+"/rc", h.Home+"/supervise/*/run", h.Home+"/supervise/*/log/run",
		"/etc/init.d/qmail*", "/etc/rc.d/init.d/qmail*", "/etc/rc.local", "/etc/rc.d/rc.local")
}

// checkRunning reads the limits of the processes that start programs of
// qmail's here.
func (h *Host) checkRunning(r *Report, name string) {
	address := regexp.MustCompile(`(?m)^Max address space\s+\S+\s+([0-9]+)()`)
	processes := regexp.MustCompile(`(?m)^Max processes\s+\S+\s+([0-9]+)()`)
	const fewProcesses = 100 // most of our programs have about ten threads, qmail-send forty
	seen := map[string]bool{}
	for _, dir := range h.glob("/proc/[0-9]*") {
		comm := strings.TrimSpace(readText(filepath.Join(dir, "comm")))
		switch {
		case seen[comm]:
			continue
		case strings.HasPrefix(comm, "qmail-"), comm == "tcpserver", comm == "xinetd", comm == "inetd":
			seen[comm] = true
		default:
			continue
		}
		text := readText(filepath.Join(dir, "limits"))
		if limit, ok := lowest(text, []limitRule{{address, 1}}); ok && limit < leastAS {
			r.say(Bad, name, comm, fmt.Sprintf("process %s runs under a hard limit of %d MB of address space; our programs need %d MB", filepath.Base(dir), limit>>20, leastAS>>20))
		}
		if limit, ok := lowest(text, []limitRule{{processes, 1}}); ok && limit < fewProcesses {
			r.say(Note, name, comm, fmt.Sprintf("process %s may start no more than %d processes and threads; our programs have several threads each", filepath.Base(dir), limit))
		}
	}
}
