// Bouncesaying bounces a message, always or if a program says so.
//
// Synopsis: bouncesaying error [ program [ arg … ] ]
//
// It runs the program with the message as standard input. If that exits 0, or
// there is none, bouncesaying prints error on standard error, for the bounce,
// and exits 100. If the program exits 111, so does bouncesaying; after every
// other exit code it exits 0 in silence.
package main

import (
	"os"

	"github.com/reqmail/reqmail/compat/program"
	"github.com/reqmail/reqmail/qmail/command"
)

func main() {
	program.Main("bouncesaying", 111, func() int {
		return command.BounceSaying(command.Files{0, 1, 2}, os.Args[1:])
	})
}
