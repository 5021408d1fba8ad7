package system

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

// checker is a checkpassword program that knows one account, and shows what
// it got on descriptor 3. CRAM-MD5 it does by openssl.
const checker = `#!/bin/sh
cat <&3 > FIELDS.new && mv FIELDS.new FIELDS
set -- $(tr '\000' ' ' < FIELDS)
test "$1" = joe || exit 1
test "$2" = secret && exit 0
test -n "$3" && test "$(printf %s "$3" | openssl md5 -hmac secret | sed 's/.* //')" = "$2"
`

// certificate puts a self-signed certificate and its key into control.
func (s *system) certificate() {
	s.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	s.ok(err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "demo.example"}, DNSNames: []string{"demo.example"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	s.ok(err)
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	s.ok(err)
	var text bytes.Buffer
	s.ok(pem.Encode(&text, &pem.Block{Type: "CERTIFICATE", Bytes: der}))
	s.ok(pem.Encode(&text, &pem.Block{Type: "PRIVATE KEY", Bytes: secret}))
	s.ok(os.WriteFile(s.Path("control/servercert.pem"), text.Bytes(), 0o600))
}

// checkpassword puts the checker into the home and returns its path.
func (s *system) checker() string {
	s.t.Helper()
	path := s.Path("checker")
	s.ok(os.WriteFile(path, []byte(strings.ReplaceAll(checker, "FIELDS", s.Path("fields"))), 0o700))
	return path
}

// swaks sends a message to a stranger's domain, which takes a client that may
// relay, and returns the transcript.
func (s *system) swaks(port string, options ...string) (transcript string, err error) {
	s.t.Helper()
	return s.Run("", append([]string{"swaks", "--server", "127.0.0.1", "--port", port, "--ehlo", "swaks.example",
		"--from", "a@far.example", "--to", "you@demo.example", "--timeout", "20"}, options...)...)
}

// TestAuth: every mechanism, every form of the command line.
func TestAuth(t *testing.T) {
	needs(t, "swaks", "tcpserver", "openssl")
	s := start(t)
	s.ok(s.Control("rcpthosts", "elsewhere.example\n")) // so that only who has authenticated may send to us
	check := s.checker()
	s.Env = append(s.Env, "SMTPAUTH=+cram")
	for _, form := range []struct {
		name     string
		operands []string
	}{
		{"checkpassword", []string{check, "/bin/true"}},
		{"with host", []string{"mx.demo.example", check, "/bin/true"}},
		{"two checkers", []string{check, "/bin/true", check, "/bin/true"}},
	} {
		port := s.tcpserver(append([]string{"qmail-smtpd"}, form.operands...)...)
		for _, mechanism := range []string{"LOGIN", "PLAIN", "CRAM-MD5"} {
			out, err := s.swaks(port, "--auth", mechanism, "--auth-user", "joe", "--auth-password", "secret")
			if err != nil || !strings.Contains(out, "235 ok, go ahead (#2.0.0)") {
				t.Errorf("%s, %s: %v\n%s", form.name, mechanism, err, out)
			}
			got := s.read(s.Path("fields"))
			if mechanism != "CRAM-MD5" && !strings.HasPrefix(got, "joe\x00secret\x00") {
				t.Errorf("%s, %s: the checker got %q", form.name, mechanism, got)
			}
		}
	}
	all := strings.Join(s.mail(9), "")
	if n := strings.Count(all, " (joe@127.0.0.1)\n  by demo.example with ESMTPA; "); n != 9 {
		t.Errorf("%d messages of 9 name the user and ESMTPA:\n%s", n, all)
	}
}

func TestAuthRefused(t *testing.T) {
	needs(t, "tcpserver")
	s := layOut(t)
	s.ok(s.Control("rcpthosts", "elsewhere.example\n"))
	s.Env = append(s.Env, "SMTPAUTH=!")
	port := s.tcpserver("qmail-smtpd", s.checker(), "/bin/true")
	begin := time.Now()
	replies, err := talk("127.0.0.1:"+port, "", "EHLO x", "MAIL FROM:<a@b>", "AUTH PLAIN AGpvZQB3cm9uZw==", "AUTH CRAM-MD5",
		"AUTH LOGIN", "*", "AUTH PLAIN not-base64!", "AUTH PLAIN AGpvZQBzZWNyZXQ=", "AUTH PLAIN", "MAIL FROM:<a@b>", "RCPT TO:<you@demo.example>", "QUIT")
	s.ok(err)
	want := []string{
		"530 Authorization required (#5.7.1)", "535 authentication failed (#5.7.1)", "504 auth type unimplemented (#5.5.1)",
		"334 VXNlcm5hbWU6", "501 auth exchange canceled (#5.0.0)", "501 malformed auth input (#5.5.4)",
		"235 ok, go ahead (#2.0.0)", "503 you're already authenticated (#5.5.0)", "250 ok", "250 ok", "221 demo.example",
	}
	for i, line := range replies[2:] {
		if line != want[i] {
			t.Errorf("reply %d is %q, want %q", i, line, want[i])
		}
	}
	if waited := time.Since(begin); waited < 5*time.Second {
		t.Errorf("a wrong password took %v, want 5 s and more", waited)
	}
}

// TestSTARTTLS: under tcpserver and listening, with AUTH behind it.
func TestSTARTTLS(t *testing.T) {
	needs(t, "swaks", "tcpserver")
	s := start(t)
	s.certificate()
	under := s.tcpserver("qmail-smtpd", s.checker(), "/bin/true")
	_, alone, err := net.SplitHostPort(s.listening())
	s.ok(err)
	for i, port := range []string{under, alone} {
		out, err := s.swaks(port, "--tls")
		if err != nil || !strings.Contains(out, "220 ready for tls") {
			t.Fatalf("%v\n%s", err, out)
		}
		wantInOrder(t, strings.Join(s.mail(i+1), ""), " (HELO swaks.example) (127.0.0.1)\n  by ", " with ESMTPS (TLS_", " encrypted); ")
	}
	out, err := s.swaks(under, "--tls", "--auth", "LOGIN", "--auth-user", "joe", "--auth-password", "secret")
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	wantInOrder(t, strings.Join(s.mail(3), ""), "with ESMTPSA (TLS_")
}

func TestTLSFromTheFirstByte(t *testing.T) {
	needs(t, "swaks", "tcpserver")
	s := start(t)
	s.certificate()
	s.Env = append(s.Env, "SMTPS=1")
	out, err := s.swaks(s.tcpserver("qmail-smtpd"), "--tls-on-connect")
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if strings.Contains(out, "STARTTLS") {
		t.Errorf("STARTTLS is offered within TLS:\n%s", out)
	}
	wantInOrder(t, s.mail(1)[0], "with ESMTPS (")
}

// TestNothingSurvivesSTARTTLS: commands that came with STARTTLS in one packet
// are an attacker's (CVE-2011-0411).
func TestNothingSurvivesSTARTTLS(t *testing.T) {
	needs(t, "tcpserver")
	s := layOut(t)
	s.certificate()
	conn, err := net.Dial("tcp4", "127.0.0.1:"+s.tcpserver("qmail-smtpd"))
	s.ok(err)
	defer conn.Close()
	s.ok(conn.SetDeadline(time.Now().Add(20 * time.Second)))
	_, err = conn.Write([]byte("EHLO x\r\nSTARTTLS\r\nNOOP\r\nRSET\r\n"))
	s.ok(err)
	var before bytes.Buffer
	buf := make([]byte, 1024)
	for !strings.Contains(before.String(), "220 ready for tls\r\n") {
		n, err := conn.Read(buf)
		s.ok(err)
		before.Write(buf[:n])
	}
	client := tls.Client(conn, &tls.Config{InsecureSkipVerify: true})
	s.ok(client.Handshake())
	_, err = client.Write([]byte("HELP\r\n"))
	s.ok(err)
	n, err := client.Read(buf)
	s.ok(err)
	if got := string(buf[:n]); !strings.HasPrefix(got, "214 ") {
		t.Errorf("the first reply within TLS is %q, want that to HELP", got)
	}
}

// TestOldTLS: nothing below TLS 1.2, unless a control file says so.
func TestOldTLS(t *testing.T) {
	needs(t, "tcpserver")
	s := layOut(t)
	s.certificate()
	s.Env = append(s.Env, "SMTPS=1")
	addr := "127.0.0.1:" + s.tcpserver("qmail-smtpd")
	version := func(v uint16) error {
		conn, err := tls.Dial("tcp4", addr, &tls.Config{InsecureSkipVerify: true, MinVersion: v, MaxVersion: v})
		if err == nil {
			conn.Close()
		}
		return err
	}
	for _, v := range []uint16{tls.VersionTLS10, tls.VersionTLS11} {
		if version(v) == nil {
			t.Errorf("%s is spoken", tls.VersionName(v))
		}
	}
	for _, v := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		if err := version(v); err != nil {
			t.Errorf("%s: %v", tls.VersionName(v), err)
		}
	}
	s.ok(s.Control("tlsminimum", "1.1\n"))
	if err := version(tls.VersionTLS11); err != nil {
		t.Errorf("TLS 1.1, which control/tlsminimum allows: %v", err)
	}
}

