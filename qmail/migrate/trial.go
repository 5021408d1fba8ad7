package migrate

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/reqmail/reqmail/compat/maillog"
	"github.com/reqmail/reqmail/control"
)

// trial is a test message on its way through the system. Its envelope sender
// is unique, for a wrapper around qmail-queue changes size and "qp" number.
type trial struct {
	host    *Host
	to      string
	sender  string
	started time.Time
	logs    []*follower

	id       uint64 // of the message, once the log has told it
	delivery uint64
}

// silence is how long logs may say nothing of the message before the queue is
// looked at instead.
const silence = 5 * time.Second

var errTrialTime = errors.New("no delivery in time")

// newTrial prepares a test message. to and log may be empty: the address that
// double bounces go to, and every log that is found.
func (h *Host) newTrial(to, log string) (*trial, error) {
	dir, err := control.Open(h.home("control"))
	if err != nil {
		return nil, err
	}
	me, _ := dir.Me()
	if to == "" {
		if to, err = postmaster(dir); err != nil {
			return nil, err
		}
	}
	t := &trial{host: h, to: to, sender: "reqmail-test-" + strings.ToLower(rand.Text()) + "@" + me, started: time.Now()}
	logs := h.logs()
	if log != "" {
		logs = []string{log}
	}
	for _, path := range logs {
		t.logs = append(t.logs, follow(path))
	}
	return t, nil
}

// postmaster is where this host sends what nobody else wants to have.
func postmaster(dir *control.Dir) (string, error) {
	user, _, err := dir.Line(control.DoubleBounceTo)
	if err != nil {
		return "", err
	}
	domain, _, err := dir.Line(control.DoubleBounceHost)
	return user + "@" + domain, err
}

// logs returns the files that qmail-send's lines may be in.
func (h *Host) logs() []string {
	found := h.glob("/usr/local/psa/var/log/maillog", "/var/log/maillog", "/var/log/mail.log")
	for _, run := range h.glob("/service/*/log/run", "/etc/service/*/log/run") {
		for _, word := range words(readText(run)) {
			if strings.HasPrefix(word, "/") {
				found = append(found, h.glob(word+"/current")...)
			}
		}
		found = append(found, h.glob(h.bare(filepath.Dir(run))+"/main/current")...)
	}
	return append(found, h.glob("/var/log/qmail/current", "/var/log/qmail/*/current")...)
}

// send queues the message by bin/qmail-queue, a wrapper included.
func (t *trial) send() error {
	text, textOut, err := os.Pipe()
	if err != nil {
		return err
	}
	envelope, envelopeOut, err := os.Pipe()
	if err != nil {
		text.Close()
		textOut.Close()
		return err
	}
	cmd := exec.Command(t.host.home("bin/qmail-queue"))
	cmd.Stdin, cmd.Stdout, cmd.Dir = text, envelope, t.host.home()
	err = cmd.Start()
	text.Close()
	envelope.Close()
	if err == nil {
		// A reader that has gone shows in its exit code.
		_, _ = io.WriteString(textOut, t.message())
		textOut.Close()
		_, _ = io.WriteString(envelopeOut, "F"+t.sender+"\x00T"+t.to+"\x00\x00")
		envelopeOut.Close()
		err = cmd.Wait()
	}
	textOut.Close()
	envelopeOut.Close()
	if err != nil {
		return fmt.Errorf("queueing a test message by bin/qmail-queue: %w", err)
	}
	return nil
}

func (t *trial) message() string {
	return "From: <" + t.to + ">\nTo: <" + t.to + ">\nSubject: reqmail's test message\n" +
		"Message-ID: <" + t.sender + ">\nDate: " + t.started.UTC().Format("02 Jan 2006 15:04:05 -0000") + "\n\n" +
		"Programs of the mail system are being replaced. This message shows that mail\nis delivered. You can delete it.\n"
}

