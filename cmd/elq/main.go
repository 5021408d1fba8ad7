// Elq moves new mail from a Maildir into an mbox and runs elm.
//
// Synopsis: elq [argument of elm …], with maildir2mbox's environment.
//
// Exit codes: maildir2mbox's if it fails, else those of elm.
package main

import (
	"os"

	"github.com/reqmail/reqmail/compat/home"
	"github.com/reqmail/reqmail/compat/program"
	"github.com/reqmail/reqmail/qmail/command"
)

func main() {
	program.Main("elq", 111, func() int { return command.ReadMail("elq", home.Dir(), "elm", os.Args[1:]) })
}
