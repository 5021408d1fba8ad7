// Datemail is sendmail with a Date field in local time.
//
// Synopsis: datemail [argument of sendmail …]
//
// It becomes predate, which runs sendmail. Exit codes: sendmail's; 111 if it
// cannot be run.
package main

import (
	"os"

	"github.com/reqmail/reqmail/compat/home"
	"github.com/reqmail/reqmail/compat/program"
	"github.com/reqmail/reqmail/qmail/command"
)

func main() {
	program.Main("datemail", 111, func() int { return command.DateMail(home.Dir(), os.Args[1:]) })
}
