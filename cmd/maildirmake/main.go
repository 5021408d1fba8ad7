// Maildirmake creates a Maildir.
//
// Synopsis: maildirmake name
//
// It creates the directory name with tmp, new and cur, all for their owner
// alone. Exit codes: 0; 100 for a missing operand; 111 if a directory cannot
// be created.
package main

import (
	"os"
	"syscall"

	"github.com/reqmail/reqmail/compat/errno"
	"github.com/reqmail/reqmail/compat/fdio"
	"github.com/reqmail/reqmail/compat/program"
)

const (
	failed = 111
	usage  = 100
)

func main() { program.Main("maildirmake", failed, run) }

func run() int {
	syscall.Umask(0o077)
	if len(os.Args) < 2 {
		return die(usage, "usage: maildirmake name")
	}
	dir := os.Args[1]
	if err := syscall.Mkdir(dir, 0o700); err != nil {
		return die(failed, "fatal: unable to mkdir "+dir+": "+errno.Text(err))
	}
	if err := syscall.Chdir(dir); err != nil {
		return die(failed, "fatal: unable to chdir to "+dir+": "+errno.Text(err))
	}
	for _, sub := range []string{"tmp", "new", "cur"} {
		if err := syscall.Mkdir(sub, 0o700); err != nil {
			return die(failed, "fatal: unable to mkdir "+dir+"/"+sub+": "+errno.Text(err))
		}
	}
	return 0
}

func die(code int, text string) int {
	_, _ = fdio.FD(2).WriteString("maildirmake: " + text + "\n")
	return code
}
