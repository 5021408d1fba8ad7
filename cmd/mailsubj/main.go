// Mailsubj sends its input as a message with a subject.
//
// Synopsis: mailsubj subject address …
//
// Exit codes: those of qmail-inject, which it runs.
package main

import (
	"os"

	"github.com/reqmail/reqmail/compat/home"
	"github.com/reqmail/reqmail/compat/program"
	"github.com/reqmail/reqmail/qmail/command"
)

func main() {
	program.Main("mailsubj", 111, func() int {
		program.IgnorePipe()
		return command.MailSubj(command.Files{0, 1, 2}, home.Dir(), os.Args[1:])
	})
}
