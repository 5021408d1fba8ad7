package listener

import (
	"bytes"
	"net/netip"
	"os"
	"testing"

	"github.com/reqmail/reqmail/compat/cdb"
)

func TestParseProxy(t *testing.T) {
	for line, want := range map[string]string{
		"PROXY TCP4 192.0.2.1 192.0.2.2 1234 25":     "192.0.2.1:1234 192.0.2.2:25",
		"PROXY TCP6 2001:db8::1 2001:db8::2 1234 25": "[2001:db8::1]:1234 [2001:db8::2]:25",
		"PROXY UNKNOWN":                                  "",
		"PROXY TCP4 192.0.2.1 192.0.2.2 1234":            "",
		"PROXY TCP4 192.0.2.1 192.0.2.2 99999 25":        "",
		"PROXY TCP4 2001:db8::1 2001:db8::2 1 2":         "",
		"EHLO x":                                         "",
		"PROXY TCP4 192.0.2.1 192.0.2.2 1234 25 or more": "",
	} {
		remote, local, err := parseProxy(line)
		got := ""
		if err == nil {
			got = remote.String() + " " + local.String()
		}
		if got != want {
			t.Errorf("%q: got %q, %v, want %q", line, got, err, want)
		}
	}
}

func TestRules(t *testing.T) {
	f, err := os.Create(t.TempDir() + "/cdb")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w, err := cdb.NewWriter(f)
	if err != nil {
		t.Fatal(err)
	}
	for key, data := range map[string]string{
		"192.0.2.1": "+RELAYCLIENT=\x00+DATABYTES=10\x00", "192.0.": "D", "=a.example": "+A=1\x00", "=.example": "+B=1\x00", "": "+C=1\x00",
	} {
		if err := w.Add([]byte(key), []byte(data)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		ip, host string
		deny     bool
		env      string
	}{
		{"192.0.2.1", "a.example", false, "RELAYCLIENT= DATABYTES=10"},
		{"192.0.2.2", "", true, ""},
		{"192.0.2.2", "a.example", false, "A=1"}, // a host's own rule comes before its network's
		{"10.0.0.1", "x.example", false, "B=1"},
		{"10.0.0.1", "", false, "C=1"},
	} {
		v, err := Look(f, test.ip, test.host)
		env := ""
		for i, e := range v.Env {
			if i > 0 {
				env += " "
			}
			env += e
		}
		if err != nil || v.Deny != test.deny || env != test.env {
			t.Errorf("%s %s: got %+v, %v", test.ip, test.host, v, err)
		}
	}
	if _, err := Look(bytes.NewReader([]byte("damaged")), "1.2.3.4", ""); err == nil {
		t.Error("a damaged database lets everybody in")
	}
}

func FuzzProxy(f *testing.F) {
	f.Add("PROXY TCP4 192.0.2.1 192.0.2.2 1234 25")
	f.Fuzz(func(t *testing.T, line string) {
		if remote, local, err := parseProxy(line); err == nil && (!remote.IsValid() || !local.IsValid()) {
			t.Errorf("%q: %v, %v", line, remote, local)
		}
	})
}

func FuzzRule(f *testing.F) {
	f.Add([]byte("+A=b\x00D"))
	f.Fuzz(func(t *testing.T, data []byte) { parseRule(data) })
}

func TestNetwork(t *testing.T) {
	for addr, want := range map[string]string{
		"192.0.2.1":            "192.0.2.1",
		"::ffff:192.0.2.1":     "::ffff:192.0.2.1",
		"2001:db8:1:2:3:4:5:6": "2001:db8:1:2::",
		"fe80::1%eth0":         "fe80::",
	} {
		if got := network(netip.MustParseAddr(addr)); got != netip.MustParseAddr(want) {
			t.Errorf("%s counts as %s, want %s", addr, got, want)
		}
	}
}
