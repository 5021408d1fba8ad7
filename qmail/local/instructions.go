package local

import (
	"io"
	"strings"
	"syscall"

	"github.com/reqmail/reqmail/compat/child"
	"github.com/reqmail/reqmail/compat/fdio"
	"github.com/reqmail/reqmail/compat/submit"
	"github.com/reqmail/reqmail/compat/wire"
)

// carryOut executes instructions in their order. A failure ends it; what was
// done before stays done and is done again at the next try. Addresses are
// only collected.
func (d *Delivery) carryOut(text string, forwardOnly bool) error {
	if !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	first := true
	for line := range strings.Lines(text) {
		in, err := parseLine(strings.TrimSuffix(line, "\n"), first)
		if err != nil {
			return err
		}
		first = false
		if in.kind == listMode {
			forwardOnly = true
		}
		stop, err := d.do(in, forwardOnly)
		if stop || err != nil {
			return err
		}
	}
	return nil
}

// do executes one instruction; stop means that the rest is not wanted.
func (d *Delivery) do(in instruction, forwardOnly bool) (stop bool, err error) {
	switch in.kind {
	case toMbox, toMaildir:
		d.counts.files++
		if forwardOnly {
			return false, temporary("Uh-oh: .qmail has file delivery but has x bit set. (#4.7.0)")
		}
	case toProgram:
		d.counts.programs++
		if forwardOnly {
			return false, temporary("Uh-oh: .qmail has prog delivery but has x bit set. (#4.7.0)")
		}
	case toAddress:
		d.counts.forwards++
	}
	if d.Describe {
		d.describe(in)
		return false, nil
	}
	arg, _, _ := strings.Cut(in.arg, "\x00") // no name, command or address has more
	switch in.kind {
	case toMbox:
		defer d.busy(wire.PhaseMailbox, arg)()
		return false, d.mbox(arg)
	case toMaildir:
		defer d.busy(wire.PhaseMailbox, arg)()
		return false, d.maildir(arg)
	case toProgram:
		defer d.busy(wire.PhaseProgram, arg)()
		return d.program(arg)
	case toAddress:
		d.forwards = append(d.forwards, arg)
	}
	return false, nil
}

// describe says what an instruction would do.
func (d *Delivery) describe(in instruction) {
	words := map[kind]string{toMbox: "mbox ", toMaildir: "maildir ", toProgram: "program ", toAddress: "forward "}
	if word, ok := words[in.kind]; ok {
		_, _ = io.WriteString(d.Out, word+in.arg+"\n")
	}
}

// program runs a command with the message as its input; its exit code decides
// (qmail-command(8)).
func (d *Delivery) program(command string) (stop bool, err error) {
	if err := d.rewind(); err != nil {
		return false, err
	}
	if err := d.inherit(); err != nil {
		return false, err
	}
	const shell = "/bin/sh"
	cmd := child.Command{
		Path:  shell,
		Args:  []string{shell, "-c", command},
		Files: []fdio.FD{d.Message, 1, 2},
	}
	pid, err := cmd.Start()
	if err == syscall.EAGAIN || err == syscall.ENOMEM {
		return false, trouble("Unable to fork", err, "4.3.0")
	}
	if err != nil {
		return false, trouble("Unable to run "+shell, err, "4.3.0")
	}
	end, err := child.Wait(pid)
	if err != nil || end.Signaled() {
		return false, temporary("Aack, child crashed. (#4.3.0)")
	}
	switch end.ExitStatus() {
	case 0:
		return false, nil
	case 99:
		return true, nil
	case 100, 64, 65, 70, 76, 77, 78, 112: // and sysexits' permanent ones
		return false, &failure{code: exitPermanent}
	}
	return false, &failure{code: exitTemporary}
}

// inherit has programs print where the delivery does.
func (d *Delivery) inherit() error {
	if d.Inherit == nil {
		return nil
	}
	if err := d.Inherit(); err != nil {
		return trouble("Unable to create pipe", err, "4.3.0")
	}
	return nil
}

// forward sends the message to all collected addresses, as one submission.
func (d *Delivery) forward() error {
	if len(d.forwards) == 0 {
		return nil
	}
	if err := d.rewind(); err != nil {
		return err
	}
	if err := d.inherit(); err != nil {
		return err
	}
	defer d.busy(wire.PhaseProgram, "qmail-queue")()
	m, err := submit.Open()
	if err != nil {
		return trouble("Unable to fork", err, "4.3.0")
	}
	m.WriteString(d.headers.deliveredTo)
	if _, err := io.Copy(m, d.Message); err != nil {
		m.Fail()
	}
	m.From(d.newSender)
	for _, addr := range d.forwards {
		m.To(addr)
	}
	result := m.Close()
	switch {
	case result == "":
		d.counts.qp = m.QP()
		return nil
	case result[0] == 'D':
		return permanent("Unable to forward message: " + result[1:] + ".")
	}
	return temporary("Unable to forward message: " + result[1:] + ".")
}
