package migrate

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/reqmail/reqmail/compat/home"
	"github.com/reqmail/reqmail/control/reference"
	"github.com/reqmail/reqmail/qmail/qlist"
	"github.com/reqmail/reqmail/queue"
)

// builtFor asks our qmail-showctl which home and which split of the queue our
// programs were built for: they share both, and running one shows that
// programs of ours run here at all.
func (h *Host) builtFor() (dir string, split uint64, err error) {
	path := filepath.Join(h.From, "qmail-showctl")
	cmd := exec.Command(path)
	cmd.Env = []string{"PATH=/usr/bin:/bin"}
	if value, ok := os.LookupEnv(home.Variable); ok && os.Geteuid() != 0 {
		cmd.Env = append(cmd.Env, home.Variable+"="+value) // a private home is not linked in
	}
	out, runErr := cmd.CombinedOutput()
	for line := range strings.Lines(string(out)) {
		line = strings.TrimSpace(line)
		if rest, ok := strings.CutPrefix(line, "qmail home directory: "); ok {
			dir = strings.TrimSuffix(rest, ".")
		}
		if rest, ok := strings.CutPrefix(line, "subdirectory split: "); ok {
			split, err = strconv.ParseUint(strings.TrimSuffix(rest, "."), 10, 64)
		}
	}
	switch {
	case err != nil:
		return "", 0, fmt.Errorf("running %s: %w", path, err)
	case dir == "" || split == 0:
		return "", 0, fmt.Errorf("running %s: %s (%v)", path, strings.TrimSpace(string(out)), runErr)
	}
	return dir, split, nil
}

// checkQueue tells whether the queue is whole and of a form that our programs
// know.
func (h *Host) checkQueue(r *Report, name string) {
	_, split, err := h.builtFor()
	if err != nil {
		split = queue.Split() // the error has been reported
	}
	for _, part := range []string{"mess", "info", "local", "remote"} {
		h.checkSplit(r, name, part, split)
	}
	for _, part := range []string{"todo", "intd"} {
		if len(h.subdirectories(part)) > 0 {
			r.say(Bad, name, h.Home+"/queue/"+part, "has subdirectories, as the big-todo patch makes them; our programs and plain qmail do not look there")
		}
	}
	h.checkTrigger(r, name)
	h.checkMessages(r, name)
	if held, err := heldMessages(h.home()); err != nil {
		r.say(Note, name, "", err.Error())
	} else if held > 0 {
		r.say(Note, name, "", messagesAre(held)+" held; a rollback refuses while it is so")
	}
}

// checkSplit compares a part's subdirectories with 0 to split-1.
func (h *Host) checkSplit(r *Report, name, part string, split uint64) {
	found := h.subdirectories(part)
	where := h.Home + "/queue/" + part
	if uint64(len(found)) != split {
		r.say(Bad, name, where, fmt.Sprintf("is split into %d, our programs are built for %d: build with make SPLIT=%d", len(found), split, len(found)))
		return
	}
	for n := range split {
		if !slices.Contains(found, strconv.FormatUint(n, 10)) {
			r.say(Bad, name, where, fmt.Sprintf("has no directory %d", n))
		}
	}
}

