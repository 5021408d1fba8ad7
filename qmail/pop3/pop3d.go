package pop3

import (
	"bufio"
	"io"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/reqmail/reqmail/compat/address"
	"github.com/reqmail/reqmail/compat/fdio"
	"github.com/reqmail/reqmail/qmail/dialogue"
	"github.com/reqmail/reqmail/qmail/maildir"
)

// message is a message in the Maildir.
type message struct {
	maildir.Message
	deleted bool
}

// Mailbox is a conversation in the transaction state. The working directory
// is the Maildir.
type Mailbox struct {
	*dialogue.Dialogue
	messages []message
	last     int // highest number deleted
}

// OpenMailbox takes in the messages of the Maildir at dir and makes it the
// working directory. Where that fails, it says so and returns nil.
func OpenMailbox(conn io.ReadWriter, dir string, now time.Time) *Mailbox {
	m := &Mailbox{Dialogue: dialogue.New(conn)}
	if dir == "" || syscall.Chdir(dir) != nil {
		m.Reply(sorry("this user has no $HOME/Maildir"))
		_ = m.Flush()
		return nil
	}
	maildir.Clean(now.Unix())
	messages, err := maildir.Scan(now.Unix(), "new", "cur")
	if err != nil {
		m.Reply(sorry("unable to scan $HOME/Maildir"))
		_ = m.Flush()
		return nil
	}
	for _, g := range messages {
		m.messages = append(m.messages, message{Message: g})
	}
	return m
}

// Serve talks until one side ends it. Only QUIT deletes anything.
func (m *Mailbox) Serve() {
	m.Reply(ok)
	for {
		name, arg, err := m.Command()
		if err != nil {
			return
		}
		if address.Lower(name) == "quit" {
			m.quit()
			_ = m.Flush()
			return
		}
		if m.command(address.Lower(name), arg) != nil {
			return
		}
	}
}

// command carries out a command. An error ends the conversation at once.
func (m *Mailbox) command(name, arg string) error {
	switch name {
	case "stat":
		m.stat()
	case "list":
		m.list(arg, func(g *message) string { return strconv.FormatInt(g.Size, 10) })
	case "uidl":
		m.list(arg, uid)
	case "dele":
		if g, n := m.chosen(arg); g != nil {
			g.deleted = true
			m.last = max(m.last, n)
			m.Reply(ok)
		}
	case "retr", "top":
		return m.send(arg)
	case "rset":
		for i := range m.messages {
			m.messages[i].deleted = false
		}
		m.last = 0
		m.Reply(ok)
	case "last":
		m.Reply(ok + strconv.Itoa(m.last))
	case "noop":
		m.Reply(ok)
	default:
		m.Reply(sorry("unimplemented"))
	}
	return nil
}

func (m *Mailbox) stat() {
	var total int64
	for _, g := range m.messages {
		if !g.deleted {
			total += g.Size
		}
	}
	m.Reply(ok + strconv.Itoa(len(m.messages)) + " " + strconv.FormatInt(total, 10))
}

// uid is a message's name: that of its file up to its flags.
func uid(g *message) string {
	name, _, _ := strings.Cut(g.File[len("new/"):], ":")
	return name
}

// number reads the digits at the start of s and returns what follows.
func number(s string) (n uint64, rest string, found bool) {
	i := 0
	for ; i < len(s) && '0' <= s[i] && s[i] <= '9'; i++ {
		n = n*10 + uint64(s[i]-'0')
	}
	return n, s[i:], i > 0
}

// chosen returns the message that an argument names, or says why there is
// none.
func (m *Mailbox) chosen(arg string) (*message, int) {
	n, _, found := number(arg)
	switch {
	case !found:
		m.Reply(sorry("syntax error"))
	case n == 0:
		m.Reply(sorry("messages are counted from 1"))
	case n > uint64(len(m.messages)):
		m.Reply(sorry("not that many messages"))
	case m.messages[n-1].deleted:
		m.Reply(sorry("already deleted"))
	default:
		return &m.messages[n-1], int(n)
	}
	return nil, 0
}

func (m *Mailbox) list(arg string, what func(*message) string) {
	if arg != "" {
		if g, n := m.chosen(arg); g != nil {
			m.Reply(ok + strconv.Itoa(n) + " " + what(g))
		}
		return
	}
	m.Reply(ok)
	for i := range m.messages {
		if g := &m.messages[i]; !g.deleted {
			m.Reply(strconv.Itoa(i+1) + " " + what(g))
		}
	}
	m.Reply(".")
}

// send sends a message: all of it, or its header and so many lines of its
// body. One that cannot be read to its end must not look whole, let alone be
// deleted: that is an error.
func (m *Mailbox) send(arg string) error {
	g, _ := m.chosen(arg)
	if g == nil {
		return nil
	}
	_, rest, _ := number(arg)
	lines, _, limited := number(strings.TrimLeft(rest, " "))
	f, err := fdio.Open(g.File, syscall.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		m.Reply(sorry("unable to open that message"))
		return nil
	}
	defer f.Close()
	m.Reply(ok)
	if err := m.Flush(); err != nil {
		return err
	}
	if err := m.copy(f, lines, limited); err != nil {
		return err
	}
	m.Reply("") // qmail's way: an empty line before the dot
	m.Reply(".")
	return nil
}

// copy sends the lines of a message with CR LF, dots doubled.
func (m *Mailbox) copy(file io.Reader, lines uint64, limited bool) error {
	in := bufio.NewReaderSize(file, 16<<10)
	inHeader, atStart := true, true
	for {
		piece, err := in.ReadSlice('\n')
		if err != nil && err != io.EOF && err != bufio.ErrBufferFull {
			return err
		}
		if err == io.EOF && len(piece) == 0 && atStart {
			return nil
		}
		whole := err == nil
		if whole {
			piece = piece[:len(piece)-1]
		}
		if atStart {
			if limited && !inHeader {
				if lines == 0 {
					return nil
				}
				lines--
			}
			if len(piece) == 0 {
				inHeader = false
			} else if piece[0] == '.' {
				_, _ = m.Write([]byte{'.'})
			}
		}
		_, _ = m.Write(piece)
		atStart = err != bufio.ErrBufferFull
		if atStart {
			_, _ = m.Write([]byte("\r\n"))
		}
		if err == io.EOF {
			return nil
		}
	}
}

// quit deletes what is to be deleted and marks the rest as seen by somebody:
// it moves to cur.
func (m *Mailbox) quit() {
	for _, g := range m.messages {
		switch {
		case g.deleted:
			if syscall.Unlink(g.File) != nil {
				m.Reply(sorry("unable to unlink all deleted messages"))
			}
		case strings.HasPrefix(g.File, "new/"):
			_ = syscall.Rename(g.File, "cur/"+g.File[len("new/"):]+":2,")
		}
	}
	m.Reply(ok)
}
