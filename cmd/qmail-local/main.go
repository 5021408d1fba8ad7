// Qmail-local delivers a message to a local address.
//
// Synopsis: qmail-local [-nN] user homedir local dash ext domain sender aliasempty
//
// It reads the message, a file, from descriptor 0 and follows the
// instructions in homedir/.qmail or .qmail-ext, or those in aliasempty where
// there are none. -n only describes them. What it prints becomes the report
// of the delivery. Exit codes: 0 delivered, 100 failed for good, 111 to be
// tried again. qmail-lspawn may keep the process for more deliveries of the
// same uid (compat/resident).
package main

import (
	"io"
	"os"
	"syscall"

	"github.com/reqmail/reqmail/compat/getopt"
	"github.com/reqmail/reqmail/compat/program"
	"github.com/reqmail/reqmail/compat/resident"
	"github.com/reqmail/reqmail/qmail/local"
)

const (
	temporary = 111
	usage     = 100
)

func main() { program.Main("qmail-local", temporary, run) }

func run() int {
	syscall.Umask(0o077)
	program.IgnorePipe()
	var process local.Process
	return resident.Serve("qmail-local", os.Args, func(j *resident.Job) (code int, stays bool) {
		return deliver(j, &process)
	})
}

func deliver(j *resident.Job, process *local.Process) (code int, stays bool) {
	describe := false
	opts := getopt.New(j.Args, "nN", j.Errors())
	for letter, more := opts.Next(); more; letter, more = opts.Next() {
		if letter == '?' {
			return complain(j)
		}
		describe = letter == 'n'
	}
	d, ok := local.New(opts.Operands())
	if !ok {
		return complain(j)
	}
	d.Describe, d.Message, d.Out = describe, j.In, j
	d.Process, d.Tell, d.Inherit = process, j.Tell, j.Inherit
	code = d.Run(j.Errors())
	return code, !d.Abandoned()
}

func complain(j *resident.Job) (code int, stays bool) {
	_, _ = io.WriteString(j.Errors(), local.Usage+"\n")
	return usage, false
}
