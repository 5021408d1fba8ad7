package lspawn

import (
	"os"
	"slices"
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
		{spawn.End{}, "did 1+0+0\n", 'K', "did 1+0+0\n"},
		{spawn.End{}, "a\x00b", 'K', "a"},
		{spawn.End{Code: 100}, "no\n", 'D', "no\n"},
		{spawn.End{Code: 1}, "no\n", 'D', "no\n"}, // whatever qmail does not know is permanent
		{spawn.End{Code: 111}, "later\n", 'Z', "later\n"},
		{spawn.End{Code: 71}, "x", 'Z', "x"}, {spawn.End{Code: 74}, "x", 'Z', "x"}, {spawn.End{Code: 75}, "x", 'Z', "x"},
		{spawn.End{Crashed: true}, "panic", 'Z', "qmail-local crashed.\n"},
		{spawn.End{Code: 112}, "", 'Z', "Internal qmail-lspawn bug.\n"},
		{spawn.End{Code: 113}, "", 'Z', "Not allowed to perform deliveries as root.\n"},
		{spawn.End{Code: 115}, "", 'Z', "NFS failure in qmail-local.\n"},
		{spawn.End{Code: 116}, "", 'Z', "Unable to find alias user!\n"},
		{spawn.End{Code: 117}, "", 'Z', "Trouble reading users/cdb in qmail-lspawn.\n"},
		{spawn.End{Code: 118}, "", 'Z', "Temporary failure in qmail-lspawn.\n"},
		{spawn.End{Code: 119}, "", 'Z', "Out of memory in qmail-lspawn.\n"},
		{spawn.End{Code: 120}, "", 'Z', "Unable to run qmail-local.\n"},
		{spawn.End{Code: 121}, "", 'Z', "Unable to run qmail-getpw.\n"},
		{spawn.End{Code: 126}, "", 'D', "Unable to run qmail-local.\n"},
	} {
		status, text := (&Local{}).Report(test.end, []byte(test.output))
		if status != test.status || string(text) != test.text {
			t.Errorf("%+v: got %c %q, want %c %q", test.end, status, text, test.status, test.text)
		}
	}
}

func TestAccounts(t *testing.T) {
	for _, test := range []struct {
		data string
		want account
		ok   bool
	}{
		{"joe\x001001\x001002\x00/home/joe\x00-\x00ext\x00", account{"joe", 1001, 1002, "/home/joe", "-", "ext"}, true},
		{"joe\x0010x\x00\x00/h\x00\x00\x00more\x00", account{"joe", 10, 0, "/h", "", ""}, true},
		{"joe\x001001\x001002\x00/home/joe\x00-", account{}, false},
		{"", account{}, false},
	} {
		got, ok := parseAccount([]byte(test.data))
		if got != test.want || ok != test.ok {
			t.Errorf("%q: got %+v, %v, want %+v, %v", test.data, got, ok, test.want, test.ok)
		}
	}
}

func TestNobodyGetsRootsMail(t *testing.T) {
	l := &Local{}
	if end := l.start(spawn.Delivery{}, account{uid: 0}); end.Code != exitRoot {
		t.Errorf("uid 0: %+v, want %d", end, exitRoot)
	}
	if end := l.start(spawn.Delivery{}, account{uid: ^uint32(0)}); end.Code != exitUsage {
		t.Errorf("uid -1: %+v, want %d", end, exitUsage)
	}
	if end := l.Run(spawn.Delivery{Domain: "x"}); end != (spawn.End{}) {
		t.Errorf("empty local part: %+v, want success at once", end)
	}
}

// A user's process may say anything; what is no local phase is not passed on.
func TestTell(t *testing.T) {
	var told []string
	d := spawn.Delivery{Progress: func(phase, host string, _, _ int64) { told = append(told, phase+" "+host) }}
	for _, text := range []string{"mailbox\n./Maildir/", "program\nsleep 60\nmore", "finish", "sending\nmx", "", "\n"} {
		tell(d, []byte(text))
	}
	if want := []string{"mailbox ./Maildir/", "program sleep 60\nmore", "finish "}; !slices.Equal(told, want) {
		t.Errorf("told %q, want %q", told, want)
	}
}

func TestNewRunners(t *testing.T) {
	for text, plain := range map[string]bool{"": false, "0\n": true, "1\n": false} {
		home := t.TempDir()
		if err := os.Mkdir(home+"/control", 0o755); err != nil {
			t.Fatal(err)
		}
		if text != "" {
			if err := os.WriteFile(home+"/control/residentchildren", []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if local, getpw := NewRunners(home); local.Plain != plain || getpw.Plain != plain {
			t.Errorf("residentchildren %q: plain %v, %v", text, local.Plain, getpw.Plain)
		}
	}
}
