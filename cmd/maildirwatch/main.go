// Maildirwatch shows the new messages of a Maildir, again and again.
//
// Synopsis: maildirwatch, with MAILDIR in the environment, on a terminal.
//
// Every 30 seconds it clears the screen and shows sender, recipient, From,
// subject and the beginning of each message in new. Exit code: 111 if the
// Maildir cannot be read; else it ends when it is interrupted.
package main

import (
	"os"
	"time"

	"github.com/reqmail/reqmail/compat/fdio"
	"github.com/reqmail/reqmail/compat/program"
	"github.com/reqmail/reqmail/qmail/maildir"
)

const failed = 111

func main() { program.Main("maildirwatch", failed, run) }

func run() int {
	err := maildir.Enter(os.LookupEnv)
	for ; err == nil; time.Sleep(maildir.WatchPause) {
		if err = maildir.Show(fdio.FD(1), time.Now()); err != nil {
			break
		}
	}
	_, _ = fdio.FD(2).WriteString("maildirwatch: fatal: " + err.Error() + "\n")
	return failed
}
