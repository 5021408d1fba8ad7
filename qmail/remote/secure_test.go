package remote_test

import (
	"crypto/tls"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/reqmail/reqmail/qmail/remote"
	"github.com/reqmail/reqmail/qmail/remoteext"
	"github.com/reqmail/reqmail/tests/host"
	"github.com/reqmail/reqmail/tests/peer"
)

// deliver sends a message to the host mx.example on a port of this host, with
// control files, and returns qmail-remote's output.
func deliver(t *testing.T, port int, control map[string]string) string {
	t.Helper()
	files := map[string]string{"me": "me.example", "smtproutes": ":mx.example:" + strconv.Itoa(port) + "\n"}
	for name, text := range control {
		files[name] = text
	}
	home := remote.Home(t, files)
	config, err := remote.ReadConfig(home + "/control")
	if err != nil {
		t.Fatal(err)
	}
	d := &remote.Delivery{
		Host: "y.example", Sender: "s@x.example", Recipients: []string{"r@y.example"},
		Message: strings.NewReader("Subject: x\n\nbody\n"),
		Config:  *config, Home: home, Libraries: remoteext.Libraries(home),
		Resolver: remote.Zone{"A mx.example": {"127.0.0.1"}, "A xn--bcher-kva.example": {"127.0.0.1"}}.Serve(t),
	}
	return d.Deliver()
}

func start(t *testing.T, o peer.Options) *peer.Peer {
	t.Helper()
	p, err := peer.Start(o)
	if os.IsPermission(err) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Stop)
	return p
}

type issuer struct {
	t *testing.T
	*peer.Authority
}

func authority(t *testing.T) issuer {
	t.Helper()
	a, err := peer.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	return issuer{t, a}
}

func (i issuer) issue(common string, names ...string) tls.Certificate {
	i.t.Helper()
	c, err := i.Issue(common, names...)
	if err != nil {
		i.t.Fatal(err)
	}
	return c
}

const accepted = "r\x00K127.0.0.1 accepted message.\nRemote host said: 250 "

func TestTLS(t *testing.T) {
	a := authority(t)
	const listed = "tlshosts/mx.example.pem"
	config := func(common string, names ...string) *tls.Config {
		return &tls.Config{Certificates: []tls.Certificate{a.issue(common, names...)}}
	}
	good := config("mx.example", "mx.example")
	old := config("mx.example", "mx.example")
	old.MinVersion, old.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	demanding := config("mx.example")
	demanding.ClientAuth = tls.RequireAnyClientCert
	const unable = "ZTLS unable to verify server mx.example: "
	for _, test := range []struct {
		name    string
		offer   *tls.Config
		control map[string]string
		want    string // that the output begins with
		secure  bool
	}{
		{"no name and no authority matter", config("elsewhere"), nil, accepted, true},
		{"none is offered", nil, nil, accepted, false},
		{"too old", old, nil, accepted, false},
		{"too old, must not fall back", old, map[string]string{"tlsremote": "nofallback"}, "ZTLS connect failed: ", false},
		{"too old, but allowed", old, map[string]string{"tlsminimum": "1.0", "tlsremote": "nofallback"}, accepted, true},
		{"too old, would tell a password", old, map[string]string{"authsenders": ":mx.example:PORT|u|p"}, "ZTLS connect failed: ", false},
		{"wants a certificate that we have not", demanding, nil, accepted, false},
		{"switched off", good, map[string]string{"tlsremote": "off"}, accepted, false},
		{"not with this one", good, map[string]string{"notlshosts/mx.example": ""}, accepted, false},
		{"not with this one in capitals", good, map[string]string{"notlshosts/MX.example": ""}, accepted, true},
		{"only with others", good, map[string]string{"tlshosts/exhaustivelist": ""}, accepted, false},
		{"good", good, map[string]string{listed: string(a.PEM())}, accepted, true},
		{"good, listed", good, map[string]string{listed: string(a.PEM()), "tlshosts/exhaustivelist": "", "tlsremote": "off"}, accepted, true},
		{"good by its common name", config("mx.example"), map[string]string{listed: string(a.PEM())}, accepted, true},
		{"good by a wild name", config("x", "*.example"), map[string]string{listed: string(a.PEM())}, accepted, true},
		{"other authority", good, map[string]string{listed: string(authority(t).PEM())},
			"ZTLS unable to verify server with control/" + listed + ": ", false},
		{"other names", config("mx.example", "a.example"), map[string]string{listed: string(a.PEM())},
			unable + "certificate contains no matching dNSNnames; connected to 127.0.0.1.\n", false},
		{"other common name", config("a.example"), map[string]string{listed: string(a.PEM())},
			unable + "received certificate for a.example; connected to 127.0.0.1.\n", false},
		{"no common name", config(""), map[string]string{listed: string(a.PEM())},
			unable + "certificate contains no valid commonName; connected to 127.0.0.1.\n", false},
		{"no authority in the file", good, map[string]string{listed: "x"},
			"ZTLS unable to load control/" + listed + ": no certificate in it; connecting to 127.0.0.1.\n", false},
		{"demanded, not offered", nil, map[string]string{listed: string(a.PEM())},
			"ZNo TLS achieved while control/" + listed + " exists; connecting to 127.0.0.1.\n", false},
		{"demanded, too old", old, map[string]string{listed: string(a.PEM())}, "ZTLS connect failed: ", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := start(t, peer.Options{TLS: test.offer})
			for name, text := range test.control {
				test.control[name] = strings.ReplaceAll(text, "PORT", strconv.Itoa(p.Port))
			}
			got := deliver(t, p.Port, test.control)
			if !strings.HasPrefix(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
			for _, mail := range p.Mails() {
				if mail.TLS != test.secure || mail.Text != "Subject: x\r\n\r\nbody\r\n" {
					t.Errorf("the peer has %+v", mail)
				}
			}
		})
	}
}

