package intake

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/reqmail/reqmail/control"
	"github.com/reqmail/reqmail/qmail/newmrh"
)

// lookup looks variables up as os.LookupEnv does.
func lookup(env map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		value, ok := env[name]
		return value, ok
	}
}

func TestPeerFrom(t *testing.T) {
	for _, test := range []struct {
		name string
		env  map[string]string
		want Peer
	}{
		{"nothing known", nil, Peer{RemoteIP: "unknown", RemoteHost: "unknown", Local: "unknown"}},
		{"all known", map[string]string{"TCPREMOTEIP": "192.0.2.1", "TCPREMOTEHOST": "client.example", "TCPREMOTEINFO": "joe",
			"TCPLOCALHOST": "mx.example", "TCPLOCALIP": "192.0.2.9", "RELAYCLIENT": "@gate"},
			Peer{"192.0.2.1", "client.example", "joe", true, "mx.example", "@gate", true}},
		{"no name of ours", map[string]string{"TCPLOCALIP": "192.0.2.9"},
			Peer{RemoteIP: "unknown", RemoteHost: "unknown", Local: "192.0.2.9"}},
		{"set is not the same as filled", map[string]string{"TCPREMOTEHOST": "", "TCPREMOTEINFO": "", "RELAYCLIENT": ""},
			Peer{RemoteIP: "unknown", HasInfo: true, Local: "unknown", MayRelay: true}},
	} {
		if got := PeerFrom(lookup(test.env)); got != test.want {
			t.Errorf("%s: got %+v, want %+v", test.name, got, test.want)
		}
	}
}

func TestReceived(t *testing.T) {
	now := time.Date(2026, 3, 7, 4, 5, 6, 0, time.FixedZone("CET", 3600))
	peer := Peer{RemoteIP: "192.0.2.1", RemoteHost: "client.example", Local: "mx.example"}
	informed := peer
	informed.RemoteInfo, informed.HasInfo = "joe", true
	uninformed := peer
	uninformed.HasInfo = true
	six := Peer{RemoteIP: "2001:db8::1", RemoteHost: "[2001:db8::1]", Local: "mx.example"}
	odd := Peer{RemoteIP: "1 2\n3", RemoteHost: "a(b)", RemoteInfo: "<joe>\x80", HasInfo: true, Local: "mx\r\nX-Spam: no"}
	for _, test := range []struct {
		name     string
		peer     Peer
		protocol string
		helo     *string
		want     string
	}{
		{"a client known by its name", peer, "SMTP", nil, "Received: from client.example (192.0.2.1)\n  by mx.example with SMTP; "},
		{"another name", peer, "SMTP", new("pc"), "Received: from client.example (HELO pc) (192.0.2.1)\n  by mx.example with SMTP; "},
		{"a name that is empty", peer, "SMTP", new(""), "Received: from client.example (HELO ) (192.0.2.1)\n  by mx.example with SMTP; "},
		{"a user", informed, "QMTP", nil, "Received: from client.example (joe@192.0.2.1)\n  by mx.example with QMTP; "},
		{"an empty user", uninformed, "QMQP", nil, "Received: from client.example (@192.0.2.1)\n  by mx.example with QMQP; "},
		{"IPv6", six, "SMTP", new("[IPv6:2001:db8::1]"), "Received: from [2001:db8::1] (HELO [IPv6:2001:db8::1]) (2001:db8::1)\n  by mx.example with SMTP; "},
		{"what is safe", peer, "SMTP", new("aZ09.@%+/=:-[]"), "Received: from client.example (HELO aZ09.@%+/=:-[]) (192.0.2.1)\n  by mx.example with SMTP; "},
		{"what is not", odd, "SMTP", new("x_y\n\tz\x00\u00e4"), "Received: from a?b? (HELO x?y??z???) (?joe??@1?2?3)\n  by mx??X-Spam:?no with SMTP; "},
	} {
		want := test.want + "7 Mar 2026 03:05:06 -0000\n"
		if got := test.peer.Received(test.protocol, test.helo, now); got != want {
			t.Errorf("%s: got %q, want %q", test.name, got, want)
		}
	}
}

// FuzzReceived: no client can add a line to the header.
func FuzzReceived(f *testing.F) {
	f.Add("client.example", "pc", "joe")
	f.Add("a\nb", "\r\n\r\nbody", "(\x00")
	f.Fuzz(func(t *testing.T, host, helo, info string) {
		peer := Peer{RemoteIP: host, RemoteHost: host, RemoteInfo: info, HasInfo: true, Local: host}
		field := peer.Received("SMTP", &helo, time.Unix(0, 0))
		if strings.Count(field, "\n") != 2 || strings.Count(field, "\n  by ") != 1 || strings.ContainsAny(field, "\r\x00") {
			t.Errorf("got %q", field)
		}
	})
}

