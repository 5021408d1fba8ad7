package system

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/emersion/go-msgauth/dkim"
	"golang.org/x/net/dns/dnsmessage"

	"github.com/reqmail/reqmail/tests/host"
)

// keyPair makes a key by openssl, in a file below the home, and returns the
// TXT record with the other half.
func (s *system) keyPair(path, algorithm string) (record string) {
	s.t.Helper()
	if out, err := s.Run("", "openssl", "genpkey", "-algorithm", algorithm, "-out", s.Path(path)); err != nil {
		s.t.Fatalf("openssl: %v: %s", err, out)
	}
	public, err := s.Run("", "openssl", "pkey", "-in", s.Path(path), "-pubout")
	s.ok(err)
	block, _ := pem.Decode([]byte(public))
	if algorithm != "ed25519" {
		return "v=DKIM1; k=rsa; p=" + base64.StdEncoding.EncodeToString(block.Bytes)
	}
	const raw = 32 // bytes, at the end
	if _, err := x509.ParsePKIXPublicKey(block.Bytes); err != nil {
		s.t.Fatal(err)
	}
	return "v=DKIM1; k=ed25519; p=" + base64.StdEncoding.EncodeToString(block.Bytes[len(block.Bytes)-raw:])
}

// TestDKIM: what leaves the host bears a signature that others verify.
func TestDKIM(t *testing.T) {
	needs(t, "openssl")
	s := start(t)
	r, err := host.StartRemote("mx.far.example")
	s.ok(err)
	defer r.Stop()
	s.ok(s.Control("smtproutes", fmt.Sprintf(":127.0.0.1:%d\n", r.Port)))
	s.ok(os.Mkdir(s.Path("control/domainkeys"), 0o755))
	s.ok(os.MkdirAll(s.Path("plesk/p.example"), 0o755))
	records := map[string]string{
		"sel._domainkey.x.example":     s.keyPair("control/domainkeys/sel", "rsa"),
		"ed._domainkey.e.example":      s.keyPair("control/domainkeys/ed", "ed25519"),
		"default._domainkey.p.example": s.keyPair("plesk/p.example/default", "rsa"),
	}
	s.ok(s.Control("dkimkeys", "x.example:control/domainkeys/sel\ne.example:domainkeys/ed\n"))
	s.ok(s.Control("dkimplesk", s.Path("plesk")+"\n"))
	for i, domain := range []string{"x.example", "e.example", "p.example"} {
		s.inject("To: r@far.example\nFrom: Joe <joe@"+domain+">\nSubject: a\n  folded  one\n\n.dot\ntext  \nbare\r.cr\n\n\n", "-a", "r@far.example")
		s.until("the message to arrive", func() bool { return len(r.Received()) == i+1 })
		message := r.Received()[i]
		found, err := dkim.VerifyWithOptions(strings.NewReader(message), &dkim.VerifyOptions{LookupTXT: func(name string) ([]string, error) {
			if text, ok := records[name]; ok {
				return []string{text}, nil
			}
			return nil, errors.New("no record of " + name)
		}})
		if err != nil || len(found) != 1 || found[0].Err != nil || found[0].Domain != domain {
			t.Fatalf("%s: %v, %v in\n%s", domain, err, found, message)
		}
		if domain != "e.example" { // which opendkim does not know
			if out := s.openDKIM(message, records); out != "" {
				t.Errorf("opendkim: %s in\n%s", out, message)
			}
			if out := s.openDKIM(strings.Replace(message, "text", "test", 1), records); out == "" {
				t.Error("opendkim accepts a message that was changed")
			}
		}
	}
	s.inject("To: r@far.example\nFrom: joe@other.example\n\nx\n", "-a", "r@far.example")
	s.until("the message to arrive", func() bool { return len(r.Received()) == 4 })
	if strings.Contains(r.Received()[3], "DKIM-Signature") {
		t.Errorf("signed without a key: %s", r.Received()[3])
	}
	s.write("control/domainkeys/sel", "nonsense\n")
	s.inject("To: r@far.example\nFrom: joe@x.example\n\nx\n", "-a", "r@far.example")
	s.logged("deferral: Unable_to_sign_message:_unable_to_use_DKIM_key_")
}

