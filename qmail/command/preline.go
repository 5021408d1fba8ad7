package command

import (
	"bufio"
	"io"
	"os"
	"strings"

	"github.com/reqmail/reqmail/compat/child"
	"github.com/reqmail/reqmail/compat/errno"
	"github.com/reqmail/reqmail/compat/fdio"
	"github.com/reqmail/reqmail/compat/getopt"
)

const prelineUsage = "cmd [ arg ... ]"

// Preline runs a program with the lines that an mbox has on top of a message
// in front of it. args is its whole command line, because options come first:
// -f, -r and -d leave out the lines in UFLINE, RPLINE and DTLINE, capital
// letters put them back. Its exit code is the program's.
func Preline(files Files, args []string) int {
	t := tool{"preline", files}
	const letters = "frd"
	var lines [len(letters)]string
	for i, variable := range [...]string{"UFLINE", "RPLINE", "DTLINE"} {
		var ok bool
		if lines[i], ok = os.LookupEnv(variable); !ok {
			return t.usage(prelineUsage)
		}
	}
	var omit [len(letters)]bool
	options := getopt.New(args, "frdFRD", files[2])
	for letter, more := options.Next(); more; letter, more = options.Next() {
		if letter == '?' {
			return t.usage(prelineUsage)
		}
		const small = 'a' - 'A'
		omit[strings.IndexByte(letters, letter|small)] = letter&small != 0
	}
	argv := options.Operands()
	if len(argv) == 0 {
		return t.usage(prelineUsage)
	}
	head := ""
	for i, line := range lines {
		if !omit[i] {
			head += line
		}
	}
	return t.feed(argv, head, t.cannotRun, t.trouble)
}

// copying is what feed does when it fails to read the message.
const copying = "unable to copy input"

// feed runs a program that reads head and then the message. It must read all
// of it, or end before a pipe is full. cannotRun says that it did not start,
// trouble what else went wrong.
func (t tool) feed(argv []string, head string, cannotRun, trouble failing) int {
	pid, w, code := t.start(argv, cannotRun, trouble)
	if pid == 0 {
		return code
	}
	if err := t.copyInto(w, head); err != nil {
		return trouble(copying, err)
	}
	return end(pid, trouble)
}

// failing says what went wrong and returns the exit code.
type failing func(what string, err error) int

// start starts a program that reads from the pipe w; pid is 0 if it does not
// start.
func (t tool) start(argv []string, cannotRun, trouble failing) (pid int, w fdio.FD, code int) {
	r, w, err := fdio.Pipe()
	if err != nil {
		return 0, w, trouble("unable to create pipe", err)
	}
	cmd := child.Command{Path: argv[0], Args: argv, Find: true, Files: []fdio.FD{r, t.files[1], t.files[2]}}
	pid, err = cmd.Start()
	r.Close()
	if err != nil {
		w.Close()
		return 0, w, cannotRun(argv[0], err)
	}
	return pid, w, 0
}

// end waits for a program and returns its exit code.
func end(pid int, trouble failing) int {
	end, err := child.Wait(pid)
	switch {
	case err != nil:
		return trouble("wait failed", err)
	case end.Signaled():
		return trouble("child crashed", nil)
	}
	return end.ExitStatus()
}

func (t tool) cannotRun(program string, err error) int {
	if isForkError(err) {
		return t.trouble("unable to fork", err)
	}
	code := permanent
	if errno.Temporary(err) {
		code = temporary
	}
	return t.fatal(code, "unable to run "+program+": "+errno.Text(err))
}

// copyInto writes head and the message to the pipe w and closes it. That the
// program did not want the last buffer is no error: many stop reading when
// they know enough.
func (t tool) copyInto(w fdio.FD, head string) error {
	defer w.Close()
	const bufferSize = 8192
	out := bufio.NewWriterSize(w, bufferSize)
	if _, err := out.WriteString(head); err != nil {
		return err
	}
	if _, err := io.Copy(out, t.files[0]); err != nil {
		return err
	}
	_ = out.Flush()
	return nil
}
