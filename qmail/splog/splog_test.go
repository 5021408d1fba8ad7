package splog

import (
	"strings"
	"testing"
	"time"
)

// recorder keeps entries as "SEVERITY TEXT".
type recorder struct{ got []string }

func (r *recorder) Put(e Entry) {
	r.got = append(r.got, string('0'+byte(e.Severity))+" "+string(e.Text))
}

// fixed is the moment at which everything is logged.
func fixed() time.Time { return time.Unix(1795366888, 944425999) }

const stamp = "1795366888.944425"

func TestFolder(t *testing.T) {
	x := func(n int) string { return strings.Repeat("x", n) }
	tests := []struct {
		name, in string
		want     []string
	}{
		{"line", "new msg 5\n", []string{"6 " + stamp + " new msg 5"}},
		{"empty lines", "\n\na\n\n", []string{"6 " + stamp + " a"}},
		{"without newline", "a\nb", []string{"6 " + stamp + " a"}},
		{"warning", "warning: x\n", []string{"4 " + stamp + " warning: x"}},
		{"alert", "alert:\n", []string{"1 " + stamp + " alert:"}},
		{"prefix must fit", " alert:\nwarning\nAlert: \n", []string{
			"6 " + stamp + "  alert:", "6 " + stamp + " warning", "6 " + stamp + " Alert: "}},
		{"unprintable", "a\tb\x00\xe4\r~\x7f\n", []string{"6 " + stamp + " a?b???~?"}},
		{"just fits", x(799) + "\n", []string{"6 " + stamp + " " + x(799)}},
		{"one too long", x(800) + "\n", []string{"6 " + stamp + " " + x(799), "6 " + stamp + "+x"}},
		{"fold on the edge leaves no empty piece", x(1598) + "\ny\n", []string{
			"6 " + stamp + " " + x(799), "6 " + stamp + "+" + x(799), "6 " + stamp + " y"}},
		{"pieces inherit severity", "alert: " + x(800) + "\nplain\n", []string{
			"1 " + stamp + " alert: " + x(792), "1 " + stamp + "+" + x(8), "6 " + stamp + " plain"}},
		{"severity is the line's, not the piece's", x(799) + "alert: \n", []string{
			"6 " + stamp + " " + x(799), "6 " + stamp + "+alert: "}},
		{"only whole pieces of an unended line", x(1600), []string{
			"6 " + stamp + " " + x(799), "6 " + stamp + "+" + x(799)}},
	}
	for _, test := range tests {
		for _, size := range []int{len(test.in), 1, 7} { // however it is read
			var r recorder
			f := NewFolder(&r, fixed)
			for rest := test.in; rest != ""; {
				n := min(size, len(rest))
				_, _ = f.Write([]byte(rest[:n]))
				rest = rest[n:]
			}
			if strings.Join(r.got, "\n") != strings.Join(test.want, "\n") {
				t.Errorf("%s, %d bytes at a time: got %q", test.name, size, r.got)
			}
		}
	}
}

func TestStampKeepsLeadingZeros(t *testing.T) {
	if got := string(appendStamp(nil, time.Unix(5, 42_000))); got != "5.000042" {
		t.Error(got)
	}
}

func TestParse(t *testing.T) {
	tests := []struct {
		args string
		want Config
	}{
		{"splogger", Config{"", "splogger", 16}},
		{"splogger qmail", Config{"", "qmail", 16}},
		{"splogger qmail 16", Config{"", "qmail", 128}},
		{"splogger qmail 2x", Config{"", "qmail", 16}},
		{"splogger qmail x", Config{"", "qmail", 0}},
		{"splogger qmail 127", Config{"", "qmail", 1016}},
		{"splogger qmail 128", Config{"", "qmail", 8}},                   // openlog(3) refuses it
		{"splogger qmail 18446744073709551618", Config{"", "qmail", 16}}, // as C's arithmetic has it
		{"splogger -f", Config{"", "-f", 16}},
		{"splogger -f 2", Config{"", "-f", 16}}, // a tag and a facility, as ever
		{"splogger -f /var/log/maillog", Config{"/var/log/maillog", "splogger", 16}},
		{"splogger -f /var/log/maillog qmail", Config{"/var/log/maillog", "qmail", 16}},
	}
	for _, test := range tests {
		if got := Parse(strings.Split(test.args, " ")); got != test.want {
			t.Errorf("%s: %+v", test.args, got)
		}
	}
}

// FuzzFolder: whatever is read, entries are printable, short and stamped, and
// nothing of a finished line is missing.
func FuzzFolder(f *testing.F) {
	f.Add([]byte("a\nwarning: b\n\n\xff\x00\n"))
	f.Add([]byte(strings.Repeat("alert:", 300) + "\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		var r recorder
		_, _ = NewFolder(&r, fixed).Write(in)
		logged := 0
		for _, e := range r.got {
			text, ok := strings.CutPrefix(e[2:], stamp)
			if !ok || len(text) < 2 || len(text) > 1+maxText || text[0] != ' ' && text[0] != '+' {
				t.Fatalf("entry %q", e)
			}
			if strings.IndexFunc(text, func(c rune) bool { return c < ' ' || c > '~' }) >= 0 {
				t.Fatalf("unprintable: %q", e)
			}
			logged += len(text) - 1
		}
		finished := strings.LastIndexByte(string(in), '\n') + 1
		if lines := strings.ReplaceAll(string(in[:finished]), "\n", ""); logged < len(lines) {
			t.Fatalf("%d of %d bytes logged", logged, len(lines))
		}
	})
}