func TestClientCertificate(t *testing.T) {
	a := authority(t)
	p := start(t, peer.Options{TLS: &tls.Config{
		Certificates: []tls.Certificate{a.issue("mx.example")}, ClientAuth: tls.RequireAnyClientCert,
	}})
	text, err := peer.PEM(a.issue("me.example"))
	if err != nil {
		t.Fatal(err)
	}
	if got := deliver(t, p.Port, map[string]string{"clientcert.pem": string(text)}); !strings.HasPrefix(got, accepted) {
		t.Fatalf("got %q", got)
	}
	if mail := p.Mails()[0]; mail.Certificate != "me.example" {
		t.Errorf("the peer saw a certificate of %q", mail.Certificate)
	}
}

// TestCiphers: OpenSSL's names choose among them.
func TestCiphers(t *testing.T) {
	chosen := make(chan uint16, 1)
	config := &tls.Config{Certificates: []tls.Certificate{authority(t).issue("mx.example")}, MaxVersion: tls.VersionTLS12}
	config.VerifyConnection = func(s tls.ConnectionState) error {
		chosen <- s.CipherSuite
		return nil
	}
	p := start(t, peer.Options{TLS: config})
	deliver(t, p.Port, map[string]string{"tlsclientciphers": "ECDHE-ECDSA-AES256-GCM-SHA384\n"})
	if got := <-chosen; got != tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384 {
		t.Errorf("got %s", tls.CipherSuiteName(got))
	}
}

// TestSTARTTLSTrouble: hosts that offer TLS and then do not begin it.
func TestSTARTTLSTrouble(t *testing.T) {
	clear := remote.Script{"220 hi\r\n", "<", "250 ok\r\n", "<", "250 ok\r\n", "<", "250 ok\r\n", "<", "354 go\r\n", ".", "250 got it\r\n"}
	begun := func(reply string) remote.Script {
		return remote.Script{"220 hi\r\n", "<", "250-hi\r\n250 STARTTLS\r\n", "<", reply}
	}
	const pem = "control/tlshosts/mx.example.pem"
	for _, test := range []struct {
		name, reply, demanded string
	}{
		{"rejected", "454 not now\r\n", "ZSTARTTLS rejected while " + pem + " exists; connecting to 127.0.0.1.\nRemote host said: 454 not now\n\x00"},
		{"hangs up", "", "ZTLS connect failed: connection died; connecting to 127.0.0.1.\n\x00"},
		{"hangs up in the handshake", "220 go\r\n", "ZTLS connect failed: EOF; connecting to 127.0.0.1.\n\x00"},
		// It may be somebody else's (CVE-2011-0411).
		{"answers what was not asked", "220 go\r\n250 evil\r\n", "ZTLS connect failed: host spoke out of turn; connecting to 127.0.0.1.\n\x00"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := deliver(t, serveScripts(t, begun(test.reply), clear), nil); got != "r\x00K127.0.0.1 accepted message.\nRemote host said: 250 got it\n\x00" {
				t.Errorf("without a need for TLS: %q", got)
			}
			got := deliver(t, serveScripts(t, begun(test.reply)), map[string]string{"tlshosts/mx.example.pem": string(authority(t).PEM())})
			if got != test.demanded {
				t.Errorf("got  %q\nwant %q", got, test.demanded)
			}
		})
	}
}

