package rspawn

import (
	"testing"

	"github.com/reqmail/reqmail/qmail/spawn"
)

func TestReport(t *testing.T) {
	for _, test := range []struct {
		end    spawn.End
		output string
		status byte
		text   string
	}{
		{spawn.End{Crashed: true}, "r\x00Kx\x00", 'Z', "qmail-remote crashed.\n"},
		{spawn.End{Code: 111}, "", 'Z', "Unable to run qmail-remote.\n"},
		{spawn.End{Code: 1}, "", 'D', "Unable to run qmail-remote.\n"},
		{spawn.End{}, "", 'Z', "qmail-remote produced no output.\n"},
		{spawn.End{}, "r\x00Kgot it\n\x00", 'K', "got it\n"},
		{spawn.End{}, "Zno host\n\x00", 'Z', "no host\n"},
		{spawn.End{}, "Dno host\n\x00", 'D', "no host\n"},
		{spawn.End{}, "hno such user\n\x00Dgiving up\n\x00", 'D', "no such user\ngiving up\n"},
		{spawn.End{}, "hno such user\n\x00Kgot it\n\x00", 'D', "no such user\n"}, // the message went to others
		{spawn.End{}, "slater\n\x00Kgot it\n\x00", 'Z', "later\n"},
		{spawn.End{}, "slater\n\x00Dgiving up\n\x00", 'Z', "later\ngiving up\n"},
		{spawn.End{}, "r\x00Zdied\n\x00", 'Z', "died\n"},
		{spawn.End{}, "r\x00rest", 'D', ""},
		{spawn.End{}, "no NUL", 'D', ""},
		{spawn.End{}, "garbage\x00more\x00", 'D', "arbage"},
		{spawn.End{}, "\x00Kx\x00", 'K', "Kx"}, // the letter's place is no end
	} {
		status, text := (&Remote{}).Report(test.end, []byte(test.output))
		if status != test.status || string(text) != test.text {
			t.Errorf("%+v %q: got %c %q, want %c %q", test.end, test.output, status, text, test.status, test.text)
		}
	}
}

func FuzzReport(f *testing.F) {
	for _, seed := range []string{"r\x00K\x00", "h", "\x00", "s\x00\x00Z", "Kx"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, output []byte) {
		status, text := (&Remote{}).Report(spawn.End{}, output)
		if status != 'K' && status != 'Z' && status != 'D' {
			t.Errorf("%q: status %q", output, status)
		}
		for _, c := range text {
			if c == 0 {
				t.Errorf("%q: a NUL in the report %q", output, text)
			}
		}
	})
}
