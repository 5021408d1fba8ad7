// Tcp-env describes a connection in the environment, for servers that are
// started by inetd or xinetd.
//
// Synopsis: tcp-env [-rR] [-t seconds] program [arg …]
//
// The connection is descriptor 0. Unless PROTO is TCP already it sets the
// variables of tcp-environ(5) and becomes the program. -R does not ask the
// client's IDENT server who he is; -t bounds that (30). Exit codes: 111 if
// anything fails, without a word; else the program's.
package main

import (
	"io"
	"os"
	"time"

	"github.com/reqmail/reqmail/compat/child"
	"github.com/reqmail/reqmail/compat/getopt"
	"github.com/reqmail/reqmail/compat/program"
	"github.com/reqmail/reqmail/control"
	"github.com/reqmail/reqmail/qmail/tcpenv"
)

const failed = 111

func main() { program.Main("tcp-env", failed, run) }

func run() int {
	o := tcpenv.Options{Ident: true, Timeout: 30 * time.Second}
	opts := getopt.New(os.Args, "rRt:", io.Discard)
	for letter, more := opts.Next(); more; letter, more = opts.Next() {
		switch letter {
		case 'r', 'R':
			o.Ident = letter == 'r'
		case 't':
			n, _ := control.Number(opts.Arg)
			o.Timeout = time.Duration(n) * time.Second
		}
	}
	argv := opts.Operands()
	if len(argv) == 0 || tcpenv.Describe(o) != nil {
		return failed
	}
	if path, err := child.Lookup(argv[0]); err == nil {
		_ = child.Exec(path, argv, os.Environ())
	}
	return failed
}
