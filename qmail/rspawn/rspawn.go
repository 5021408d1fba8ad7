// Package rspawn is what qmail-rspawn adds to a spawner: it runs qmail-remote,
// or hands deliveries to one that stays (package resident), and makes one
// report of the output. It must not know SMTP.
package rspawn

import (
	"bytes"
	"io"

	"github.com/reqmail/reqmail/compat/child"
	"github.com/reqmail/reqmail/compat/errno"
	"github.com/reqmail/reqmail/compat/fdio"
	"github.com/reqmail/reqmail/qmail/spawn"
)

// MaxOutput is how much of qmail-remote's output is kept, in bytes: C keeps
// all, but qmail-send takes no more than 10000 of a report.
const MaxOutput = 1 << 20

// Exit codes of a qmail-remote that could not be run.
const (
	exitSoft = 111
	exitHard = 100
)

// Remote runs deliveries to remote recipients.
type Remote struct {
	Program   string // QMAILREMOTE, or qmail-remote; found by PATH
	Reaper    *child.Reaper
	Residents bool // a program of ours may stay for more deliveries

	crew crew
}

var _ spawn.Worker = (*Remote)(nil)

// Run has one of the programs that stay deliver to one recipient, or runs one.
func (r *Remote) Run(d spawn.Delivery) spawn.End {
	cmd := child.Command{
		Path: r.Program,
		Find: true,
		Args: []string{r.Program, d.Domain, d.Sender, d.Recipient},
	}
	if r.Residents {
		if end, ok := r.runResident(d, cmd); ok {
			return end
		}
		// Whoever has declined may have read some of the message.
		if _, err := d.Message.Seek(0, io.SeekStart); err != nil {
			return spawn.End{Code: exitSoft}
		}
	}
	w, printed, err := connect(&cmd, d)
	if err != nil {
		return spawn.End{NoPipe: true}
	}
	pid, err := cmd.Start()
	w.Close()
	if err != nil {
		return notRun(err)
	}
	end := r.wait(pid)
	<-printed
	return end
}

// connect gives a program its descriptors. w is to be closed when it was started;
// printed is closed when nobody can print any more.
func connect(cmd *child.Command, d spawn.Delivery) (w fdio.FD, printed <-chan struct{}, err error) {
	w, printed, err = fdio.Collect(d.Output)
	cmd.Files = []fdio.FD{d.Message, w, w}
	return w, printed, err
}

func notRun(err error) spawn.End {
	if errno.Temporary(err) {
		return spawn.End{Code: exitSoft}
	}
	return spawn.End{Code: exitHard}
}

func (r *Remote) wait(pid int) spawn.End {
	status := r.Reaper.Wait(pid)
	if status.Signaled() {
		return spawn.End{Crashed: true}
	}
	return spawn.End{Code: status.ExitStatus()}
}

// Report words the end of a delivery.
func (r *Remote) Report(end spawn.End, output []byte) (status byte, text []byte) {
	switch {
	case end.Crashed:
		return 'Z', []byte("qmail-remote crashed.\n")
	case end.Code == exitSoft:
		return 'Z', []byte("Unable to run qmail-remote.\n")
	case end.Code != 0:
		return 'D', []byte("Unable to run qmail-remote.\n")
	case len(output) == 0:
		return 'Z', []byte("qmail-remote produced no output.\n")
	}
	return summary(output)
}

// summary makes one result of the chunks that qmail-remote prints: one for
// the recipient, if the conversation came that far, one for the message. The
// recipient's outranks the message's where it is worse.
func summary(output []byte) (status byte, text []byte) {
	message := messageResult(output)
	recipient := message
	switch output[0] {
	case 's':
		recipient = deferred
	case 'h':
		recipient = failed
	}
	text, rest, complete := bytes.Cut(output[1:], []byte{0})
	if !complete {
		return letters[recipient+1], nil
	}
	if message <= recipient && len(rest) > 0 && bytes.IndexByte([]byte(letters), rest[0]) >= 0 {
		more, _, _ := bytes.Cut(rest[1:], []byte{0})
		text = append(bytes.Clone(text), more...)
	}
	return letters[recipient+1], text
}

// The results, ordered from worst to best.
const (
	failed    = -1
	deferred  = 0
	succeeded = 1
)

// letters are the report letters of the results, worst first.
const letters = "DZK"

// messageResult returns the result of the first complete chunk that is one
// for the message; none is a failure.
func messageResult(output []byte) int {
	for {
		chunk, rest, ok := bytes.Cut(output, []byte{0})
		if !ok {
			return failed
		}
		if len(chunk) > 0 {
			switch chunk[0] {
			case 'K':
				return succeeded
			case 'Z':
				return deferred
			case 'D':
				return failed
			}
		}
		output = rest
	}
}
