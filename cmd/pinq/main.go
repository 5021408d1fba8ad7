// Pinq moves new mail from a Maildir into an mbox and runs pine.
//
// Synopsis: pinq [argument of pine …], with maildir2mbox's environment.
//
// Exit codes: maildir2mbox's if it fails, else those of pine.
package main

import (
	"os"

	"github.com/reqmail/reqmail/compat/home"
	"github.com/reqmail/reqmail/compat/program"
	"github.com/reqmail/reqmail/qmail/command"
)

func main() {
	program.Main("pinq", 111, func() int { return command.ReadMail("pinq", home.Dir(), "pine", os.Args[1:]) })
}