// open makes a home with control files and opens them. morercpthosts is
// compiled, morercpthosts.cdb is taken as it is.
func open(t *testing.T, files map[string]string) (home string, d *control.Dir) {
	t.Helper()
	t.Chdir(t.TempDir())
	if err := os.Mkdir("control", 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		if err := os.WriteFile("control/"+name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, ok := files["morercpthosts"]; ok {
		if err := newmrh.Compile(); err != nil {
			t.Fatal(err)
		}
	}
	home, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	if d, err = control.Open(home + "/control"); err != nil {
		t.Fatal(err)
	}
	return home, d
}

func TestDataBytes(t *testing.T) {
	for _, test := range []struct {
		name          string
		control, env  map[string]string
		want          uint32
		limit, ifNone uint32 // what LimitFrom makes of it
	}{
		{"neither", nil, nil, 0, 7, 7},
		{"the file", map[string]string{"databytes": "1000\n"}, nil, 1000, 7, 7},
		{"the environment wins", map[string]string{"databytes": "1000\n"}, map[string]string{"DATABYTES": "20"}, 20, 20, 7},
		{"also with no limit", map[string]string{"databytes": "1000\n"}, map[string]string{"DATABYTES": "0"}, 0, 0, 7},
		{"only leading digits count", map[string]string{"databytes": "1000 bytes\n"}, map[string]string{"DATABYTES": "20k"}, 20, 20, 7},
		{"no digits", map[string]string{"databytes": "many\n"}, nil, 0, 7, 7},
	} {
		_, d := open(t, test.control)
		if got, err := DataBytes(d, lookup(test.env)); err != nil || got != test.want {
			t.Errorf("%s: got %d, %v, want %d", test.name, got, err, test.want)
		}
		if got := LimitFrom(lookup(test.env), test.ifNone); got != test.limit {
			t.Errorf("%s: LimitFrom: got %d, want %d", test.name, got, test.limit)
		}
	}
	home, d := open(t, nil)
	if err := os.Mkdir(home+"/control/databytes", 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := DataBytes(d, lookup(nil)); err == nil {
		t.Error("an unreadable file is no error")
	}
}

func TestRcptHosts(t *testing.T) {
	const hosts = "Example.org\n.sub.example.net\n#comment.example\nmx.example.com\n[192.0.2.1]\n"
	const more = "more.example\n.deep.example\n"
	for _, test := range []struct {
		name    string
		files   map[string]string
		allowed []string
		refused []string
	}{
		{"no list", nil, []string{"joe@anywhere", "joe", ""}, nil},
		{"no list, though there are more", map[string]string{"morercpthosts": more}, []string{"joe@anywhere"}, nil},
		{"an empty list", map[string]string{"rcpthosts": ""}, []string{"joe", "postmaster"}, []string{"joe@anywhere", "joe@"}},
		{"a list", map[string]string{"rcpthosts": hosts},
			[]string{"joe@example.org", "joe@EXAMPLE.ORG", "a@b@example.org", "joe@a.sub.example.net", "joe@a.b.SUB.example.net",
				"joe@.sub.example.net", "joe@[192.0.2.1]", "joe"},
			[]string{"joe@www.example.org", // the domain itself, not what is below it
				"joe@sub.example.net", // what is below it, not the domain itself
				"joe@xsub.example.net", "joe@example.org@evil", "joe@example.org.", "joe@example", "joe@", "joe@more.example",
				"joe@#comment.example"}},
		{"more of them", map[string]string{"rcpthosts": hosts, "morercpthosts": more},
			[]string{"joe@example.org", "joe@more.example", "joe@More.Example", "joe@x.deep.example"},
			[]string{"joe@x.more.example", "joe@deep.example", "joe@anywhere", "joe@"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			home, d := open(t, test.files)
			r, err := OpenRcptHosts(d, home)
			if err != nil {
				t.Fatal(err)
			}
			for want, addresses := range map[bool][]string{true: test.allowed, false: test.refused} {
				for _, addr := range addresses {
					if got, err := r.Allows(addr); err != nil || got != want {
						t.Errorf("%q: got %v, %v, want %v", addr, got, err, want)
					}
				}
			}
		})
	}
}

// A list that cannot be read must not open the relay, nor refuse for good.
func TestRcptHostsUnreadable(t *testing.T) {
	home, d := open(t, nil)
	if err := os.Mkdir(home+"/control/rcpthosts", 0o700); err != nil {
		t.Fatal(err)
	}
	var e *control.Error
	if r, err := OpenRcptHosts(d, home); !errors.As(err, &e) || e.Path != home+"/control/rcpthosts" {
		t.Errorf("rcpthosts: got %+v, %v, want an error with the file's name", r, err)
	}
	home, d = open(t, map[string]string{"rcpthosts": "example.org\n"})
	if err := os.Symlink("morercpthosts.cdb", home+"/control/morercpthosts.cdb"); err != nil { // a loop
		t.Fatal(err)
	}
	if r, err := OpenRcptHosts(d, home); err == nil {
		t.Errorf("morercpthosts.cdb: opened %+v", r)
	}
}

func TestRcptHostsDamaged(t *testing.T) {
	for _, damaged := range []string{"", "short", strings.Repeat("\xff", 2048)} {
		home, d := open(t, map[string]string{"rcpthosts": "example.org\n", "morercpthosts.cdb": damaged})
		r, err := OpenRcptHosts(d, home)
		if err != nil {
			t.Fatal(err)
		}
		if ok, err := r.Allows("joe@example.org"); !ok || err != nil {
			t.Errorf("%.10q: a domain of rcpthosts: got %v, %v, want it allowed", damaged, ok, err)
		}
		if ok, err := r.Allows("joe@more.example"); ok || err == nil {
			t.Errorf("%.10q: another one: got %v, %v, want an error", damaged, ok, err)
		}
	}
}
