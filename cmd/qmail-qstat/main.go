// Qmail-qstat counts the messages of the queue.
//
// Synopsis: qmail-qstat, without arguments, as root or in group qmail.
//
// It prints how many messages there are, and how many of them qmail-send has
// not preprocessed yet. What it is not allowed to see counts nothing, and is
// complained about on descriptor 2. Exit code: 0.
package main

import (
	"os"
	"strconv"

	"github.com/reqmail/reqmail/compat/fdio"
	"github.com/reqmail/reqmail/compat/home"
	"github.com/reqmail/reqmail/compat/program"
	"github.com/reqmail/reqmail/qmail/qlist"
)

const failed = 111

func main() { program.Main("qmail-qstat", failed, run) }

func run() int {
	counts := qlist.Count(home.Dir(), func(line string) {
		_, _ = fdio.FD(2).WriteString(line + "\n")
	})
	// Unlike fdio, os.Stdout ends the program when nobody reads any more.
	_, _ = os.Stdout.WriteString("messages in queue: " + strconv.Itoa(counts.Messages) + "\n" +
		"messages in queue but not yet preprocessed: " + strconv.Itoa(counts.Todo) + "\n")
	return 0
}
