package migrate

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/reqmail/reqmail/packaging/layout"
	"github.com/reqmail/reqmail/queue"
)

// check is one thing that the doctor looks at. What it finds bad keeps a swap
// from beginning if that is asked to heed it.
type check struct {
	name string
	run  func(*Host, *Report, string)
	swap bool
}

// checks in the order of the report.
func checks() []check {
	return []check{
		{"host", (*Host).checkHost, false},
		{"programs", (*Host).checkSources, true},
		{"accounts", (*Host).checkAccounts, true},
		{"limits", (*Host).checkLimits, true},
		{"queue", (*Host).checkQueue, true},
		{"space", (*Host).checkSpace, true},
		{"wrappers", (*Host).checkWrappers, false},
		{"modes", (*Host).checkModes, false},
		{"controls", (*Host).checkControls, false},
		{"patches", (*Host).checkPatches, false},
		{"selinux", (*Host).checkLabels, false},
		{"swap", (*Host).checkSwaps, false},
	}
}

// Doctor looks the host over and changes nothing.
func (h *Host) Doctor(r *Report) Exit {
	if _, err := os.Stat(h.home("bin")); err != nil {
		return r.End(fmt.Errorf("looking for qmail: %w", err))
	}
	for _, c := range checks() {
		before := len(r.events)
		c.run(h, r, c.name)
		if len(r.events) == before {
			r.say(OK, c.name, "", "nothing to remark")
		}
	}
	return r.End(nil)
}

// fit runs the checks that a swap depends on and returns what is bad, as an
// error. It reports nothing that is good.
func (h *Host) fit(r *Report) error {
	found := &Report{Out: io.Discard}
	for _, c := range checks() {
		if c.swap {
			c.run(h, found, c.name)
		}
	}
	bad := 0
	for _, e := range found.events {
		if e.Level == Bad {
			r.Say(e)
			bad++
		}
	}
	if bad > 0 {
		return fmt.Errorf("our programs would not work here for %d reasons", bad)
	}
	return nil
}

// checkHost tells what kind of host this is and how it starts qmail.
func (h *Host) checkHost(r *Report, name string) {
	r.say(OK, name, h.Home, h.kind())
	m, ok := h.findMeans(0)
	if ok {
		r.say(OK, name, h.bare(m.object), "starts qmail-send ("+m.kind+")")
	} else {
		r.say(Note, name, "", "found neither supervise, nor a systemd unit, nor an init script that starts qmail-send: restart it yourself where a swap says so")
	}
	if pid := h.sendPID(); pid == 0 {
		r.say(Note, name, "qmail-send", "is not running from "+h.Home+"/bin: a swap cannot try whether mail is delivered")
	} else {
		r.say(OK, name, "qmail-send", fmt.Sprintf("runs as process %d", pid))
	}
	for _, daemon := range h.outdated() {
		r.say(Note, name, daemon, "runs a program that has been replaced since; restart qmail")
	}
	for _, link := range []string{"/usr/sbin/sendmail", "/usr/lib/sendmail"} {
		h.checkSendmail(r, name, link)
	}
}

func (h *Host) kind() string {
	for _, version := range []string{"/usr/local/psa/version", "/opt/psa/version"} {
		if text := readText(h.path(version)); text != "" {
			return "a Plesk host, " + strings.TrimSpace(text)
		}
	}
	if len(h.glob("/service/*/run", "/etc/service/*/run")) > 0 {
		return "a host with supervised services"
	}
	return "a host without Plesk and supervise"
}

func (h *Host) checkSendmail(r *Report, name, link string) {
	at, err := filepath.EvalSymlinks(h.path(link))
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		r.say(Note, name, link, err.Error())
	case at == filepath.Join(h.bin(), "sendmail"):
		r.say(OK, name, link, "leads to "+h.Home+"/bin/sendmail")
	default:
		r.say(Note, name, link, "does not lead to "+h.Home+"/bin/sendmail: a swap does not change what it does")
	}
}

// checkSources tells whether our programs run here and were built for this
// home.
func (h *Host) checkSources(r *Report, name string) {
	names, err := h.sources()
	if err != nil {
		r.say(Bad, name, h.From, err.Error())
		return
	}
	for _, need := range append([]string{"qmail-queue", "qmail-send", "qmail-smtpd"}, added[0]) {
		if !slices.Contains(names, need) {
			r.say(Bad, name, h.From, need+" is missing")
		}
	}
	linked, _, err := h.builtFor()
	switch {
	case err != nil:
		r.say(Bad, name, h.From, err.Error())
	case linked != filepath.Clean(h.Home):
		r.say(Bad, name, h.From, "built for the home "+linked+", not "+h.Home+": build with make QMAIL="+h.Home)
	default:
		r.say(OK, name, h.From, fmt.Sprintf("%d programs, built for %s", len(names), linked))
	}
}

// checkAccounts tells which users and groups are missing.
func (h *Host) checkAccounts(r *Report, name string) {
	if h.private() {
		return
	}
	if _, err := layout.FindAccounts(); err != nil {
		r.say(Bad, name, "", err.Error())
		return
	}
	r.say(OK, name, "", "every user and group of qmail's exists")
}