// TestDKIMFromPipe: a wrapper may hand over a message that can be read once.
func TestDKIMFromPipe(t *testing.T) {
	needs(t, "openssl")
	s := layOut(t)
	r, err := host.StartRemote("mx.far.example")
	s.ok(err)
	defer r.Stop()
	s.ok(s.Control("smtproutes", fmt.Sprintf(":127.0.0.1:%d\n", r.Port)))
	s.keyPair("control/sel", "rsa")
	s.ok(s.Control("dkimkeys", "x.example:sel\n"))
	const text = "From: joe@x.example\n\nx\n"
	out, err := s.Run(text, "qmail-remote", "far.example", "joe@x.example", "r@far.example")
	if err != nil || !strings.HasPrefix(out, "r\x00K") || len(r.Received()) != 1 || !strings.HasPrefix(r.Received()[0], "DKIM-Signature: ") {
		t.Errorf("%v, %q: %q", err, out, r.Received())
	}
	s.ok(os.Remove(s.Path("bin/reqmail-ext")))
	if out, _ = s.Run(text, "qmail-remote", "far.example", "joe@x.example", "r@far.example"); !strings.HasPrefix(out, "ZUnable to sign message: ") {
		t.Errorf("without the second binary: %q", out)
	}
}

// zoneVariable makes the test binary a name server that knows the TXT records
// in the variable, on the port where all look for one, and then runs its
// arguments.
const zoneVariable = "DKIM_TEST_ZONE"

// openDKIM lets opendkim verify a message, in a network of its own with a name
// server of its own, and returns what it has against it.
func (s *system) openDKIM(message string, records map[string]string) (complaint string) {
	s.t.Helper()
	const tool = "opendkim-testmsg"
	path, err := exec.LookPath(tool)
	if err != nil {
		if path, err = exec.LookPath("/usr/sbin/" + tool); err != nil {
			s.t.Skip("no " + tool)
		}
	}
	isolated := []string{"unshare", "--user", "--map-root-user", "--net", "--mount"}
	if exec.Command(isolated[0], append(isolated[1:], "true")...).Run() != nil {
		s.t.Skip("no namespaces for ordinary users")
	}
	s.write("resolv.conf", "nameserver 127.0.0.1\n")
	self, err := os.Executable()
	s.ok(err)
	cmd := exec.Command(isolated[0], append(isolated[1:], "sh", "-c",
		`ip link set lo up && mount --bind "$0" /etc/resolv.conf && exec "$@"`, s.Path("resolv.conf"), self, path)...)
	var zone strings.Builder
	for name, text := range records {
		zone.WriteString(name + "\n" + text + "\n")
	}
	cmd.Env = append(os.Environ(), zoneVariable+"="+zone.String())
	cmd.Stdin = strings.NewReader(message)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return err.Error() + ": " + string(out)
	}
	return strings.TrimSpace(string(out))
}

// serveZone is the test binary as a name server.
func serveZone(zone string, argv []string) error {
	conn, err := net.ListenPacket("udp4", "127.0.0.1:53")
	if err != nil {
		return err
	}
	lines := strings.Split(zone, "\n")
	records := map[string]string{}
	for i := 0; i+1 < len(lines); i += 2 {
		records[lines[i]+"."] = lines[i+1]
	}
	go answerAll(conn, records)
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	return cmd.Run()
}

func answerAll(conn net.PacketConn, records map[string]string) {
	buf := make([]byte, 4096)
	for {
		n, from, err := conn.ReadFrom(buf)
		if err != nil {
			return
		}
		var m dnsmessage.Message
		if m.Unpack(buf[:n]) != nil || len(m.Questions) == 0 {
			continue
		}
		m.Response, m.RecursionAvailable, m.Additionals = true, true, nil
		q := m.Questions[0]
		text, ok := records[strings.ToLower(q.Name.String())]
		if !ok || q.Type != dnsmessage.TypeTXT {
			m.RCode = dnsmessage.RCodeNameError
		} else {
			var parts []string // of 255 bytes at most
			for ; len(text) > 255; text = text[255:] {
				parts = append(parts, text[:255])
			}
			m.Answers = []dnsmessage.Resource{{
				Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class, TTL: 60},
				Body:   &dnsmessage.TXTResource{TXT: append(parts, text)},
			}}
		}
		if out, err := m.Pack(); err == nil {
			_, _ = conn.WriteTo(out, from)
		}
	}
}