// serveScripts has a conversation with each client that comes, in order.
func serveScripts(t *testing.T, scripts ...remote.Script) (port int) {
	t.Helper()
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for _, s := range scripts {
			remote.Serve(listener, s)
		}
	}()
	return listener.Addr().(*net.TCPAddr).Port
}

func TestTLSFromFirstByte(t *testing.T) {
	if probe, err := net.Listen("tcp4", "127.0.0.1:465"); err != nil {
		t.Skip("cannot listen on port 465 here:", err)
	} else {
		probe.Close()
	}
	a := authority(t)
	p := start(t, peer.Options{
		Address: "127.0.0.1:465", FirstByte: true, Mechanisms: []string{"PLAIN"},
		TLS: &tls.Config{Certificates: []tls.Certificate{a.issue("mx.example")}},
	})
	for _, test := range []struct {
		control map[string]string
		want    string
	}{
		{nil, accepted},
		{map[string]string{"tlsremote": "off", "smtproutes": ":mx.example:465|" + peer.User + "|" + peer.Password}, accepted},
		{map[string]string{"tlshosts/mx.example.pem": string(a.PEM())}, accepted},
		{map[string]string{"tlshosts/mx.example.pem": string(authority(t).PEM())}, "ZTLS unable to verify server with "},
	} {
		if got := deliver(t, p.Port, test.control); !strings.HasPrefix(got, test.want) {
			t.Errorf("got %q, want %q", got, test.want)
		}
	}
	for _, mail := range p.Mails() {
		if !mail.TLS {
			t.Errorf("without TLS: %+v", mail)
		}
	}
}

// TestOpenSSL: the other side is somebody else's TLS.
func TestOpenSSL(t *testing.T) {
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("no openssl here")
	}
	free, err := net.Listen("tcp4", "127.0.0.1:465")
	if err != nil {
		t.Skip(err)
	}
	free.Close()
	a := authority(t)
	text, err := peer.PEM(a.issue("mx.example"))
	if err != nil {
		t.Fatal(err)
	}
	file := t.TempDir() + "/server.pem"
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	server := exec.Command("openssl", "s_server", "-quiet", "-accept", "127.0.0.1:465", "-cert", file, "-naccept", "1", "-tls1_2")
	in, err := server.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Process.Kill(); _ = server.Wait() })
	if err := host.Until("openssl to listen", func() bool { return listening("127.0.0.1:465") }); err != nil {
		t.Fatal(err)
	}
	// s_server reads this when a client is there; that does not look at when
	// answers come.
	if _, err := io.WriteString(in, "220 hi\n250 ok\n250 ok\n250 ok\n354 go\n250 got it\n"); err != nil {
		t.Fatal(err)
	}
	got := deliver(t, 465, map[string]string{"tlshosts/mx.example.pem": string(a.PEM())})
	if want := accepted + "got it\n\x00"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// listening reports whether somebody listens, without connecting: a server
// for one client would be spent.
func listening(address string) bool {
	l, err := net.Listen("tcp4", address)
	if err == nil {
		l.Close()
	}
	return err != nil
}

