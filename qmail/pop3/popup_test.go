package pop3

import (
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/reqmail/reqmail/compat/fdio"
)

// authorize lets a client say lines and returns what qmail-popup answers and
// what it gives the subprogram, a shell script, on descriptor 3.
func authorize(t *testing.T, script string, lines ...string) (answers, given string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "given")
	if script != "" {
		script = `cat <&3 >"$0"; ` + script
	}
	in, client, err := fdio.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	replies, out, err := fdio.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer replies.Close()
	if _, err := client.WriteString(strings.Join(lines, "\r\n") + "\r\n"); err != nil {
		t.Fatal(err)
	}
	client.Close()
	conn := &fdio.Timed{In: in, Out: out, Timeout: 10 * time.Second}
	NewPopup(conn, "pop.example", []string{"sh", "-c", script, file}).Serve()
	out.Close()
	got, err := io.ReadAll(replies)
	if err != nil {
		t.Fatal(err)
	}
	data, _ := os.ReadFile(file)
	return string(got), string(data)
}

func TestAuthorization(t *testing.T) {
	banner := regexp.MustCompile(`^\+OK (<[0-9]+\.[0-9]+@pop\.example>)\r\n`)
	for _, test := range []struct {
		name   string
		script string
		lines  string
		want   string
		given  string // TIMESTAMP stands for the banner's
	}{
		{"a password", "exit 0", "USER joe|PASS a secret ", "+OK |", "joe\x00a secret \x00TIMESTAMP\x00"},
		{"in any case of letters", "exit 0", "user joe|pAsS secret", "+OK |", "joe\x00secret\x00TIMESTAMP\x00"},
		{"the last USER counts", "exit 0", "USER ann|USER joe|PASS x", "+OK |+OK |", "joe\x00x\x00TIMESTAMP\x00"},
		{"a digest", "exit 0", "APOP joe 0123abcd", "", "joe\x000123abcd\x00TIMESTAMP\x00"},
		{"no second try", "exit 1", "USER joe|PASS wrong|PASS right", "+OK |-ERR authorization failed|", "joe\x00wrong\x00TIMESTAMP\x00"},
		{"the subprogram's trouble", "exit 111", "APOP joe x", "-ERR authorization failed|", "joe\x00x\x00TIMESTAMP\x00"},
		{"a crash", "kill -9 $$", "APOP joe x", "-ERR aack, child crashed|", "joe\x00x\x00TIMESTAMP\x00"},
		{"nobody reads the password", "", "APOP joe x", "", ""},
		{"syntax", "exit 0", "USER|USER  |PASS|APOP|APOP joe", "-ERR syntax error|-ERR syntax error|-ERR USER first|-ERR syntax error|-ERR syntax error|", ""},
		{"an empty password", "exit 0", "USER joe|PASS", "+OK |-ERR syntax error|", ""},
		{"PASS first", "exit 0", "PASS x", "-ERR USER first|", ""},
		{"other commands", "exit 0", "STAT|NOOP|DELE 1|", "-ERR authorization first|+OK |-ERR authorization first|-ERR authorization first|", ""},
		{"the end", "exit 0", "QUIT|USER joe", "+OK |", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, given := authorize(t, test.script, strings.Split(test.lines, "|")...)
			m := banner.FindStringSubmatch(got)
			if m == nil {
				t.Fatalf("greeted with %q", got)
			}
			if answers := strings.ReplaceAll(got[len(m[0]):], "\r\n", "|"); answers != test.want {
				t.Errorf("got %q, want %q", answers, test.want)
			}
			if want := strings.ReplaceAll(test.given, "TIMESTAMP", m[1]); given != want {
				t.Errorf("the subprogram got %q, want %q", given, want)
			}
		})
	}
}

func TestNoSubprogram(t *testing.T) {
	in, client, err := fdio.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	replies, out, err := fdio.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer replies.Close()
	if _, err := client.WriteString("APOP joe x\r\n"); err != nil {
		t.Fatal(err)
	}
	client.Close()
	NewPopup(&fdio.Timed{In: in, Out: out, Timeout: 10 * time.Second}, "h", []string{"/none", "x"}).Serve()
	Usage(&fdio.Timed{In: in, Out: out, Timeout: 10 * time.Second})
	out.Close()
	got, _ := io.ReadAll(replies)
	_, answers, _ := strings.Cut(string(got), "\r\n")
	if want := "-ERR authorization failed\r\n-ERR usage: popup hostname subprogram\r\n"; answers != want {
		t.Errorf("got %q, want %q", answers, want)
	}
}

// A client that says nothing is sent away.
func TestSilence(t *testing.T) {
	in, client, err := fdio.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	defer client.Close()
	replies, out, err := fdio.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer replies.Close()
	NewPopup(&fdio.Timed{In: in, Out: out, Timeout: 10 * time.Millisecond}, "h", []string{"true"}).Serve()
	out.Close()
	if got, _ := io.ReadAll(replies); !strings.HasPrefix(string(got), "+OK <") || strings.Count(string(got), "\n") != 1 {
		t.Errorf("got %q, want the greeting", got)
	}
}
