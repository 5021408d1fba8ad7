package maildir

import (
	"bufio"
	"io"
	"strings"
	"syscall"
	"time"

	"github.com/reqmail/reqmail/compat/errno"
	"github.com/reqmail/reqmail/compat/fdio"
	"github.com/reqmail/reqmail/qmail/rfc822"
)

// WatchPause is the time between two looks at the Maildir.
const WatchPause = 30 * time.Second

// maxExcerpt is how much of a message is shown: subject and body, in bytes.
const maxExcerpt = 158

// Escape sequences of ECMA-48 terminals.
const (
	clearScreen = "\x1b[;H\x1b[;J"
	bold        = "\x1b[1m"
	plain       = "\x1b[0m"
)

// Show writes a screen with the new messages in the current directory, a
// Maildir. The error is a *Trouble.
func Show(out io.Writer, now time.Time) error {
	Clean(now.Unix())
	messages, err := Scan(now.Unix(), "new")
	if err != nil {
		return &Trouble{"unable to scan $MAILDIR/" + err.(*ScanError).Dir + ": " + errno.Text(err)}
	}
	screen := clearScreen
	for _, m := range messages {
		f, err := fdio.Open(m.File, syscall.O_RDONLY|syscall.O_NONBLOCK, 0)
		if err != nil {
			continue // somebody has read it
		}
		text, err := excerpt(f)
		f.Close()
		if err != nil {
			return &Trouble{"trouble reading new message"}
		}
		screen += text
	}
	_, err = io.WriteString(out, screen)
	return err
}

// excerpt is what is shown of a message.
func excerpt(file io.Reader) (string, error) {
	sender, recipient, from, text := "?", "?", "", ""
	in := bufio.NewReader(file)
	body, err := rfc822.ReadHeader(in, func(field string) error {
		value := strings.TrimSuffix(rfc822.FieldText(field), "\n")
		switch rfc822.FieldName(field) {
		case "subject":
			text += rfc822.FieldText(field)
		case "delivered-to":
			recipient = value
		case "return-path":
			sender = value
		case "from":
			from = strings.TrimSuffix(field, "\n")
		}
		return nil
	})
	if err != nil {
		return "", err
	}
	rest, err := io.ReadAll(io.LimitReader(in, maxExcerpt))
	if err != nil {
		return "", err
	}
	text += body + string(rest)
	screen := "FROM " + visible(sender, '?') + " TO <" + visible(recipient, '?') + ">\n"
	if from != "" {
		screen += bold + visible(from, '/') + plain + "\n"
	}
	return screen + visible(text[:min(len(text), maxExcerpt)], '/') + "\n\n", nil
}

// visible puts another byte in place of what is not printable ASCII: no
// message may command the terminal.
func visible(s string, other byte) string {
	b := []byte(s)
	for i, c := range b {
		if c < 32 || c > 126 {
			b[i] = other
		}
	}
	return string(b)
}