// checkModes compares owners, modes and types with what an installation sets.
func (h *Host) checkModes(r *Report, name string) {
	accounts, err := layout.FindAccounts()
	if h.private() || err != nil {
		return // nobody's to own, or reported already
	}
	err = layout.Check(h.Home, h.home(), layout.Sources{Bin: h.From}, false, accounts, func(line string) {
		path, _, _ := strings.Cut(line, " ")
		below := strings.TrimPrefix(path, h.home()+"/")
		part, _, _ := strings.Cut(below, "/")
		absent := strings.HasSuffix(line, " does not exist")
		if below == "queue/"+queue.TCPTO6 && absent {
			return // a swap makes it
		}
		if part == "boot" || part == "man" || part == "doc" || part == "bin" && (absent || h.wrapped(filepath.Base(path))) {
			return // not every host has every program and page; wrappers are their vendor's
		}
		r.say(Note, name, h.bare(path), strings.TrimPrefix(line, path+" "))
	})
	if err != nil {
		r.say(Note, name, h.Home, err.Error())
	}
}

func (h *Host) wrapped(name string) bool {
	places, ambiguous, err := h.places(name)
	return err != nil || ambiguous || slices.ContainsFunc(places, func(p place) bool { return p.wrapper != "" })
}

// checkWrappers names what stands in the place of a program or in front of it.
func (h *Host) checkWrappers(r *Report, name string) {
	names, err := h.sources()
	if err != nil {
		return // reported already
	}
	for _, program := range names {
		places, ambiguous, err := h.places(program)
		switch {
		case err != nil:
			r.say(Note, name, program, err.Error())
			continue
		case ambiguous:
			r.say(Note, name, program, "has two originals, "+strings.Join(originals(program), " and ")+": a swap leaves it alone")
			continue
		case len(places) > 1:
			r.say(Note, name, program, "the wrapper in front of "+filepath.Base(places[0].path)+" has been overwritten; a swap replaces both")
			continue
		}
		switch p := places[0]; {
		case p.wrapper != "":
			r.say(OK, name, h.bare(p.wrapper), "is a wrapper; a swap replaces "+filepath.Base(p.path)+" behind it")
		case p.kind == foreign:
			r.say(Note, name, h.bare(p.path), "is not qmail's but "+describe(p.path)+": a swap leaves it alone")
		}
	}
}

// describe tells what a foreign file is.
func describe(path string) string {
	info, err := os.Lstat(path)
	if err != nil {
		return err.Error()
	}
	if info.Mode()&fs.ModeSymlink != 0 {
		target, err := os.Readlink(path)
		if err != nil {
			return err.Error()
		}
		return "a link to " + target
	}
	if first, _, _ := strings.Cut(readText(path), "\n"); strings.HasPrefix(first, "#!") {
		return "a script (" + first + ")"
	}
	return "a file of type " + info.Mode().Type().String()
}

// checkSpace tells whether there is room for a second set of programs, and
// for mail.
func (h *Host) checkSpace(r *Report, name string) {
	var need uint64
	names, err := h.sources()
	if err != nil {
		return // reported already
	}
	for _, program := range names {
		if info, err := os.Stat(filepath.Join(h.From, program)); err == nil {
			need += uint64(info.Size())
		}
	}
	const reserve = 16 << 20 // for manifest, logs and mail meanwhile
	for _, place := range []struct {
		path string
		need uint64
	}{{h.bin(), need + reserve}, {h.home("queue"), reserve}} {
		var st syscall.Statfs_t
		if err := syscall.Statfs(place.path, &st); err != nil {
			r.say(Note, name, h.bare(place.path), err.Error())
			continue
		}
		free := st.Bavail * uint64(st.Bsize)
		text := fmt.Sprintf("%d MB free, %d MB needed", free>>20, place.need>>20)
		switch {
		case free < place.need:
			r.say(Bad, name, h.bare(place.path), text)
		case st.Files > 0 && st.Ffree < 1000:
			r.say(Bad, name, h.bare(place.path), fmt.Sprintf("%d inodes free", st.Ffree))
		default:
			r.say(OK, name, h.bare(place.path), text)
		}
	}
}

// checkLabels tells whether SELinux confines the programs.
func (h *Host) checkLabels(r *Report, name string) {
	enforce := strings.TrimSpace(readText(h.path("/sys/fs/selinux/enforce")))
	if enforce == "" {
		r.say(OK, name, "", "not in use")
		return
	}
	label, err := labelOf(filepath.Join(h.bin(), "qmail-send"))
	switch {
	case err != nil:
		r.say(Note, name, h.Home+"/bin/qmail-send", err.Error())
	case label == "":
		r.say(Note, name, h.Home+"/bin/qmail-send", "has no label; run restorecon -R "+h.Home+"/bin")
	default:
		r.say(OK, name, h.Home+"/bin/qmail-send", "has the label "+label+", which a swap keeps (enforcing: "+enforce+")")
	}
}

// checkSwaps tells what earlier swaps have left.
func (h *Host) checkSwaps(r *Report, name string) {
	all, unused, err := h.backups()
	if err != nil {
		r.say(Bad, name, h.bare(h.own()), err.Error())
		return
	}
	for _, m := range all {
		text := fmt.Sprintf("%d programs are kept, %s", len(m.Programs), m.State)
		if m.State == Swapped {
			r.say(OK, name, h.bare(m.dir), text+"; rollback restores them")
		} else {
			r.say(Note, name, h.bare(m.dir), text+": not finished; run swap or rollback again")
		}
	}
	for _, dir := range unused {
		r.say(OK, name, h.bare(dir), "left by a swap that replaced nothing; the next one removes it")
	}
}
