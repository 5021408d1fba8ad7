// Qail moves new mail from a Maildir into an mbox and runs Mail.
//
// Synopsis: qail [argument of Mail …], with maildir2mbox's environment.
//
// Exit codes: maildir2mbox's if it fails, else those of Mail.
package main

import (
	"os"

	"github.com/reqmail/reqmail/compat/home"
	"github.com/reqmail/reqmail/compat/program"
	"github.com/reqmail/reqmail/qmail/command"
)

func main() {
	program.Main("qail", 111, func() int { return command.ReadMail("qail", home.Dir(), "Mail", os.Args[1:]) })
}
