// Qmail-inject completes a message and puts it into the queue.
//
// Synopsis: qmail-inject [-nNaAhH] [-f sender] [recipient …]
//
//	-a  recipients are the operands        -h  … those of the header
//	-H  … both                             -A  … operands if any, else header (default)
//	-f  the envelope sender
//	-n  print the message                  -N  queue it (default)
//
// It reads the message from standard input. The environment (QMAILUSER,
// QMAILHOST, QMAILNAME, QMAILINJECT, …) and the control files defaultdomain,
// defaulthost, idhost, me and plusdomain say what is added to it. Exit codes:
// 0; 100 for a message that cannot be sent; 111 for trouble that may pass.
package main

import (
	"bufio"
	"io"
	"os"
	"syscall"
	"time"

	"github.com/reqmail/reqmail/compat/fdio"
	"github.com/reqmail/reqmail/compat/getopt"
	"github.com/reqmail/reqmail/compat/home"
	"github.com/reqmail/reqmail/compat/program"
	"github.com/reqmail/reqmail/qmail/inject"
)

const (
	permanent = 100
	temporary = 111
)

func main() { program.Main("qmail-inject", temporary, run) }

func run() int {
	program.IgnorePipeThroughout()
	now := time.Now()
	config, f := inject.ReadConfig(home.Dir())
	if f == nil && syscall.Chdir(home.Dir()) != nil {
		f = &inject.Failure{Code: temporary, Text: "internal bug\n"}
	}
	if f != nil {
		return die(f)
	}
	return send(config, now)
}

func send(config *inject.Config, now time.Time) int {
	opts := getopt.New(os.Args, "aAhHnNf:", fdio.FD(2))
	from := inject.FromOperandsElseHeader
	out := bufio.NewWriter(fdio.FD(1))
	m := inject.New(config, now, os.Getpid())
	for {
		letter, more := opts.Next()
		if !more {
			break
		}
		switch letter {
		case 'a':
			from = inject.FromOperands
		case 'A':
			from = inject.FromOperandsElseHeader
		case 'h':
			from = inject.FromHeader
		case 'H':
			from = inject.FromBoth
		case 'n':
			m.Print(out)
		case 'N':
			m.Print(nil)
		case 'f':
			if f := m.SetSender(opts.Arg); f != nil {
				return die(f)
			}
		default:
			return permanent
		}
	}
	f := m.SetRecipients(from, opts.Operands())
	if f == nil {
		f = m.Run(flushing{fdio.FD(0), out})
	}
	if f != nil {
		return die(f)
	}
	_ = out.Flush() // nobody reads: nobody to tell
	return 0
}

// flushing prints what there is to print before it reads on; that it cannot be
// printed is therefore a read error.
type flushing struct {
	io.Reader
	out *bufio.Writer
}

func (f flushing) Read(p []byte) (int, error) {
	if err := f.out.Flush(); err != nil {
		return 0, err
	}
	return f.Reader.Read(p)
}

func die(f *inject.Failure) int {
	_, _ = fdio.FD(2).WriteString("qmail-inject: fatal: " + f.Text)
	return f.Code
}
