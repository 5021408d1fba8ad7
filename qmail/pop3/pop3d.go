package pop3

import (
	"bufio"
	"io"
	"os"
	"sort"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/reqmail/reqmail/compat/address"
	"github.com/reqmail/reqmail/compat/fdio"
	"github.com/reqmail/reqmail/qmail/dialogue"
)

// stale is the age in seconds, by access time, from which on files in a
// Maildir's tmp are removed (maildir(5)).
const stale = 129600

// message is a message in the Maildir.
type message struct {
	file    string // "new/…" or "cur/…"
	size    int64  // bytes of the file
	mtime   int64
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
	cleanTmp(now.Unix())
	if m.scan("new", now.Unix()) != nil || m.scan("cur", now.Unix()) != nil {
		m.Reply(sorry("unable to scan $HOME/Maildir"))
		_ = m.Flush()
		return nil
	}
	sort.SliceStable(m.messages, func(i, j int) bool { return m.messages[i].mtime < m.messages[j].mtime })
	return m
}

// cleanTmp removes what deliveries that died have left.
func cleanTmp(now int64) {
	entries, _ := os.ReadDir("tmp") // what cannot be read is not cleaned
	for _, e := range entries {
		var st syscall.Stat_t
		path := "tmp/" + e.Name()
		if e.Name()[0] != '.' && syscall.Stat(path, &st) == nil && now > int64(st.Atim.Sec)+stale {
			_ = syscall.Unlink(path)
		}
	}
}

// scan takes in a directory. What has come in this very second waits for the
// next time, so that messages keep their order.
func (m *Mailbox) scan(dir string, now int64) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Name()[0] == '.' {
			continue
		}
		var st syscall.Stat_t
		path := dir + "/" + e.Name()
		if syscall.Stat(path, &st) == nil && int64(st.Mtim.Sec) < now {
			m.messages = append(m.messages, message{file: path, size: st.Size, mtime: int64(st.Mtim.Sec)})
		}
	}
	return nil
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
		m.command(address.Lower(name), arg)
	}
}

func (m *Mailbox) command(name, arg string) {
	switch name {
	case "stat":
		m.stat()
	case "list":
		m.list(arg, func(g *message) string { return strconv.FormatInt(g.size, 10) })
	case "uidl":
		m.list(arg, uid)
	case "dele":
		if g, n := m.chosen(arg); g != nil {
			g.deleted = true
			m.last = max(m.last, n)
			m.Reply(ok)
		}
	case "retr", "top":
		m.send(arg)
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
}

func (m *Mailbox) stat() {
	var total int64
	for _, g := range m.messages {
		if !g.deleted {
			total += g.size
		}
	}
	m.Reply(ok + strconv.Itoa(len(m.messages)) + " " + strconv.FormatInt(total, 10))
}

// uid is a message's name: that of its file up to its flags.
func uid(g *message) string {
	name, _, _ := strings.Cut(g.file[len("new/"):], ":")
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
// body.
func (m *Mailbox) send(arg string) {
	g, _ := m.chosen(arg)
	if g == nil {
		return
	}
	_, rest, _ := number(arg)
	lines, _, limited := number(strings.TrimLeft(rest, " "))
	f, err := fdio.Open(g.file, syscall.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		m.Reply(sorry("unable to open that message"))
		return
	}
	defer f.Close()
	m.Reply(ok)
	m.copy(f, lines, limited)
	m.Reply("") // qmail's way: an empty line before the dot
	m.Reply(".")
}

// copy sends the lines of a message with CR LF, dots doubled.
func (m *Mailbox) copy(file io.Reader, lines uint64, limited bool) {
	in := bufio.NewReaderSize(file, 16<<10)
	inHeader, atStart := true, true
	for {
		piece, err := in.ReadSlice('\n')
		if err == io.EOF && len(piece) == 0 && atStart {
			return
		}
		whole := err == nil
		if whole {
			piece = piece[:len(piece)-1]
		}
		if atStart {
			if limited && !inHeader {
				if lines == 0 {
					return
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
		if err != nil && err != bufio.ErrBufferFull {
			return
		}
	}
}

// quit deletes what is to be deleted and marks the rest as seen by somebody:
// it moves to cur.
func (m *Mailbox) quit() {
	for _, g := range m.messages {
		switch {
		case g.deleted:
			if syscall.Unlink(g.file) != nil {
				m.Reply(sorry("unable to unlink all deleted messages"))
			}
		case strings.HasPrefix(g.file, "new/"):
			_ = syscall.Rename(g.file, "cur/"+g.file[len("new/"):]+":2,")
		}
	}
	m.Reply(ok)
}