func TestForceTLS(t *testing.T) {
	needs(t, "tcpserver")
	s := layOut(t)
	s.certificate()
	s.Env = append(s.Env, "FORCETLS=1")
	replies, err := talk("127.0.0.1:"+s.tcpserver("qmail-smtpd"), "", "MAIL FROM:<a@b>", "STARTTLS now", "QUIT")
	s.ok(err)
	want := []string{"530 Must issue a STARTTLS command first (#5.7.0)", "501 Syntax error (no parameters allowed) (#5.5.4)", "221 demo.example"}
	for i, line := range replies[1:] {
		if line != want[i] {
			t.Errorf("got %q, want %q", line, want[i])
		}
	}
}

// TestCertificateRenewed: a listening qmail-smtpd shows a new certificate
// without being told.
func TestCertificateRenewed(t *testing.T) {
	s := layOut(t)
	s.certificate()
	addr := s.listening()
	shown := func() string {
		conn, err := net.Dial("tcp4", addr)
		s.ok(err)
		defer conn.Close()
		s.ok(conn.SetDeadline(time.Now().Add(20 * time.Second)))
		buf := make([]byte, 1024)
		_, err = conn.Read(buf)
		s.ok(err)
		_, err = conn.Write([]byte("STARTTLS\r\n"))
		s.ok(err)
		_, err = conn.Read(buf)
		s.ok(err)
		client := tls.Client(conn, &tls.Config{InsecureSkipVerify: true})
		s.ok(client.Handshake())
		return string(client.ConnectionState().PeerCertificates[0].Raw)
	}
	first := shown()
	if shown() != first {
		t.Fatal("the certificate changes by itself")
	}
	s.certificate()
	if shown() == first {
		t.Error("the old certificate is still shown")
	}
}

// TestCertificateAppears: whether or not a qmail-smtpd that listened before
// there was a certificate offers TLS, one client's STARTTLS must not end it.
func TestCertificateAppears(t *testing.T) {
	s := layOut(t)
	addr := s.listening()
	s.certificate()
	for range 2 {
		replies, err := talk(addr, "", "EHLO a", "STARTTLS")
		if err != nil || len(replies) != 3 || replies[2][0] != '2' && replies[2] != "502 unimplemented (#5.5.1)" {
			t.Errorf("got %q, %v", replies, err)
		}
	}
}
