// Qmail-local delivers a message to a local address.
//
// Synopsis: qmail-local [-nN] user homedir local dash ext domain sender aliasempty
//
// It reads the message, a file, from descriptor 0 and follows the
// instructions in homedir/.qmail or .qmail-ext, or those in aliasempty where
// there are none. -n only describes them. What it prints becomes the report
// of the delivery. Exit codes: 0 delivered, 100 failed for good, 111 to be
// tried again. qmail-lspawn may keep the process for more deliveries of the
// same uid (compat/resident).
package main

import (
	"io"
	"os"
	"syscall"

	"github.com/reqmail/reqmail/compat/getopt"
	"github.com/reqmail/reqmail/compat/program"
	"github.com/reqmail/reqmail/compat/resident"
	"github.com/reqmail/reqmail/qmail/local"
)

const (
	temporary = 111
	usage     = 100
)

func main() { program.Main("qmail-local", temporary, run) }

func run() int {
	syscall.Umask(0o077)
	program.IgnorePipe()
	var process local.Process
	p := resident.Program{
		Name:     "qmail-local",
		Do:       func(j *resident.Job) (code int, stays bool) { return deliver(j, &process) },
		Together: func(jobs []*resident.Job) ([]resident.Result, bool) { return deliverAll(jobs, &process) },
	}
	return p.Serve(os.Args)
}

func deliver(j *resident.Job, process *local.Process) (code int, stays bool) {
	d, ok := parse(j, process)
	if !ok {
		_, _ = io.WriteString(j.Errors(), local.Usage+"\n")
		return usage, false
	}
	code = d.Run(j.Errors())
	return code, !d.Abandoned()
}

// deliverAll carries out deliveries that have come at the same time.
func deliverAll(jobs []*resident.Job, process *local.Process) (results []resident.Result, stays bool) {
	results = make([]resident.Result, len(jobs))
	var ds []*local.Delivery
	var of []int
	for i, j := range jobs {
		if d, ok := parse(j, process); ok && !d.Describe {
			ds, of = append(ds, d), append(of, i)
		} else {
			results[i].Again = true
		}
	}
	if len(ds) == 0 {
		return results, true
	}
	outcomes, abandoned := process.Together(ds)
	for i, o := range outcomes {
		results[of[i]] = resident.Result{Code: o.Code, Again: o.Again}
	}
	return results, !abandoned
}

func parse(j *resident.Job, process *local.Process) (*local.Delivery, bool) {
	describe := false
	opts := getopt.New(j.Args, "nN", j.Errors())
	for letter, more := opts.Next(); more; letter, more = opts.Next() {
		if letter == '?' {
			return nil, false
		}
		describe = letter == 'n'
	}
	d, ok := local.New(opts.Operands())
	if !ok {
		return nil, false
	}
	d.Describe, d.Message, d.Out = describe, j.In, j
	d.Process, d.Tell, d.Inherit = process, j.Tell, j.Inherit
	return d, true
}
