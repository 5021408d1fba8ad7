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
	"os"
	"syscall"

	"github.com/reqmail/reqmail/compat/fdio"
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
	var names local.Names
	return resident.Serve("qmail-local", os.Args, func(args []string, tell func(text string)) (code int, stays bool) {
		return deliver(args, &names, tell)
	})
}

func deliver(args []string, names *local.Names, tell func(text string)) (code int, stays bool) {
	describe := false
	opts := getopt.New(args, "nN", fdio.FD(2))
	for letter, more := opts.Next(); more; letter, more = opts.Next() {
		if letter == '?' {
			return complain()
		}
		describe = letter == 'n'
	}
	d, ok := local.New(opts.Operands())
	if !ok {
		return complain()
	}
	d.Describe, d.Message, d.Out = describe, fdio.FD(0), fdio.FD(1)
	d.Names, d.Tell = names, tell
	code = d.Run(fdio.FD(2))
	return code, !d.Abandoned()
}

func complain() (code int, stays bool) {
	_, _ = fdio.FD(2).WriteString(local.Usage + "\n")
	return usage, false
}
