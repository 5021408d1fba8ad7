package migrate

import (
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/reqmail/reqmail/compat/ids"
	"github.com/reqmail/reqmail/control"
	"github.com/reqmail/reqmail/control/reference"
)

// checkControls looks for control files that their readers cannot read, and
// for numbers that are none: programs go on with what they make of them, and
// only the one who wrote the file can know that it is not what was meant.
func (h *Host) checkControls(r *Report, name string) {
	for _, f := range reference.Files {
		path := h.home("control", string(f.Name))
		info, err := os.Stat(path)
		if err != nil || !info.Mode().IsRegular() {
			continue
		}
		if who := h.shutOut(f, info); who != "" {
			r.say(Note, name, h.bare(path), fmt.Sprintf("%s cannot read it: it has mode %04o", who, info.Mode().Perm()))
		}
		if f.Format == reference.Number {
			if text := oddNumber(f.Name, readText(path)); text != "" {
				r.say(Note, name, h.bare(path), text)
			}
		}
	}
}

// oddNumber says what counts of a file whose first line is not a number alone.
func oddNumber(name control.Name, text string) string {
	line, _, _ := strings.Cut(text, "\n")
	line = strings.TrimRight(line, " \t")
	n, ok := control.Number(line)
	switch {
	case !ok:
		return fmt.Sprintf("%q is no number: the default counts, %d", line, control.DefaultOf(name).Int)
	case strings.Trim(line, "0123456789") != "":
		return fmt.Sprintf("%q is more than a number: %d counts", line, n)
	}
	if whole, err := strconv.ParseUint(line, 10, 64); err != nil || whole != uint64(n) {
		return fmt.Sprintf("%q is too big: %d counts", line, n)
	}
	return ""
}

// shutOut returns a reader of a control file that its mode keeps out; "" for
// none. A qmail-smtpd may be started under any account that reads its
// certificates, and none but the shipped ones is looked at.
func (h *Host) shutOut(f reference.File, info fs.FileInfo) string {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || h.private() || info.Mode().Perm()&0o004 != 0 {
		return ""
	}
	for reader := range strings.FieldsSeq(f.Readers) {
		switch reader {
		case "qmail-inject":
			return "a user who sends mail by qmail-inject"
		case "all":
			return "a user who sends mail by qmail-inject, or a daemon that is not root's,"
		}
		who := account(reader)
		if who == "" || f.Format == reference.PEM {
			continue
		}
		if user, found, err := ids.Lookup(who); err == nil && found && !reads(user, st) {
			return reader + ", which runs as " + who + ","
		}
	}
	return ""
}

// account is the one that a program runs as.
func account(program string) string {
	switch program {
	case "qmail-send":
		return ids.Send
	case "qmail-remote", "qmail-rspawn":
		return ids.Remote
	case "qmail-smtpd", "qmail-qmtpd":
		return ids.Daemon
	}
	return ""
}

func reads(user ids.User, st *syscall.Stat_t) bool {
	switch {
	case user.UID == st.Uid:
		return st.Mode&0o400 != 0
	case user.GID == st.Gid:
		return st.Mode&0o040 != 0
	}
	return st.Mode&0o004 != 0
}
