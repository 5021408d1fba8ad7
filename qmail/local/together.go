package local

import (
	"io"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/reqmail/reqmail/compat/fdio"
	"github.com/reqmail/reqmail/compat/wire"
)

// Outcome is what became of one of several deliveries.
type Outcome struct {
	Code  int
	Again bool // nothing was delivered: it is to be carried out alone
}

// Together carries out deliveries of one user that have come at the same time, those
// into a Maildir and nowhere else: their syncs are made together. Of the others, and
// of those that meet trouble before a message is in its place, nothing is left, and
// they are to be carried out again.
//
// Where Code is 0 the message and its name in new are durable. A crash before a link
// leaves files in tmp; a crash after it messages in new whose deliveries are done
// again. The order of the steps is that of maildir, for each message: its data is
// durable before it has a name in new.
func (p *Process) Together(ds []*Delivery) (outcomes []Outcome, abandoned bool) {
	defer ds[0].busy(wire.PhaseMailbox, "")()
	done := make(chan []Outcome, 1)
	go func() { done <- p.together(ds) }()
	patience := time.NewTimer(maildirPatience)
	defer patience.Stop()
	select {
	case outcomes = <-done:
		return outcomes, false
	case <-patience.C:
	}
	outcomes = make([]Outcome, len(ds))
	for i, d := range ds {
		outcomes[i] = d.outcome(errMaildirTimeout)
	}
	return outcomes, true
}

func (p *Process) together(ds []*Delivery) []Outcome {
	outcomes := make([]Outcome, len(ds))
	var parcels []*parcel
	for i, d := range ds {
		if m := d.pack(); m != nil {
			m.i = i
			parcels = append(parcels, m)
		} else {
			outcomes[i].Again = true
		}
	}
	if len(parcels) > 0 {
		p.persist(parcels)
	}
	for _, m := range parcels {
		m.place()
	}
	p.syncNew(parcels)
	for _, m := range parcels {
		m.dir.Close()
		if m.inNew {
			outcomes[m.i] = m.d.outcome(m.err)
		} else {
			outcomes[m.i].Again = true
		}
	}
	return outcomes
}

// outcome says how a delivery has ended.
func (d *Delivery) outcome(err error) Outcome {
	if err != nil {
		_, _ = io.WriteString(d.Out, err.Error()+"\n")
		return Outcome{Code: exitTemporary}
	}
	d.counts.files++
	_, _ = io.WriteString(d.Out, d.counts.String())
	return Outcome{Code: exitDone}
}

// parcel is a message on its way into a Maildir.
type parcel struct {
	d     *Delivery
	i     int     // which of the deliveries it is
	where string  // home directory and Maildir
	dir   fdio.FD // the Maildir
	file  fdio.FD
	name  string // in tmp and in new
	inNew bool
	err   error
}

// pack writes the message into tmp of the Maildir that is all there is to deliver to,
// nil if that is not so, or does not work. Nothing is durable.
func (d *Delivery) pack() *parcel {
	file, err := d.find(io.Discard)
	if err != nil {
		return nil
	}
	text, forwardOnly := d.instructions(file)
	dir, ok := onlyMaildir(text)
	if !ok || forwardOnly {
		return nil
	}
	message, err := d.open()
	if err != nil {
		return nil
	}
	at, err := fdio.Open(dir, unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil
	}
	name, f, err := createTmp(at, d.Process.number())
	if err != nil {
		at.Close()
		return nil
	}
	m := &parcel{d: d, where: d.HomeDir + "\x00" + dir, dir: at, file: f, name: name}
	if d.writeHeadAndText(f, message) != nil {
		f.Close()
		_ = fdio.UnlinkAt(at, "tmp/"+name)
		at.Close()
		return nil
	}
	return m
}

// onlyMaildir returns the Maildir that is the only thing instructions ask for.
func onlyMaildir(text string) (dir string, ok bool) {
	first := true
	for line := range strings.Lines(text) {
		in, err := parseLine(strings.TrimSuffix(line, "\n"), first)
		first = false
		switch {
		case err != nil, in.kind != nothing && (in.kind != toMaildir || dir != ""):
			return "", false
		case in.kind == toMaildir:
			dir, _, _ = strings.Cut(in.arg, "\x00") // no name has more
		}
	}
	return dir, dir != ""
}

// persist makes the messages' data durable. All of it is on its way to the disk before
// the first is waited for. Where the disk is slow, they are waited for all at once.
func (p *Process) persist(parcels []*parcel) {
	for _, m := range parcels {
		_ = unix.SyncFileRange(int(m.file), 0, 0, unix.SYNC_FILE_RANGE_WRITE) // that it begins early is all
	}
	if !p.slow {
		for _, m := range parcels {
			m.err = p.sync(m.file)
		}
		return
	}
	var others sync.WaitGroup
	for _, m := range parcels[1:] {
		others.Go(func() { m.err = slowly(m.file) })
	}
	parcels[0].err = p.sync(parcels[0].file)
	others.Wait()
}

// place gives a message whose data is durable its name in new, and closes it.
func (m *parcel) place() {
	if err := m.file.Close(); m.err == nil {
		m.err = err // a file system on the network may say it only now
	}
	if m.err == nil {
		m.err = fdio.LinkAt(m.dir, "tmp/"+m.name, "new/"+m.name)
		m.inNew = m.err == nil
	}
	_ = fdio.UnlinkAt(m.dir, "tmp/"+m.name)
}

// syncNew makes the messages' names durable, each directory once.
func (p *Process) syncNew(parcels []*parcel) {
	synced := map[string]error{}
	for _, m := range parcels {
		if !m.inNew {
			continue
		}
		err, done := synced[m.where]
		if !done {
			err = p.syncFile(m.dir, "new", unix.O_DIRECTORY)
			synced[m.where] = err // the kernel tells of an error once
		}
		if p.settle(err, m.dir, "new/"+m.name) != nil {
			m.err = errMaildir
		}
	}
}
