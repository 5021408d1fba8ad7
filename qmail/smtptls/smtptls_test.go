package smtptls

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/reqmail/reqmail/compat/environ"
	"github.com/reqmail/reqmail/qmail/smtpd"
)

// authority issues certificates.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	last int64
}

func newAuthority(t *testing.T, name string) *authority {
	t.Helper()
	a := &authority{t: t}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, SubjectKeyId: []byte{1},
	}
	a.key = newKey(t)
	der, err := x509.CreateCertificate(rand.Reader, template, template, &a.key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return a
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// issue makes a certificate; address is in its subject as openssl puts it
// there, empty for none.
func (a *authority) issue(name, address string, until time.Time) tls.Certificate {
	a.t.Helper()
	a.last++
	template := &x509.Certificate{
		SerialNumber: big.NewInt(a.last), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: until,
	}
	if address != "" {
		template.Subject.ExtraNames = []pkix.AttributeTypeAndValue{
			{Type: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 1}, Value: address},
		}
	}
	key := newKey(a.t)
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func (a *authority) revocations(certs ...tls.Certificate) []byte {
	a.t.Helper()
	list := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: time.Now(), NextUpdate: time.Now().Add(time.Hour)}
	for _, c := range certs {
		parsed, err := x509.ParseCertificate(c.Certificate[0])
		if err != nil {
			a.t.Fatal(err)
		}
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries,
			x509.RevocationListEntry{SerialNumber: parsed.SerialNumber, RevocationTime: time.Now()})
	}
	der, err := x509.CreateRevocationList(rand.Reader, list, a.cert, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der})
}

func pemOf(t *testing.T, c tls.Certificate) []byte {
	t.Helper()
	var b bytes.Buffer
	for _, der := range c.Certificate {
		_ = pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: der})
	}
	if c.PrivateKey != nil {
		der, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
		if err != nil {
			t.Fatal(err)
		}
		_ = pem.Encode(&b, &pem.Block{Type: "PRIVATE KEY", Bytes: der})
	}
	return b.Bytes()
}

// home makes a qmail home with control files.
func home(t *testing.T, files map[string][]byte) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(dir+"/control", 0o755); err != nil {
		t.Fatal(err)
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, "control", name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// clientConn is the server's end of a connection.
type clientConn struct{ net.Conn }

func (clientConn) SetTimeout(time.Duration) time.Duration { return time.Minute }

// handshake lets a client and the server for a home begin TLS.
func handshake(t *testing.T, home string, env environ.List, client *tls.Config) (*smtpd.Secured, error) {
	t.Helper()
	ours, theirs := net.Pipe()
	defer ours.Close()
	defer theirs.Close()
	ready := make(chan struct{})
	go func() {
		<-ready
		conn := tls.Client(theirs, client)
		_ = conn.Handshake()
		_, _ = conn.Read(make([]byte, 1)) // until the other end closes
	}()
	return New(home).For(env).Start(clientConn{ours}, "", func() error { close(ready); return nil })
}

func TestClientCertificates(t *testing.T) {
	ours, foreign := newAuthority(t, "ours"), newAuthority(t, "foreign")
	soon := time.Now().Add(time.Hour)
	server := ours.issue("mx.example", "", soon)
	listed := ours.issue("joe", "joe@x.example", soon)
	revoked := ours.issue("old joe", "joe@x.example", soon)
	dir := home(t, map[string][]byte{
		"me": []byte("mx.example\n"), "servercert.pem": pemOf(t, server), "tlsclients": []byte("joe@x.example\n"),
		"clientca.pem":  pemOf(t, tls.Certificate{Certificate: [][]byte{ours.cert.Raw}}),
		"clientcrl.pem": ours.revocations(revoked),
	})
	for _, test := range []struct {
		name   string
		cert   *tls.Certificate
		client string
		reason string // a part of it
	}{
		{"none", nil, "", ""},
		{"listed", &listed, "joe@x.example", ""},
		{"revoked", &revoked, "", "revoked"},
		{"not listed", ptr(ours.issue("ann", "ann@x.example", soon)), "", "not listed"},
		{"no address", ptr(ours.issue("joe@x.example", "", soon)), "", "no email address"},
		{"expired", ptr(ours.issue("joe", "joe@x.example", time.Now().Add(-time.Minute))), "", "expired"},
		{"another authority's", ptr(foreign.issue("joe", "joe@x.example", soon)), "", "unknown authority"},
	} {
		t.Run(test.name, func(t *testing.T) {
			config := &tls.Config{InsecureSkipVerify: true}
			config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
				if test.cert == nil {
					return &tls.Certificate{}, nil
				}
				return test.cert, nil
			}
			s, err := handshake(t, dir, nil, config)
			if err != nil {
				t.Fatal(err)
			}
			if s.Client != test.client || !strings.Contains(s.NoClient, test.reason) || (s.NoClient == "") != (test.reason == "") {
				t.Errorf("client %q, reason %q; want %q, %q", s.Client, s.NoClient, test.client, test.reason)
			}
		})
	}
}

func ptr(c tls.Certificate) *tls.Certificate { return &c }

func TestCipherOfTheConnection(t *testing.T) {
	a := newAuthority(t, "a")
	files := map[string][]byte{"me": []byte("mx\n"), "servercert.pem": pemOf(t, a.issue("mx", "", time.Now().Add(time.Hour)))}
	files["tlsserverciphers"] = []byte("ECDHE-ECDSA-AES128-GCM-SHA256\nECDHE-RSA-AES128-GCM-SHA256\n")
	dir := home(t, files)
	twelve := &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12}
	for _, test := range []struct {
		name string
		env  environ.List
		want string
	}{
		{"control file", nil, "ECDHE-ECDSA-AES128-GCM-SHA256"},
		{"variable", environ.List{"TLSCIPHERS=ECDHE-ECDSA-CHACHA20-POLY1305:kRSA"}, "ECDHE-ECDSA-CHACHA20-POLY1305"},
	} {
		s, err := handshake(t, dir, test.env, twelve)
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		if s.Cipher != test.want {
			t.Errorf("%s: cipher %s, want %s", test.name, s.Cipher, test.want)
		}
	}
}

// TestTrouble: the words of the TLS patch, before the client is told to begin.
func TestTrouble(t *testing.T) {
	a := newAuthority(t, "a")
	good := pemOf(t, a.issue("mx", "", time.Now().Add(time.Hour)))
	me := []byte("mx\n")
	for _, test := range []struct {
		name  string
		files map[string][]byte
		want  string
	}{
		{"no certificate", map[string][]byte{"me": me}, "missing certificate"},
		{"nonsense", map[string][]byte{"me": me, "servercert.pem": []byte("x")}, "missing certificate"},
		{"no key", map[string][]byte{"me": me, "servercert.pem": pemOf(t, tls.Certificate{Certificate: [][]byte{a.cert.Raw}})}, "no valid RSA private key"},
		{"no authority", map[string][]byte{"me": me, "servercert.pem": good, "tlsclients": []byte("a@b\n")}, "unable to initialize ctx"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := New(home(t, test.files)).For(nil).Start(clientConn{}, "", func() error {
				t.Error("the client was told to begin")
				return nil
			})
			if e, ok := err.(*smtpd.TLSError); !ok || e.What != test.want {
				t.Errorf("got %v, want %s", err, test.want)
			}
		})
	}
}