func (h *Host) subdirectories(part string) []string {
	entries, err := os.ReadDir(h.home("queue", part))
	if err != nil {
		return nil // looks like none, and is reported as such
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names
}

func (h *Host) checkTrigger(r *Report, name string) {
	where := h.home("queue", queue.Trigger)
	info, err := os.Stat(where)
	switch {
	case err != nil:
		r.say(Bad, name, h.bare(where), err.Error())
	case info.Mode()&fs.ModeNamedPipe == 0:
		r.say(Bad, name, h.bare(where), "is no named pipe: qmail-send does not learn of new mail")
	case !h.private() && info.Mode().Perm() != 0o622:
		r.say(Note, name, h.bare(where), fmt.Sprintf("has mode %04o, not 0622", info.Mode().Perm()))
	}
}

// checkMessages counts the messages and looks for files that belong to none.
func (h *Host) checkMessages(r *Report, name string) {
	counts := qlist.Count(h.home(), func(line string) { r.say(Note, name, "", line) })
	r.say(OK, name, "", fmt.Sprintf("%d messages, %d of them not yet preprocessed", counts.Messages, counts.Todo))
	odd := map[string]int{}
	h.walk("mess", func(sub, file string, e fs.DirEntry) {
		info, err := e.Info()
		if err != nil {
			return // gone meanwhile
		}
		st, ok := info.Sys().(*syscall.Stat_t)
		if id, isID := queue.ParseID(file); !isID || ok && st.Ino != uint64(id) {
			odd["files in queue/mess are not named by their inode number (the queue was copied; queue-fix repairs it)"]++
		}
	})
	for _, part := range []string{"info", "local", "remote"} {
		h.walk(part, func(sub, file string, e fs.DirEntry) {
			_, err := os.Lstat(h.home("queue/mess", sub, file))
			if _, still := os.Lstat(h.home("queue", part, sub, file)); errors.Is(err, fs.ErrNotExist) && still == nil {
				odd["files in queue/"+part+" belong to no message"]++
			}
		})
	}
	for what, n := range odd {
		r.say(Note, name, h.Home+"/queue", fmt.Sprintf("%d %s", n, what))
	}
}

// walk calls f for each file of a split part.
func (h *Host) walk(part string, f func(sub, file string, e fs.DirEntry)) {
	for _, sub := range h.subdirectories(part) {
		entries, err := os.ReadDir(h.home("queue", part, sub))
		if err != nil {
			continue // counted and complained about by qlist
		}
		for _, e := range entries {
			f(sub, e.Name(), e)
		}
	}
}

// patchOf names the patch or package that a control file or variable is
// known from, for the administrator's sake; nothing is decided by it.
var patchOf = []struct{ pattern, patch string }{
	{"spf*", "SPF"}, {"SPF*", "SPF"}, {"dkim*", "DKIM"}, {"DKIM*", "DKIM"}, {"domainkeys", "DomainKeys"}, {"DK*", "DomainKeys"},
	{"*.pem", "TLS"}, {"tls*", "TLS"}, {"notlshosts", "TLS"}, {"authsenders", "AUTH in qmail-remote"},
	{"CHKUSER_*", "chkuser"}, {"chkuser*", "chkuser"}, {"tarpit*", "tarpitting"}, {"TARPIT*", "tarpitting"},
	{"validrcptto*", "validrcptto"}, {"VALIDRCPTTO*", "validrcptto"}, {"goodrcptto*", "goodrcptto"}, {"recipients", "recipients"},
	{"bad*", "address filters"}, {"greetdelay", "greeting delay"}, {"GREETDELAY", "greeting delay"}, {"smtpplugins", "spp"},
	{"*SPP*", "spp"}, {"taps", "taps"}, {"simcontrol*", "simscan"}, {"outgoingip*", "outgoing addresses"}, {"bindroutes", "outgoing addresses"},
	{"domainbindings", "outgoing addresses"}, {"helohosts", "outgoing addresses"}, {"qmtproutes", "QMTP"}, {"brtlimit", "recipient limit"}, {"maxrcpt", "recipient limit"},
}

func patch(what string) string {
	for _, p := range patchOf {
		if ok, err := filepath.Match(p.pattern, what); ok && err == nil {
			return " (" + p.patch + ")"
		}
	}
	return ""
}

// checkPatches looks for control files and environment variables in use that
// programs of ours do not read: what the installed ones have in them is a patch
// that is lost, and a control file that none knows is nobody's. Which control
// files ours read, the reference tells.
func (h *Host) checkPatches(r *Report, name string) {
	old, fresh := h.installed(), contents(h.From)
	ours := map[string]bool{}
	for _, f := range reference.Files {
		top, _, _ := strings.Cut(string(f.Name), "/") // tlshosts/HOST.pem
		ours[top] = true
	}
	scripts := ""
	for _, path := range h.configs() {
		scripts += readText(path) + "\n"
	}
	files, err := os.ReadDir(h.home("control"))
	if err != nil {
		r.say(Bad, name, h.Home+"/control", err.Error())
	}
	for _, f := range files {
		file, where := f.Name(), h.Home+"/control/"+f.Name()
		switch reader := knows(old, "control/"+file); {
		case ours[file], strings.Contains(scripts, file):
		case reader != "":
			r.say(Note, name, where, reader+" reads it, none of our programs does"+patch(file))
		default:
			r.say(Note, name, where, "nobody reads it"+patch(file))
		}
	}
	variable := regexp.MustCompile(`\b([A-Z][A-Z0-9_]{3,})=`)
	seen := map[string]bool{}
	for _, match := range variable.FindAllStringSubmatch(scripts, -1) {
		v := match[1]
		if reader := knows(old, v); reader != "" && knows(fresh, v) == "" && !seen[v] {
			r.say(Note, name, v, reader+" reads this variable, none of our programs does"+patch(v))
		}
		seen[v] = true
	}
}

// configs are the files that set variables for qmail's programs.
func (h *Host) configs() []string {
	all := append(h.starters(), h.glob("/etc/tcp.smtp", "/etc/tcprules.d/*", h.Home+"/etc/*", "/etc/xinetd.d/*")...)
	return slices.DeleteFunc(all, func(path string) bool {
		return strings.HasSuffix(path, ".cdb") ||
			filepath.Base(filepath.Dir(path)) == "xinetd.d" && !strings.Contains(readText(path), h.Home+"/bin/")
	})
}

// readers are the programs that a message meets; qmail-showctl knows the names
// of files that it does not read.
var readers = []string{"qmail-smtpd", "qmail-qmtpd", "qmail-qmqpd", "qmail-qmqpc", "qmail-inject", "qmail-queue",
	"qmail-send", "qmail-lspawn", "qmail-rspawn", "qmail-local", "qmail-remote", "qmail-newmrh", "reqmail-ext"}

// contents returns the readers in a folder, by name.
func contents(dir string) map[string][]byte {
	all := map[string][]byte{}
	for _, name := range readers {
		if text, err := os.ReadFile(filepath.Join(dir, name)); err == nil {
			all[name] = text
		}
	}
	return all
}

// installed returns the readers in bin/ that are not ours, behind wrappers
// where there are some.
func (h *Host) installed() map[string][]byte {
	all := map[string][]byte{}
	for _, name := range readers {
		places, _, err := h.places(name)
		if err != nil || len(places) == 0 || places[0].kind != qmails {
			continue
		}
		if text, err := os.ReadFile(places[0].path); err == nil {
			all[name] = text
		}
	}
	return all
}

// knows returns the name of a program that has the word in it.
func knows(programs map[string][]byte, word string) string {
	for _, name := range readers {
		if bytes.Contains(programs[name], []byte(word)) {
			return name
		}
	}
	return ""
}
