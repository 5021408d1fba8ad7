package command

import (
	"io"
	"os"
	"strconv"

	"github.com/reqmail/reqmail/compat/submit"
)

// Forward sends the message on to its operands, in the name of NEWSENDER: the
// sender, or the owner of the list that is delivered to.
func Forward(files Files, args []string) int {
	return tool{"forward", files}.resend("NEWSENDER", args, done)
}

// resend queues the rest of the message, behind the Delivered-To line in
// DTLINE, from the address in the environment variable sender. It returns
// success if the queue has taken it.
func (t tool) resend(sender string, recipients []string, success int) int {
	from, ok := os.LookupEnv(sender)
	if !ok {
		return t.fatal(permanent, sender+" not set")
	}
	deliveredTo, ok := os.LookupEnv("DTLINE")
	if !ok {
		return t.fatal(permanent, "DTLINE not set")
	}
	m, err := submit.Open()
	if err != nil {
		return t.trouble("unable to fork", err)
	}
	m.WriteString(deliveredTo)
	if _, err := io.Copy(m, t.files[0]); err != nil {
		m.Fail() // half a message must not be queued
		m.From(from)
		m.Close()
		return t.trouble("unable to read message", err)
	}
	m.From(from)
	for _, addr := range recipients {
		m.To(addr)
	}
	switch result := m.Close(); {
	case result == "":
		t.say(t.name + ": qp " + strconv.Itoa(m.QP()))
		return success
	case result[0] == 'D':
		return t.fatal(permanent, result[1:])
	default:
		return t.fatal(temporary, result[1:])
	}
}
