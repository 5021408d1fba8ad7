package command

import (
	"bufio"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/reqmail/reqmail/compat/address"
	"github.com/reqmail/reqmail/compat/child"
	"github.com/reqmail/reqmail/compat/datetime"
	"github.com/reqmail/reqmail/compat/errno"
	"github.com/reqmail/reqmail/compat/fdio"
	"github.com/reqmail/reqmail/compat/getopt"
)

// Predate runs a program with a Date field in local time in front of the
// message. args are the program and its arguments; its exit code is the
// program's.
func Predate(files Files, args []string, now time.Time) int {
	t := tool{"predate", files}
	if len(args) == 0 {
		return t.usage("child")
	}
	return t.feedAnyway(args, "Date: "+dateIn(datetime.Local(), now)+"\n")
}

// dateIn formats a Date field's time. Of the zone's offset seconds are rounded
// to minutes.
func dateIn(zone *time.Location, now time.Time) string {
	local := now.In(zone)
	_, seconds := local.Zone()
	sign := "+"
	if seconds < 0 {
		sign, seconds = "-", -seconds
	}
	minutes := (seconds + 30) / 60
	offset := strconv.Itoa(10000 + minutes/60*100 + minutes%60)
	return local.Format("2 Jan 2006 15:04:05 ") + sign + offset[1:]
}

// feedAnyway is feed for programs that always decide by themselves: whatever
// cannot be read or given to them, their exit code counts.
func (t tool) feedAnyway(argv []string, head string) int {
	pid, w, code := t.start(argv, t.cannotRunNow, t.trouble)
	if pid == 0 {
		return code
	}
	out := bufio.NewWriter(w)
	_, _ = out.WriteString(head)
	_, _ = io.Copy(out, t.files[0])
	_ = out.Flush()
	w.Close()
	return end(pid, t.trouble)
}

// cannotRunNow is for programs that are always tried again.
func (t tool) cannotRunNow(program string, err error) int {
	if isForkError(err) {
		return t.trouble("unable to fork", err)
	}
	return t.trouble("unable to run "+program, err)
}

// DateMail is sendmail with a Date field in local time: it becomes predate.
// home is the qmail home directory.
func DateMail(home string, args []string) int {
	bin := home + "/bin/"
	argv := append([]string{bin + "predate", bin + "sendmail"}, args...)
	err := child.Exec(argv[0], argv, os.Environ())
	t := tool{"datemail", Files{0, 1, 2}}
	return t.trouble("unable to run "+argv[0], err)
}

// MailSubj sends the message with a subject to addresses, through
// qmail-inject of the qmail home directory. args are the subject and the
// addresses.
func MailSubj(files Files, home string, args []string) int {
	t := tool{"mailsubj", files}
	subject := ""
	if len(args) > 0 {
		subject, args = args[0], args[1:]
	}
	head := "Subject: " + subject + "\nTo:"
	if len(args) > 0 {
		head += " " + strings.Join(args, " ")
	}
	return t.feedAnyway([]string{home + "/bin/qmail-inject"}, head+"\n\n")
}

// hookArguments are what the %-letters in qsmhook's arguments stand for.
type hookArguments struct{ sender, host, local string }

// expand replaces %%, %g, %h and %u; other letters stand for nothing.
func (h hookArguments) expand(arg string) string {
	var b strings.Builder
	for i := 0; i < len(arg); i++ {
		if arg[i] != '%' {
			b.WriteByte(arg[i])
			continue
		}
		if i++; i == len(arg) {
			break
		}
		switch arg[i] {
		case '%':
			b.WriteByte('%')
		case 'g':
			b.WriteString(h.sender)
		case 'h':
			b.WriteString(h.host)
		case 'u':
			b.WriteString(h.local)
		}
	}
	return b.String()
}

// QSMHook runs a mailer written for sendmail: with %-letters in its arguments,
// and with an mbox's lines in front of the message. args is its whole command
// line.
func QSMHook(files Files, args []string) int {
	t := tool{"qsmhook", files}
	env := map[string]string{}
	for _, name := range []string{"DTLINE", "RPLINE", "UFLINE", "LOCAL", "HOST", "SENDER"} {
		value, ok := os.LookupEnv(name)
		if !ok {
			return t.fatal(permanent, "incorrect usage")
		}
		env[name] = value
	}
	h := hookArguments{env["SENDER"], env["HOST"], env["LOCAL"]}
	head, argv, ok := hookOptions(files[2], args, env, &h)
	if !ok {
		return permanent
	}
	if len(argv) == 0 {
		return t.fatal(permanent, "incorrect usage")
	}
	expanded := make([]string, len(argv))
	for i, arg := range argv {
		expanded[i] = h.expand(arg)
	}
	return t.feed(expanded, head, t.hookCannotRun, t.hookTrouble)
}

func (t tool) hookCannotRun(_ string, err error) int {
	if isForkError(err) || errno.Temporary(err) {
		return t.hookTrouble("", err)
	}
	return t.fatal(permanent, "command not found")
}

func (t tool) hookTrouble(doing string, _ error) int {
	if doing == copying {
		return t.fatal(temporary, "unable to read message")
	}
	return t.fatal(temporary, "temporary problem")
}

// withoutPrefix drops a prefix, whatever its case, as -x asks.
func withoutPrefix(s, prefix string) string {
	if strings.HasPrefix(address.Lower(s), address.Lower(prefix)) {
		return s[len(prefix):]
	}
	return s
}

// hookOptions reads qsmhook's options: which lines go in front, and a prefix
// of the local part that is dropped.
func hookOptions(errors fdio.FD, args []string, env map[string]string, h *hookArguments) (head string, argv []string, ok bool) {
	from, returnPath, deliveredTo := env["UFLINE"], "", ""
	options := getopt.New(args, "DFlMmnPsx:", errors)
	for letter, more := options.Next(); more; letter, more = options.Next() {
		switch letter {
		case 'n':
			from = ""
		case 'P':
			returnPath = env["RPLINE"]
		case 'l':
			deliveredTo = env["DTLINE"]
		case 'x':
			h.local = withoutPrefix(h.local, options.Arg)
		case '?':
			return "", nil, false
		}
	}
	return from + returnPath + deliveredTo, options.Operands(), true
}

// ReadMail empties the Maildir into the mbox with maildir2mbox of the qmail
// home directory and, if that went well, becomes a mail reader. name is the
// command it is called by.
func ReadMail(name, home, reader string, args []string) int {
	t := tool{name, Files{0, 1, 2}}
	fill := child.Command{Path: home + "/bin/maildir2mbox", Args: []string{"maildir2mbox"}, Files: t.files[:]}
	end, err := fill.Run()
	if err != nil {
		return t.trouble("unable to run maildir2mbox", err)
	}
	if end.Signaled() {
		return temporary
	}
	if end.ExitStatus() != 0 {
		return end.ExitStatus()
	}
	path, err := child.Lookup(reader)
	if err == nil {
		err = child.Exec(path, append([]string{reader}, args...), os.Environ())
	}
	return t.trouble("unable to run "+reader, err)
}
