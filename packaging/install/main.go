// Install puts the programs into a qmail home and creates what is missing of
// it, with qmail's owners and modes; or it checks a home.
//
// Synopsis: install [-destdir DIR] [-home DIR] [-man DIR] [-doc DIR] [-private] [-check [-queue-only]] BINDIR
//
// BINDIR holds the built programs. The home, /var/qmail by default, is laid
// out below destdir. Files of the queue, control files and users/ are left
// alone. As root the qmail accounts must exist; otherwise, and with -private,
// everything belongs to the caller. With -check nothing is changed, and each
// thing that is missing or has a wrong owner, mode or type is a line on
// standard output. Exit codes: 0 if everything is in place; 1 if not; 2 for
// wrong usage.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"github.com/reqmail/reqmail/compat/home"
	"github.com/reqmail/reqmail/packaging/layout"
)

func main() {
	destdir := flag.String("destdir", "", "stage the installation below `DIR`")
	root := flag.String("home", home.Standard, "qmail home `DIR`")
	var from layout.Sources
	flag.StringVar(&from.Man, "man", "", "manual pages are in `DIR`")
	flag.StringVar(&from.Doc, "doc", "", "documents are in `DIR`")
	private := flag.Bool("private", false, "everything belongs to the caller, who may be root")
	check := flag.Bool("check", false, "check, change nothing")
	queueOnly := flag.Bool("queue-only", false, "check the queue alone")
	flag.Parse()
	if flag.NArg() != 1 {
		flag.Usage()
		os.Exit(2)
	}
	from.Bin = flag.Arg(0)
	dest := filepath.Join(*destdir, *root)
	var err error
	accounts := layout.Caller()
	if !*private && os.Geteuid() == 0 {
		accounts, err = layout.FindAccounts()
	}
	switch {
	case err != nil:
	case *check:
		err = inspect(*root, dest, from, *queueOnly, accounts)
	default:
		err = layout.Install(*root, dest, from, accounts.Chown)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "install: fatal:", err)
		os.Exit(1)
	}
}

func inspect(home, dest string, from layout.Sources, queueOnly bool, accounts layout.Accounts) error {
	differences := 0
	err := layout.Check(home, dest, from, queueOnly, accounts, func(line string) {
		differences++
		fmt.Println("instcheck: warning:", line)
	})
	if err == nil && differences > 0 {
		err = fmt.Errorf("%d differences", differences)
	}
	return err
}
