// Qmail-pw2u makes a users/assign file of the password file.
//
// Synopsis: qmail-pw2u [-/ohHuUC] [-c char] < /etc/passwd > users/assign
//
//	-o  skip users without a home directory of their own (default)
//	-h  stop where a home directory does not exist
//	-H  do not look at home directories
//	-U  skip users with upper-case letters in their names (default)
//	-u  take them too
//	-c  break character between user and extension ("-")
//	-C  no extensions
//	-/  extensions are in .qmail-/ instead of .qmail-
//
// It reads users/include, exclude, mailnames, subusers and append. Exit codes:
// 0; 100 for an unknown option; 111 for trouble, which it names.
package main

import (
	"errors"
	"os"
	"syscall"

	"github.com/reqmail/reqmail/compat/fdio"
	"github.com/reqmail/reqmail/compat/getopt"
	"github.com/reqmail/reqmail/compat/home"
	"github.com/reqmail/reqmail/compat/program"
	"github.com/reqmail/reqmail/qmail/users"
)

const (
	failed = 111
	usage  = 100
)

func main() { program.Main("qmail-pw2u", failed, run) }

func run() int {
	p, ok := options(os.Args)
	if !ok {
		return usage
	}
	err := errors.New("unable to chdir")
	if syscall.Chdir(home.Dir()) == nil {
		err = p.Run(fdio.FD(0), fdio.FD(1))
	}
	if err != nil {
		_, _ = fdio.FD(2).WriteString("qmail-pw2u: fatal: " + err.Error() + "\n")
		return failed
	}
	return 0
}

func options(args []string) (*users.Pw2u, bool) {
	p := &users.Pw2u{Break: "-", Dash: "-"}
	opts := getopt.New(args, "/ohHuUc:C", fdio.FD(2))
	for {
		letter, more := opts.Next()
		if !more {
			return p, true
		}
		switch letter {
		case '/':
			p.Dash = "-/"
		case 'o':
			p.Homes = users.SkipBadHomes
		case 'h':
			p.Homes = users.StopOnMissing
		case 'H':
			p.Homes = users.IgnoreHomes
		case 'u':
			p.AllowCaps = true
		case 'U':
			p.AllowCaps = false
		case 'c':
			p.Break = opts.Arg[:min(1, len(opts.Arg))]
		case 'C':
			p.Break = ""
		default:
			return nil, false
		}
	}
}
