package submit

import (
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
)

// queueProgram makes a home with a shell script as its queue program and
// returns the home. The script finds it in its working directory.
func queueProgram(t *testing.T, script string) string {
	t.Helper()
	home := t.TempDir()
	t.Setenv("REQMAIL_HOME", home)
	unset(t, "QMAILQUEUE")
	if err := os.Mkdir(home+"/bin", 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, home+"/bin/qmail-queue", script)
	return home
}

// unset takes a variable out of the environment for the time of the test.
func unset(t *testing.T, name string) {
	t.Helper()
	t.Setenv(name, "")
	if err := os.Unsetenv(name); err != nil {
		t.Fatal(err)
	}
}

// write makes an executable script. The shell moves it into place, so that no
// child that another test forks can hold it open for writing ("text busy").
func write(t *testing.T, path, script string) {
	t.Helper()
	if err := os.WriteFile(path+".new", []byte("#!/bin/sh\n"+script+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("/bin/sh", "-c", "cp \"$1.new\" \"$1\" && chmod 700 \"$1\"", "sh", path).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

// send submits a small message and returns what Close says.
func send(t *testing.T) string {
	t.Helper()
	m, err := Open()
	if err != nil {
		t.Fatal(err)
	}
	m.WriteString("Subject: s\n\nhello\n")
	m.From("a@x")
	m.To("b@y")
	m.To("c@z")
	return m.Close()
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// keep is a queue program that keeps what it is given.
const keep = "cat >text\ncat <&1 >envelope"

func TestSubmit(t *testing.T) {
	home := queueProgram(t, keep)
	if got := send(t); got != "" {
		t.Fatal(got)
	}
	if got := read(t, home+"/text"); got != "Subject: s\n\nhello\n" {
		t.Errorf("text %q", got)
	}
	if got := read(t, home+"/envelope"); got != "Fa@x\x00Tb@y\x00Tc@z\x00\x00" {
		t.Errorf("envelope %q", got)
	}
}

// A message larger than every buffer on the way arrives byte for byte.
func TestSubmitLarge(t *testing.T) {
	home := queueProgram(t, keep)
	m, err := Open()
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Repeat("0123456789abcde\x00\r\n", 20000)
	if _, err := io.Copy(m, strings.NewReader(text)); err != nil {
		t.Fatal(err)
	}
	m.From("")
	for range 20000 {
		m.To("someone@host.example")
	}
	if got := m.Close(); got != "" {
		t.Fatal(got)
	}
	if read(t, home+"/text") != text {
		t.Error("the text has changed")
	}
	if want := "F\x00" + strings.Repeat("Tsomeone@host.example\x00", 20000) + "\x00"; read(t, home+"/envelope") != want {
		t.Error("the envelope has changed")
	}
}

func TestExit(t *testing.T) {
	const drain = "cat >/dev/null; cat <&1 >/dev/null; "
	tests := []struct{ name, script, want string }{
		{"permanent", drain + "exit 31", "Dmail server permanently rejected message (#5.3.0)"},
		{"temporary", drain + "exit 53", "Zqq write error or disk full (#4.3.0)"},
		{"reads nothing", "exit 61", "Zqq trouble in home directory (#4.3.0)"},
		{"custom text", drain + "printf 'Dspam (#5.7.1)' >&6; exit 82", "Dspam (#5.7.1)"},
		{"custom text as older filters send it", drain + "printf 'Zlater (#4.3.0)' >&4; exit 82", "Zlater (#4.3.0)"},
		{"custom text before reading", "printf 'Dno (#5.7.1)' >&6; exec 6>&- 4>&-; " + drain + "exit 82", "Dno (#5.7.1)"},
		{"custom text ends at NUL", drain + "printf 'Dno\\000more' >&6; exit 82", "Dno"},
		{"custom text needs its code", drain + "printf 'Dspam' >&6; exit 31", "Dmail server permanently rejected message (#5.3.0)"},
		{"custom code needs a text", drain + "exit 82", "Zqq temporary problem (#4.3.0)"},
		{"killed", drain + "kill -9 $$", "Zqq crashed (#4.3.0)"},
	}
	for _, test := range tests {
		queueProgram(t, test.script)
		if got := send(t); got != test.want {
			t.Errorf("%s: %q", test.name, got)
		}
	}
}

// A program that says it has queued a message that it cannot have read is not
// believed.
func TestLargeMessageUnread(t *testing.T) {
	queueProgram(t, "exit 0")
	m, err := Open()
	if err != nil {
		t.Fatal(err)
	}
	for range 100 {
		m.WriteString(strings.Repeat("x", 10000))
	}
	m.From("a")
	m.To("b")
	if got := m.Close(); got == "" {
		t.Error("accepted")
	}
}

// TestSIGPIPE: the queue program ignores it, whatever starts afterwards does
// not.
func TestSIGPIPE(t *testing.T) {
	queueProgram(t, "cat >/dev/null; kill -PIPE $$; exit 0")
	if got := send(t); got != "" {
		t.Errorf("queue program that gets SIGPIPE: %q", got)
	}
	if out, _ := exec.Command("/bin/sh", "-c", "kill -PIPE $$; echo survived").Output(); len(out) > 0 {
		t.Errorf("another program: %s", out)
	}
}

// After Fail the queue program must not see a complete envelope.
func TestFail(t *testing.T) {
	home := queueProgram(t, keep+"\nexit 54")
	m, err := Open()
	if err != nil {
		t.Fatal(err)
	}
	m.WriteString("half a mess")
	m.Fail()
	m.From("a")
	m.To("b")
	if got := m.Close(); got != "Zqq read error (#4.3.0)" {
		t.Error(got)
	}
	if got := read(t, home+"/envelope"); strings.HasSuffix(got, "\x00\x00") {
		t.Errorf("envelope %q", got)
	}
}

func TestQMAILQUEUE(t *testing.T) {
	home := queueProgram(t, "exit 81")
	write(t, home+"/filter", "cat >/dev/null; cat <&1 >/dev/null; exit 71")
	t.Setenv("QMAILQUEUE", home+"/filter")
	if got := send(t); got != "Zmail server temporarily rejected message (#4.3.0)" {
		t.Errorf("absolute: %q", got)
	}
	t.Setenv("QMAILQUEUE", "filter") // relative to the home, not found by PATH
	if got := send(t); got != "Zmail server temporarily rejected message (#4.3.0)" {
		t.Errorf("relative: %q", got)
	}
	t.Setenv("QMAILQUEUE", home+"/none")
	if got := send(t); got != "Zunable to exec qq (#4.3.0)" {
		t.Errorf("missing: %q", got)
	}
	t.Setenv("REQMAIL_HOME", home+"/none")
	if got := send(t); got != "Zqq trouble in home directory (#4.3.0)" {
		t.Errorf("no home: %q", got)
	}
}

// A program may have the environment of its own that a server has made for a
// client.
func TestOpenWithEnvironment(t *testing.T) {
	home := queueProgram(t, "exit 91")
	write(t, home+"/other", keep+"\nenv >environment; echo $$ >pid")
	t.Setenv("QMAILQUEUE", "bin/qmail-queue") // the process's own does not count
	t.Setenv("OURS", "x")
	m, err := (*Pool)(nil).Open([]string{"RELAYCLIENT=", "QMAILQUEUE=./other", "PATH=" + os.Getenv("PATH")})
	if err != nil {
		t.Fatal(err)
	}
	m.From("")
	m.To("b@y")
	if got := m.Close(); got != "" {
		t.Fatal(got)
	}
	if got := read(t, home+"/envelope"); got != "F\x00Tb@y\x00\x00" {
		t.Errorf("envelope %q", got)
	}
	environment := "\n" + read(t, home+"/environment")
	if !strings.Contains(environment, "\nRELAYCLIENT=\n") || strings.Contains(environment, "\nOURS=") {
		t.Errorf("environment %q", environment)
	}
	if got := strings.TrimSpace(read(t, home+"/pid")); got != strconv.Itoa(m.QP()) {
		t.Errorf("qp %d, the program is %s", m.QP(), got)
	}
	if m, err = (*Pool)(nil).Open([]string{"PATH=" + os.Getenv("PATH")}); err != nil { // without one: qmail-queue
		t.Fatal(err)
	}
	m.From("")
	if got, want := m.Close(), "Zqq internal bug (#4.3.0)"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// A submission that is given up reaches its program without an envelope, at
// whatever point that is, and the program is waited for.
func TestAbandon(t *testing.T) {
	for _, text := range []string{"", "Subject: s\n", strings.Repeat("x", 100000)} {
		home := queueProgram(t, keep+"\ntouch ended")
		m, err := Open()
		if err != nil {
			t.Fatal(err)
		}
		m.WriteString(text)
		m.Abandon()
		if _, err := os.Stat(home + "/ended"); err != nil {
			t.Fatalf("%d bytes: the program has not ended: %v", len(text), err)
		}
		if got := read(t, home+"/envelope"); got != "" {
			t.Errorf("%d bytes: envelope %q", len(text), got)
		}
	}
	t.Setenv("QMAILQUEUE", "/none")
	m, err := Open()
	if err != nil {
		t.Fatal(err)
	}
	m.Abandon() // there is nobody to wait for
}
