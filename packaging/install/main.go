// Install puts the programs into a qmail home and creates what is missing of
// it, with qmail's owners and modes.
//
// Synopsis: install [-destdir DIR] [-home DIR] BINDIR
//
// BINDIR holds the built programs. The home, /var/qmail by default, is laid
// out below destdir. Files of the queue, control files and users/ are left
// alone. As root the qmail accounts must exist; otherwise everything belongs
// to the caller (a private home). The exit code is 0 if everything is in
// place.
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
	flag.Parse()
	if flag.NArg() != 1 {
		flag.Usage()
		os.Exit(2)
	}
	if err := run(filepath.Join(*destdir, *root), flag.Arg(0)); err != nil {
		fmt.Fprintln(os.Stderr, "install: fatal:", err)
		os.Exit(1)
	}
}

func run(home, binDir string) error {
	if os.Geteuid() != 0 {
		return layout.Private(home, binDir)
	}
	own, err := layout.ByName()
	if err != nil {
		return err
	}
	return layout.Install(home, binDir, own)
}
