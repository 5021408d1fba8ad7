package command

import (
	"bufio"
	"errors"
	"io"
	"os"
	"strings"

	"github.com/reqmail/reqmail/compat/address"
	"github.com/reqmail/reqmail/compat/submit"
	"github.com/reqmail/reqmail/qmail/rfc822"
)

// errUnparsable says that a field is no list of addresses.
var errUnparsable = errors.New("no list of addresses")

// QReceipt tells the sender of a message that it has arrived, if the message
// asks for that (Notice-Requested-Upon-Delivery-To) at the address that is its
// operand.
func QReceipt(files Files, args []string) int {
	t := tool{"qreceipt", files}
	sender, ok := os.LookupEnv("SENDER")
	if len(args) == 0 || !ok {
		return t.usage("deliveryaddress")
	}
	r := receipt{target: args[0]}
	_, err := rfc822.ReadHeader(bufio.NewReader(files[0]), r.field)
	switch {
	case err == errUnparsable:
		_, _ = files[2].WriteString("qreceipt: fatal: unable to parse this: " + r.bad)
		return permanent
	case err != nil:
		return t.fatal(temporary, "read error")
	case !r.wanted || sender == "" || sender == "#@[]":
		return done
	}
	m, err := submit.Open()
	if err != nil {
		return t.fatal(temporary, "unable to fork")
	}
	r.write(m, sender)
	m.From("")
	m.To(sender)
	switch result := m.Close(); {
	case result == "":
		return done
	case result[0] == 'D':
		return t.fatal(permanent, "permanent qmail-queue error")
	}
	return t.fatal(temporary, "temporary qmail-queue error")
}

// receipt is what the header says.
type receipt struct {
	target    string
	wanted    bool
	messageID string // the whole field
	bad       string // field that cannot be parsed
}

func (r *receipt) field(field string) error {
	switch rfc822.FieldName(field) {
	case "message-id":
		r.messageID = field
	case "notice-requested-upon-delivery-to":
		tokens, ok := rfc822.Parse(field)
		if ok {
			_, ok = rfc822.RewriteList(tokens, func(addr []rfc822.Token) []rfc822.Token {
				r.wanted = r.wanted || rfc822.Unquote(addr) == r.target
				return addr
			})
		}
		if !ok {
			r.bad = field
			return errUnparsable
		}
	}
	return nil
}

// write writes the notice, without the fields that the queue adds.
func (r *receipt) write(w io.Writer, sender string) {
	quoted := address.Quote(sender)
	text := "From: DELIVERY NOTICE SYSTEM <" + quoted + ">\nTo: <" + quoted + ">\nSubject: success notice\n\n" +
		"Hi! This is the qreceipt program. Your message was delivered to the\n" +
		"following address: " + r.target + ". Thanks for asking.\n"
	if r.messageID != "" {
		text += "Your " + r.messageID
	}
	_, _ = io.WriteString(w, text) // trouble shows when the submission is closed
}

// visible puts another byte in place of what is not printable ASCII.
func visible(s string, other byte) string {
	b := []byte(s)
	for i, c := range b {
		if c < 32 || c > 126 {
			b[i] = other
		}
	}
	return string(b)
}

// summary is the subject of a message and the beginning of its body, at most
// limit bytes behind what it begins with.
func summary(in *bufio.Reader, begin string, limit int) (string, error) {
	text := begin
	body, err := rfc822.ReadHeader(in, func(field string) error {
		if rfc822.FieldName(field) == "subject" {
			text += rfc822.FieldText(field)
		}
		return nil
	})
	if err != nil {
		return "", err
	}
	text += body
	rest, err := io.ReadAll(io.LimitReader(in, int64(limit)))
	if err != nil {
		return "", err
	}
	text += string(rest)
	return strings.TrimSuffix(text[:min(len(text), limit)], "\x00"), nil
}