// watch waits for the message's delivery and tells how it is known.
func (t *trial) watch(ctx context.Context, patience time.Duration) (how string, err error) {
	deadline, looked := time.Now().Add(patience), time.Now()
	if len(t.logs) == 0 {
		looked = time.Time{}
	}
	for {
		for _, log := range t.logs {
			done, err := t.read(log)
			if done || err != nil {
				return fmt.Sprintf("%s: delivery %d: success", t.host.bare(log.path), t.delivery), err
			}
		}
		if t.id == 0 && time.Since(looked) > silence {
			gone, err := t.gone()
			if gone || err != nil {
				return "it has left the queue, and no log tells of it", err
			}
			looked = time.Now()
		}
		if time.Now().After(deadline) {
			return "", fmt.Errorf("test message to %s: %w (%v)", t.to, errTrialTime, patience)
		}
		if err := pause(ctx, 100*time.Millisecond); err != nil {
			return "", err
		}
	}
}

// read takes new lines of a log in and reports whether the message has been
// delivered. Any other result is an error.
func (t *trial) read(log *follower) (delivered bool, err error) {
	for _, line := range log.lines() {
		e := maillog.Parse(maillog.Unstamp(line))
		switch {
		case e.Kind == maillog.KindInfo && e.Sender == maillog.Safe(t.sender):
			t.id = e.ID
		case e.Kind == maillog.KindStarting && t.id != 0 && e.ID == t.id:
			t.delivery = e.Delivery
		case e.Kind == maillog.KindEnded && t.delivery != 0 && e.Delivery == t.delivery:
			if e.Result == maillog.Success {
				return true, nil
			}
			return false, fmt.Errorf("test message to %s: delivery %d: %s: %s", t.to, e.Delivery, e.Result, e.Text)
		}
	}
	return false, nil
}

// gone looks for the message in the queue: its sender is in its envelope until
// it is delivered, and in that of a bounce as the recipient.
func (t *trial) gone() (bool, error) {
	var waiting, bounced bool
	for _, pattern := range []string{"todo/*", "info/*/*", "local/*/*", "remote/*/*"} {
		files, err := filepath.Glob(t.host.home("queue", pattern))
		if err != nil {
			return false, err
		}
		for _, file := range files {
			info, err := os.Stat(file)
			if err != nil || info.ModTime().Before(t.started.Add(-2*time.Second)) {
				continue // delivered meanwhile, or not ours
			}
			text, err := os.ReadFile(file)
			if err != nil {
				continue
			}
			waiting = waiting || bytes.Contains(text, []byte("F"+t.sender))
			bounced = bounced || bytes.Contains(text, []byte("T"+t.sender))
		}
	}
	if bounced {
		return false, fmt.Errorf("test message to %s has bounced", t.to)
	}
	return !waiting, nil
}

// follower reads what is appended to a log, also when the log is rotated.
type follower struct {
	path string
	file *os.File
	rest []byte // of a line that has no end yet
}

// follow begins at the present end of the log.
func follow(path string) *follower {
	f := &follower{path: path}
	if file, err := os.Open(path); err == nil {
		if _, err := file.Seek(0, io.SeekEnd); err == nil {
			f.file = file
		}
	}
	return f
}

// lines returns the whole lines that have been written since the last call. A
// log that cannot be read has none.
func (f *follower) lines() []string {
	text := append(f.rest, f.more()...)
	if f.rotated() {
		f.file.Close()
		f.file = nil
	}
	if f.file == nil {
		if file, err := os.Open(f.path); err == nil {
			f.file = file
			text = append(text, f.more()...)
		}
	}
	end := bytes.LastIndexByte(text, '\n') + 1
	f.rest = bytes.Clone(text[end:])
	return strings.Split(string(text[:end]), "\n")
}

func (f *follower) more() []byte {
	if f.file == nil {
		return nil
	}
	text, err := io.ReadAll(f.file)
	if err != nil {
		return nil
	}
	return text
}

// rotated reports whether the path is another file now, or has been cut off.
func (f *follower) rotated() bool {
	if f.file == nil {
		return false
	}
	open, err := f.file.Stat()
	if err != nil {
		return false
	}
	named, err := os.Stat(f.path)
	if err != nil {
		return false // between the rename and the new file
	}
	at, err := f.file.Seek(0, io.SeekCurrent)
	return !os.SameFile(open, named) || err == nil && named.Size() < at
}

// close ends the trial.
func (t *trial) close() {
	for _, log := range t.logs {
		if log.file != nil {
			log.file.Close()
		}
	}
}
