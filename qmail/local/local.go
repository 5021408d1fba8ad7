// Package local is qmail-local: it finds the .qmail file for an address and
// carries out its instructions. It runs as the user whose mail it delivers and
// must not know how that user was found.
package local

import (
	"bufio"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/reqmail/reqmail/compat/errno"
	"github.com/reqmail/reqmail/compat/fdio"
)

// Exit codes.
const (
	exitDone      = 0
	exitPermanent = 100
	exitTemporary = 111
)

// Usage is the complaint about wrong operands.
const Usage = "qmail-local: usage: qmail-local [ -nN ] user homedir local dash ext domain sender aliasempty"

// Delivery is one run of qmail-local: its operands, and what they are made
// into.
type Delivery struct {
	User      string
	HomeDir   string
	Local     string
	Dash      string
	Ext       string
	Host      string
	Sender    string
	Default   string // instructions where there is no .qmail file
	Describe  bool   // say what would be done instead of doing it
	Message   fdio.FD
	Out       io.Writer
	Process   *Process
	Tell      func(text string) // what takes long, for who may be watching; nil for nobody
	Inherit   func() error      // makes descriptors 1 and 2 what programs print to; nil where they are
	headers   headers
	newSender string
	abandoned bool

	head      []byte // of the message, once it was read
	headIsAll bool

	counts   counts
	forwards []string
}

// New takes the eight operands of qmail-local, false if they are not eight or
// the home directory is no absolute path.
func New(operands []string) (*Delivery, bool) {
	if len(operands) != 8 || !strings.HasPrefix(operands[1], "/") {
		return nil, false
	}
	return &Delivery{
		Process: &Process{}, User: operands[0], HomeDir: operands[1], Local: operands[2], Dash: operands[3],
		Ext: operands[4], Host: operands[5], Sender: operands[6], Default: operands[7],
	}, true
}

// Abandoned reports whether something that took too long was left to itself and
// still goes on.
func (d *Delivery) Abandoned() bool { return d.abandoned }

// counts are the instructions carried out.
type counts struct {
	files, forwards, programs int
	qp                        int // of the forwarded copy, 0 for none
}

func (c counts) String() string {
	text := "did " + strconv.Itoa(c.files) + "+" + strconv.Itoa(c.forwards) + "+" + strconv.Itoa(c.programs) + "\n"
	if c.qp != 0 {
		text += "qp " + strconv.Itoa(c.qp) + "\n"
	}
	return text
}

// failure ends a delivery: what the sender or the log is told, and the exit
// code. A program has said for itself what is wrong, then text is empty.
type failure struct {
	code int
	text string
}

func (f *failure) Error() string { return f.text }

func permanent(text string) error { return &failure{exitPermanent, text} }
func temporary(text string) error { return &failure{exitTemporary, text} }

// trouble is a temporary failure with the system's reason and a status code.
func trouble(doing string, err error, status string) error {
	return temporary(doing + ": " + errno.Text(err) + ". (#" + status + ")")
}

// Run delivers and returns qmail-local's exit code. Complaints go to errors.
func (d *Delivery) Run(errors io.Writer) int {
	err := d.run(errors)
	if err == nil {
		_, _ = io.WriteString(d.Out, d.counts.String())
		return exitDone
	}
	f, ok := err.(*failure)
	if !ok {
		f = &failure{exitTemporary, err.Error()}
	}
	if f.text != "" {
		_, _ = io.WriteString(errors, f.text+"\n")
	}
	return f.code
}

func (d *Delivery) run(errors io.Writer) error {
	file, err := d.find(errors)
	if err != nil {
		return err
	}
	d.setEnvironment(file)
	text, forwardOnly := d.instructions(file)
	if err := d.carryOut(text, forwardOnly); err != nil {
		return err
	}
	return d.forward()
}

// find goes to the home directory and finds the instructions for the address.
func (d *Delivery) find(errors io.Writer) (file dotQmail, err error) {
	if err := fdio.Chdir(d.HomeDir); err != nil {
		return file, trouble("Unable to switch to "+d.HomeDir, err, "4.3.0")
	}
	if err := d.checkHome(errors); err != nil {
		return file, err
	}
	d.headers = makeHeaders(d, time.Now())
	if !d.Describe {
		if err := d.checkLoop(); err != nil {
			return file, err
		}
	}
	if file, err = d.findDotQmail(); err != nil {
		return file, err
	}
	if !file.found && d.Dash != "" {
		return file, permanent("Sorry, no mailbox here by that name. (#5.1.1)")
	}
	d.newSender, err = d.forwardSender()
	return file, err
}

// instructions returns what is to be carried out: the file, or the default where
// there is none or an empty one.
func (d *Delivery) instructions(file dotQmail) (text string, forwardOnly bool) {
	if file.text == "" {
		return d.Default, false
	}
	return file.text, file.forwardOnly
}

// checkHome refuses homes that others can write to, and lets mail wait while
// the user edits his files.
func (d *Delivery) checkHome(errors io.Writer) error {
	const sticky = 0o1000
	st, err := fdio.Stat(".")
	if err != nil {
		return trouble("Unable to stat home directory", err, "4.3.0")
	}
	if st.Mode&othersWrite != 0 {
		return temporary("Uh-oh: home directory is writable. (#4.7.0)")
	}
	if st.Mode&sticky != 0 {
		if !d.Describe {
			return temporary("Home directory is sticky: user is editing his .qmail file. (#4.2.1)")
		}
		_, _ = io.WriteString(errors, "Warning: home directory is sticky.\n")
	}
	return nil
}

// othersWrite is the mode bit that makes a home or .qmail file untrustworthy
// (conf-patrn).
const othersWrite = 0o002

// checkLoop looks in the header for our own Delivered-To line.
func (d *Delivery) checkLoop() error {
	message, err := d.open()
	if err != nil {
		return err
	}
	want := d.headers.deliveredTo
	in := bufio.NewReaderSize(message, max(4096, len(want)+1))
	for {
		line, err := in.ReadSlice('\n')
		if err != nil && err != io.EOF && err != bufio.ErrBufferFull {
			return trouble("Unable to read message", err, "4.3.0")
		}
		switch {
		case err == io.EOF, len(line) <= 1 && err == nil:
			return nil
		case string(line) == want:
			return permanent("This message is looping: it already has my Delivered-To line. (#5.4.6)")
		}
		for err == bufio.ErrBufferFull { // too long to be the line we look for
			_, err = in.ReadSlice('\n')
		}
	}
}
