package pop3

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

type client struct {
	in  *strings.Reader
	out bytes.Buffer
}

func (c *client) Read(p []byte) (int, error)  { return c.in.Read(p) }
func (c *client) Write(p []byte) (int, error) { return c.out.Write(p) }

// mailbox makes a Maildir with messages, the first the oldest.
func mailbox(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	for _, sub := range []string{"tmp", "new", "cur"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for i, m := range []struct{ file, text string }{
		{"cur/1.a:2,S", "Subject: one\n\nbody\n"},
		{"new/2.b", "Subject: two\n\n.dot\n..\nlast"},
		{"new/3.c", "three"},
	} {
		path := filepath.Join(dir, m.file)
		if err := os.WriteFile(path, []byte(m.text), 0o600); err != nil {
			t.Fatal(err)
		}
		at := time.Now().Add(time.Duration(i-10) * time.Hour)
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func talk(t testing.TB, dir string, lines ...string) string {
	t.Helper()
	c := &client{in: strings.NewReader(strings.Join(lines, "\r\n") + "\r\n")}
	if s, ok := t.(*testing.T); ok {
		s.Chdir(dir)
	}
	if m := OpenMailbox(c, dir, time.Now()); m != nil {
		m.Serve()
		_ = m.Flush()
	}
	return strings.ReplaceAll(c.out.String(), "\r\n", "\n")
}

func TestTransaction(t *testing.T) {
	for _, test := range []struct{ lines, want string }{
		{"STAT", "+OK \n+OK 3 50\n"},
		{"LIST|UIDL", "+OK \n+OK \n1 19\n2 26\n3 5\n.\n+OK \n1 1.a\n2 2.b\n3 3.c\n.\n"},
		{"list 2|uidl 2", "+OK \n+OK 2 26\n+OK 2 2.b\n"},
		{"RETR 1", "+OK \n+OK \nSubject: one\n\nbody\n\n.\n"},
		{"RETR 2", "+OK \n+OK \nSubject: two\n\n..dot\n...\nlast\n\n.\n"}, // dots doubled, the last line ended
		{"TOP 2 0", "+OK \n+OK \nSubject: two\n\n\n.\n"},
		{"TOP 2 1", "+OK \n+OK \nSubject: two\n\n..dot\n\n.\n"},
		{"DELE 1|STAT|LIST|RETR 1|LAST|RSET|STAT|LAST", "+OK \n+OK \n+OK 3 31\n+OK \n2 26\n3 5\n.\n-ERR already deleted\n+OK 1\n+OK \n+OK 3 50\n+OK 0\n"},
		{"RETR|RETR 0|RETR 4|RETR x|WHAT|NOOP", "+OK \n-ERR syntax error\n-ERR messages are counted from 1\n-ERR not that many messages\n-ERR syntax error\n-ERR unimplemented\n+OK \n"},
	} {
		if got := talk(t, mailbox(t), strings.Split(test.lines, "|")...); got != test.want {
			t.Errorf("%s: got %q, want %q", test.lines, got, test.want)
		}
	}
}

func list(t *testing.T, dir string) string {
	t.Helper()
	files, _ := filepath.Glob(dir + "/???/*")
	for i := range files {
		files[i] = strings.TrimPrefix(files[i], dir+"/")
	}
	return strings.Join(files, " ")
}

func TestQuitDeletes(t *testing.T) {
	dir := mailbox(t)
	talk(t, dir, "DELE 1", "DELE 3", "QUIT")
	if got := list(t, dir); got != "cur/2.b:2," {
		t.Errorf("left: %q", got)
	}
}

func TestLostConnectionDeletesNothing(t *testing.T) {
	dir := mailbox(t)
	talk(t, dir, "DELE 1", "DELE 2")
	if got := list(t, dir); got != "cur/1.a:2,S new/2.b new/3.c" {
		t.Errorf("left: %q", got)
	}
}

func TestNoMaildir(t *testing.T) {
	if got := talk(t, t.TempDir(), "QUIT"); got != "-ERR unable to scan $HOME/Maildir\n" {
		t.Errorf("got %q", got)
	}
	c := &client{in: strings.NewReader("")}
	if m := OpenMailbox(c, "", time.Now()); m != nil || c.out.String() != "-ERR this user has no $HOME/Maildir\r\n" {
		t.Errorf("got %q", c.out.String())
	}
}

// A message that another reader of the Maildir has taken away.
func TestMessagesAreGone(t *testing.T) {
	dir := mailbox(t)
	t.Chdir(dir)
	c := &client{in: strings.NewReader("RETR 2\r\nDELE 2\r\nDELE 3\r\nQUIT\r\n")}
	m := OpenMailbox(c, dir, time.Now())
	if err := os.Remove("new/2.b"); err != nil {
		t.Fatal(err)
	}
	m.Serve()
	want := "+OK \r\n-ERR unable to open that message\r\n+OK \r\n+OK \r\n-ERR unable to unlink all deleted messages\r\n+OK \r\n"
	if got := c.out.String(); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := list(t, dir); got != "cur/1.a:2,S" {
		t.Errorf("left: %q", got)
	}
}

// TestUnreadable: what cannot be read to its end must not look like a message.
func TestUnreadable(t *testing.T) {
	dir := mailbox(t)
	if err := os.Mkdir(filepath.Join(dir, "new/0.d"), 0o700); err != nil {
		t.Fatal(err)
	}
	old := time.Now().Add(-100 * time.Hour)
	if err := os.Chtimes(filepath.Join(dir, "new/0.d"), old, old); err != nil {
		t.Fatal(err)
	}
	if got := talk(t, dir, "RETR 1", "DELE 2", "QUIT"); got != "+OK \n+OK \n" {
		t.Errorf("got %q", got)
	}
	if got := list(t, dir); got != "cur/1.a:2,S new/0.d new/2.b new/3.c" {
		t.Errorf("left: %q", got)
	}
}

// FuzzMailbox: no command may crash the server or touch the mailbox without
// QUIT.
func FuzzMailbox(f *testing.F) {
	for _, seed := range []string{"STAT", "TOP 1 1", "RETR 99999999999999999999", "DELE -1", "LIST \x00", "UIDL 2 2 2"} {
		f.Add(seed)
	}
	dir := mailbox(f)
	f.Fuzz(func(t *testing.T, line string) {
		if strings.Contains(strings.ToLower(line), "quit") {
			return
		}
		talk(t, dir, line)
		if got := list(t, dir); got != "cur/1.a:2,S new/2.b new/3.c" {
			t.Fatalf("%q: left %q", line, got)
		}
	})
}
