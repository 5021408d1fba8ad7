// Forward sends the message on from a .qmail line.
//
// Synopsis: forward address …
//
// It reads the message from standard input and queues it, with the
// Delivered-To line of the environment variable DTLINE on top, from
// NEWSENDER to the addresses. Exit codes: 0 queued, 100 failed for good, 111
// to be tried again.
package main

import (
	"io"
	"os"
	"strconv"

	"github.com/reqmail/reqmail/compat/errno"
	"github.com/reqmail/reqmail/compat/fdio"
	"github.com/reqmail/reqmail/compat/program"
	"github.com/reqmail/reqmail/compat/submit"
)

const (
	permanent = 100
	temporary = 111
)

func main() { program.Main("forward", temporary, run) }

func run() int {
	program.IgnorePipe()
	sender, ok := os.LookupEnv("NEWSENDER")
	if !ok {
		return die(permanent, "NEWSENDER not set")
	}
	deliveredTo, ok := os.LookupEnv("DTLINE")
	if !ok {
		return die(permanent, "DTLINE not set")
	}
	m, err := submit.Open()
	if err != nil {
		return die(temporary, "unable to fork: "+errno.Text(err))
	}
	m.WriteString(deliveredTo)
	if _, err := io.Copy(m, fdio.FD(0)); err != nil {
		return die(temporary, "unable to read message: "+errno.Text(err))
	}
	m.From(sender)
	for _, addr := range os.Args[1:] {
		m.To(addr)
	}
	switch result := m.Close(); {
	case result == "":
		_, _ = fdio.FD(2).WriteString("forward: qp " + strconv.Itoa(m.QP()) + "\n")
		return 0
	case result[0] == 'D':
		return die(permanent, result[1:])
	default:
		return die(temporary, result[1:])
	}
}

func die(code int, text string) int {
	_, _ = fdio.FD(2).WriteString("forward: fatal: " + text + "\n")
	return code
}