func TestAUTH(t *testing.T) {
	const login = "|" + peer.User + "|"
	for _, test := range []struct {
		name       string
		mechanisms []string
		login      string
		want       string // that the output begins with
		used       string
	}{
		{"best first", []string{"LOGIN", "PLAIN", "CRAM-MD5"}, login + peer.Password, accepted, "CRAM-MD5"},
		{"second best", []string{"LOGIN", "PLAIN"}, login + peer.Password, accepted, "PLAIN"},
		{"worst", []string{"LOGIN"}, login + peer.Password, accepted, "LOGIN"},
		{"none that we know", []string{"GSSAPI"}, login + peer.Password, "ZConnected to 127.0.0.1 but no supported AUTH method available.\n", ""},
		{"none at all", nil, login + peer.Password, "ZConnected to 127.0.0.1 but no supported AUTH method available.\n", ""},
		{"CRAM-MD5 refused", []string{"CRAM-MD5"}, login + "x",
			"ZConnected to 127.0.0.1 but authentication was rejected (username+digest)..\nRemote host said: 535 ", ""},
		{"PLAIN refused", []string{"PLAIN"}, login + "x", "ZConnected to 127.0.0.1 but authentication was rejected (plain)..\nRemote host said: 535 ", ""},
		{"LOGIN refused", []string{"LOGIN"}, login + "x", "ZConnected to 127.0.0.1 but authentication was rejected (password)..\nRemote host said: 535 ", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := start(t, peer.Options{Mechanisms: test.mechanisms})
			to := "mx.example:" + strconv.Itoa(p.Port) + test.login + "\n"
			for file, key := range map[string]string{"smtproutes": "", "authsenders": "@x.example"} {
				got := deliver(t, p.Port, map[string]string{file: key + ":" + to})
				if !strings.HasPrefix(got, test.want) {
					t.Errorf("%s: got %q, want %q", file, got, test.want)
				}
			}
			for _, mail := range p.Mails() {
				if mail.Mechanism != test.used || mail.Options.Auth == nil || *mail.Options.Auth != peer.User {
					t.Errorf("the peer has %+v", mail)
				}
			}
		})
	}
}

// TestAUTHReplies: what the peer cannot be made to say.
func TestAUTHReplies(t *testing.T) {
	for _, test := range []struct {
		name   string
		script remote.Script
		want   string
	}{
		{"command refused", remote.Script{"250-hi\r\n250 AUTH PLAIN\r\n", "<", "504 no\r\n"}, "authentication was rejected (AUTH PLAIN)..\nRemote host said: 504 no\n"},
		{"name refused", remote.Script{"250-hi\r\n250-AUTH=LOGIN\r\n250 x\r\n", "<", "334 x\r\n", "<", "535 no\r\n"},
			"authentication was rejected (username)..\nRemote host said: 535 no\n"},
		{"too old a password", remote.Script{"250-hi\r\n250 auth login\r\n", "<", "334 x\r\n", "<", "334 x\r\n", "<", "432 change it\r\n"},
			"password expired..\nRemote host said: 432 change it\n"},
		{"no challenge", remote.Script{"250-hi\r\n250 AUTH CRAM-MD5\r\n", "<", "334 ?\r\n", "<", "501 canceled\r\n"},
			"authentication was rejected (username+digest)..\nRemote host said: 501 canceled\n"},
		{"hangs up", remote.Script{"250-hi\r\n250 AUTH CRAM-MD5\r\n", "<"}, "connection died. (#4.4.2)\n"},
	} {
		port := serveScripts(t, append(remote.Script{"220 hi\r\n", "<"}, test.script...))
		got := deliver(t, port, map[string]string{"smtproutes": ":mx.example:" + strconv.Itoa(port) + "|u|p"})
		if want := "ZConnected to 127.0.0.1 but " + test.want + "\x00"; got != want {
			t.Errorf("%s: got %q, want %q", test.name, got, want)
		}
	}
}

// TestInternationalNames: a relay's name that is not ASCII is looked up in its
// form for DNS, where internationalised mail is switched on.
func TestInternationalNames(t *testing.T) {
	p := start(t, peer.Options{UTF8: true})
	route := ":bücher.example:" + strconv.Itoa(p.Port)
	for on, want := range map[string]string{"1": accepted, "0": "DSorry, I couldn't find any host named b??cher.example. (#5.1.2)\n"} {
		if got := deliver(t, p.Port, map[string]string{"smtproutes": route, "smtputf8": on}); !strings.HasPrefix(got, want) {
			t.Errorf("smtputf8 %s: got %q, want %q", on, got, want)
		}
	}
}
