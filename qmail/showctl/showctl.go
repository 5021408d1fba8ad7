// Package showctl is qmail-showctl: it explains the configuration in words. The
// files, their formats and texts are one table; defaults are package
// control's. It must not know what the values do.
package showctl

import (
	"io"
	"strconv"
	"strings"
	"syscall"

	"github.com/reqmail/reqmail/compat/ascii"
	"github.com/reqmail/reqmail/compat/fdio"
	"github.com/reqmail/reqmail/compat/ids"
	"github.com/reqmail/reqmail/control"
	"github.com/reqmail/reqmail/control/reference"
	"github.com/reqmail/reqmail/queue"
	"golang.org/x/sys/unix"
)

// Constants that a build of qmail may change and reqmail does not.
const (
	delimiter   = "-"
	paternalism = 2 // the mode bits of a home that qmail-local objects to
)

// Head writes what does not depend on control files: constants of the build
// and the numbers of the qmail accounts. Where an account is missing it writes
// nothing and returns the *ids.Missing.
func Head(w io.StringWriter, home string) error {
	var users, groups []string
	for _, name := range []string{ids.Alias, ids.Daemon, ids.Log, ids.Owner, ids.Passwd, ids.Queue, ids.Remote, ids.Send} {
		uid, err := ids.UID(name)
		if err != nil {
			return err
		}
		users = append(users, strconv.FormatUint(uint64(uid), 10))
	}
	for _, name := range []string{ids.Nofiles, ids.Qmail} {
		gid, err := ids.GID(name)
		if err != nil {
			return err
		}
		groups = append(groups, strconv.FormatUint(uint64(gid), 10))
	}
	put(w, "qmail home directory: ", home, ".\n",
		"user-ext delimiter: ", delimiter, ".\n",
		"paternalism (in decimal): ", strconv.Itoa(paternalism), ".\n",
		"silent concurrency limit: ", strconv.Itoa(control.DefaultOf(control.ConcurrencySpawn).Int), ".\n",
		"subdirectory split: ", strconv.FormatUint(queue.Split(), 10), ".\n",
		"user ids: ", strings.Join(users, ", "), ".\n",
		"group ids: ", strings.Join(groups, ", "), ".\n")
	return nil
}

// Show explains the files of the directory home/control. Where it cannot it
// says so and returns false.
func Show(w io.StringWriter, home string) bool {
	if syscall.Chdir(home) != nil {
		put(w, "Oops! Unable to chdir to ", home, ".\n")
		return false
	}
	if syscall.Chdir("control") != nil {
		put(w, "Oops! Unable to chdir to control.\n")
		return false
	}
	dir, err := fdio.Open(".", syscall.O_RDONLY|syscall.O_DIRECTORY, 0)
	if err != nil {
		put(w, "Oops! Unable to open current directory.\n")
		return false
	}
	defer dir.Close()
	files, err := control.Open(".")
	if err != nil {
		put(w, "Oops! Trouble reading control/me.")
		return false
	}
	p := printer{w, files}
	p.known()
	p.unknown(dir)
	return true
}

func put(w io.StringWriter, texts ...string) {
	for _, text := range texts {
		_, _ = w.WriteString(text)
	}
}

type printer struct {
	w     io.StringWriter
	files *control.Dir
}

const (
	isDefault = "(Default.) "
	trouble   = "Oops! Trouble reading this file.\n"
)

// known shows the files that the tables have.
func (p *printer) known() {
	for _, e := range table {
		if e.name == control.MoreRcptHosts && !p.exists(control.RcptHosts) {
			e = irrelevant
		}
		p.show(e)
	}
	for _, e := range own {
		if p.exists(e.name) {
			p.show(e)
		}
	}
}

// exists is also true of a file that cannot be read.
func (p *printer) exists(name control.Name) bool {
	_, ok, err := p.files.Raw(name)
	return ok || err != nil
}

func (p *printer) show(e entry) {
	put(p.w, "\n", string(e.name), ": ")
	switch e.kind {
	case line:
		p.line(e)
	case number:
		p.number(e)
	case list:
		p.list(e)
	case database:
		put(p.w, databaseState())
	}
}

func (p *printer) line(e entry) {
	own, ok, err := p.files.Raw(e.name)
	if err != nil {
		put(p.w, trouble)
		return
	}
	if !ok {
		put(p.w, isDefault)
		if own, ok, _ = p.files.Line(e.name); !ok {
			own = e.absent
		}
	}
	put(p.w, e.before, ascii.Printable(own), e.after, "\n")
}

func (p *printer) number(e entry) {
	own, _, err := p.files.Raw(e.name)
	if err != nil {
		put(p.w, trouble)
		return
	}
	n, ok := control.Number(own) // a missing file has no number either
	if !ok {
		n = control.DefaultOf(e.name).Int
		put(p.w, isDefault)
	}
	put(p.w, e.before, strconv.Itoa(max(n, 0)), e.after, "\n")
}

func (p *printer) list(e entry) {
	if !p.exists(e.name) {
		put(p.w, isDefault, e.absent, "\n")
		return
	}
	entries, _, err := p.files.List(e.name)
	if err != nil {
		put(p.w, trouble)
		return
	}
	put(p.w, "\n")
	for _, text := range entries {
		put(p.w, e.before, ascii.Printable(text), e.after, "\n")
	}
}

// databaseState says whether morercpthosts.cdb fits morercpthosts.
func databaseState() string {
	var text, compiled syscall.Stat_t
	hasText := syscall.Stat(string(control.MoreRcptHosts), &text) == nil
	hasCompiled := syscall.Stat(string(control.MoreRcptHostsCDB), &compiled) == nil
	switch {
	case !hasText && !hasCompiled:
		return isDefault + "No effect.\n"
	case !hasText:
		return "Oops! morercpthosts.cdb exists but morercpthosts doesn't.\n"
	case !hasCompiled:
		return "Oops! morercpthosts exists but morercpthosts.cdb doesn't.\n"
	case text.Mtim.Sec > compiled.Mtim.Sec:
		return "Oops! morercpthosts.cdb is older than morercpthosts.\n"
	}
	return "Modified recently enough; hopefully up to date.\n"
}

// unknown names the other files of the directory, in its own order. Of those
// that are not qmail's but ours it says what they are for.
func (p *printer) unknown(dir fdio.FD) {
	buf := make([]byte, 8192)
	for {
		n, err := unix.ReadDirent(int(dir), buf)
		if err != nil || n <= 0 {
			return
		}
		_, _, names := unix.ParseDirent(buf[:n], -1, nil)
		for _, name := range names {
			if known(name) {
				continue
			}
			meaning, ok := reference.Meaning(name)
			if !ok {
				meaning = "I have no idea what this file does."
			}
			put(p.w, "\n", name, ": ", meaning, "\n")
		}
	}
}
