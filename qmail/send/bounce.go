package send

import (
	"io"
	"strings"
	"syscall"
	"time"

	"github.com/reqmail/reqmail/compat/address"
	"github.com/reqmail/reqmail/compat/datetime"
	"github.com/reqmail/reqmail/compat/fdio"
	"github.com/reqmail/reqmail/compat/maillog"
	"github.com/reqmail/reqmail/compat/submit"
	"github.com/reqmail/reqmail/queue"
)

// doubleSender is the envelope sender of a double bounce; what bounces to it
// is thrown away.
const doubleSender = "#@[]"

// addBounce notes a permanent failure for the bounce.
func (s *Scheduler) addBounce(id queue.ID, recipient, report string) {
	text := paragraph(s.config.withoutPrefix(recipient), report)
	for queue.AppendBounce(id, text) != nil {
		s.logLine(maillog.Alert("unable to append to bounce message; HELP! sleeping..."))
		s.sleep()
	}
}

// paragraph words one failure in the form of QSBMF (qmail-send bounce message
// format): the recipient, the report without blank lines, a blank line.
func paragraph(recipient, report string) string {
	text := "<" + strings.ReplaceAll(recipient, "\n", "_") + ">:\n" + report
	if report != "" && !strings.HasSuffix(report, "\n") {
		text += "\n"
	}
	// The last newline does not count: after it comes the blank line.
	b := []byte(text)
	for i := len(b) - 2; i > 0; i-- {
		if b[i] == '\n' && b[i-1] == '\n' {
			b[i] = '/'
		}
	}
	return string(b) + "\n"
}

// letter is how a bounce is worded and addressed.
type letter struct {
	sender    string // envelope
	recipient string
	intro     string
	separator string
}

// letterFor decides whom a bounce of a message from that sender goes to.
func (c *Config) letterFor(sender string) letter {
	if sender != "" {
		return letter{
			recipient: sender,
			intro: "I'm afraid I wasn't able to deliver your message to the following addresses.\n" +
				"This is a permanent error; I've given up. Sorry it didn't work out.\n",
			separator: "--- Below this line is a copy of the message.\n",
		}
	}
	return letter{
		sender:    doubleSender,
		recipient: c.DoubleBounceTo,
		intro:     "I tried to deliver a bounce message to this address, but the bounce bounced!\n",
		separator: "--- Below this line is the original bounce.\n",
	}
}

// bounce returns what could not be delivered of a message, if anything, to
// its sender. False means that it is to be tried again.
//
// The bounce file is removed only when the bounce is in the queue for good. A
// crash in between sends the bounce twice.
func (s *Scheduler) bounce(id queue.ID) bool {
	info, err := queue.ReadInfo(id)
	if err != nil {
		return false // not even where nothing is to be returned: what is broken is not removed
	}
	sender := strings.TrimSuffix(info.Sender, verpMark)
	var st syscall.Stat_t
	if err := syscall.Stat(id.Bounce(), &st); err != nil {
		if err == syscall.ENOENT {
			return true
		}
		s.warnFile("unable to stat", id.Bounce(), "")
		return false
	}
	if sender == doubleSender {
		s.logLine(maillog.TripleBounce(id.Bounce()))
	} else if !s.send(id, sender) {
		return false
	}
	if err := syscall.Unlink(id.Bounce()); err != nil {
		s.warnFile("unable to unlink", id.Bounce(), "")
		return false
	}
	return true
}

// send queues the bounce of a message from sender.
func (s *Scheduler) send(id queue.ID, sender string) bool {
	m, err := submit.Open()
	if err != nil {
		s.logLine(maillog.Warning("unable to start qmail-queue, will try later"))
		return false
	}
	l := s.config.letterFor(sender)
	m.WriteString("Date: " + datetime.Header(time.Unix(s.now(), 0)) + "\n" +
		"From: " + address.QuoteLocal(s.config.BounceFrom) + "@" + s.config.BounceHost + "\n" +
		"To: " + address.Quote(l.recipient) + "\n" +
		"Subject: failure notice\n\n" +
		"Hi. This is the qmail-send program at " + s.config.BounceHost + ".\n" +
		l.intro + "\n")
	copyFile(m, id.Bounce())
	m.WriteString(l.separator + "\nReturn-Path: <" + address.Quote(sender) + ">\n")
	copyFile(m, id.Mess())
	m.From(l.sender)
	m.To(l.recipient)
	if m.Close() != "" {
		s.logLine(maillog.Warning("trouble injecting bounce message, will try later"))
		return false
	}
	s.logLine(maillog.Bounced(uint64(id), m.QP()))
	return true
}

// copyFile adds a file to a message, which fails if the file cannot be read.
func copyFile(m *submit.Message, path string) {
	f, err := fdio.Open(path, syscall.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		m.Fail()
		return
	}
	defer f.Close()
	if _, err := io.Copy(m, f); err != nil {
		m.Fail()
	}
}
