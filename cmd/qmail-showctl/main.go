// Qmail-showctl explains the configuration of the mail system in words.
//
// Synopsis: qmail-showctl, without arguments.
//
// It prints how qmail was built, what each file in control says or what its
// default is, and the names of files there that qmail does not know. Exit
// codes: 0; 111 if control cannot be read, which it says on standard output, or
// if a qmail account is missing, which it says on descriptor 2.
package main

import (
	"bufio"
	"os"

	"github.com/reqmail/reqmail/compat/fdio"
	"github.com/reqmail/reqmail/compat/home"
	"github.com/reqmail/reqmail/compat/program"
	"github.com/reqmail/reqmail/qmail/showctl"
)

const failed = 111

func main() { program.Main("qmail-showctl", failed, run) }

func run() int {
	// Unlike fdio, os.Stdout ends the program when nobody reads any more.
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	if err := showctl.Head(out, home.Dir()); err != nil {
		_, _ = fdio.FD(2).WriteString(err.Error() + "\n")
		return failed
	}
	if !showctl.Show(out, home.Dir()) {
		return failed
	}
	return 0
}
