package dkim

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/emersion/go-msgauth/dkim"

	"github.com/reqmail/reqmail/qmail/remote"
)

// keys are made once.
type keys struct {
	rsa     *rsa.PrivateKey
	ed25519 ed25519.PrivateKey
}

func makeKeys(t *testing.T) (k keys) {
	t.Helper()
	var err error
	if k.rsa, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
		t.Fatal(err)
	}
	if _, k.ed25519, err = ed25519.GenerateKey(rand.Reader); err != nil {
		t.Fatal(err)
	}
	return k
}

// encoded returns a key file's text.
func encoded(t *testing.T, private crypto.Signer) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

// record is the TXT record for a key.
func record(t *testing.T, private crypto.Signer) string {
	t.Helper()
	if public, ok := private.Public().(ed25519.PublicKey); ok {
		return "v=DKIM1; k=ed25519; p=" + base64.StdEncoding.EncodeToString(public)
	}
	der, err := x509.MarshalPKIXPublicKey(private.Public())
	if err != nil {
		t.Fatal(err)
	}
	return "v=DKIM1; k=rsa; p=" + base64.StdEncoding.EncodeToString(der)
}

// write writes files below a qmail home.
func write(t *testing.T, home string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(home, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
}

// sent returns a message, with what a signer puts in front, as its host gets
// to see it.
func sent(t *testing.T, home, message string) (wire, signature string) {
	t.Helper()
	fields, err := Signer{home}.Fields("", strings.NewReader(message))
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(fields, []byte("\r")) || len(fields) > 0 && !bytes.HasSuffix(fields, []byte("\n")) {
		t.Errorf("the signature's lines do not end with LF: %q", fields)
	}
	var out strings.Builder
	if err := remote.Received(&out, io.MultiReader(bytes.NewReader(fields), strings.NewReader(message))); err != nil {
		t.Fatal(err)
	}
	return out.String(), string(fields)
}

const plainMessage = "From: Joe <joe@X.Example>\nTo: ann@y.example\nSubject:  a  b\n c\n\nHello,\n.dot\n\n\n"

func TestSignaturesVerify(t *testing.T) {
	k := makeKeys(t)
	dns := map[string]string{
		"default._domainkey.x.example": record(t, k.rsa), "ed._domainkey.x.example": record(t, k.ed25519),
		"sel._domainkey.parent.example": record(t, k.rsa),
	}
	home := t.TempDir()
	write(t, home, map[string]string{"default": encoded(t, k.rsa), "ed": encoded(t, k.ed25519)})
	for _, test := range []struct{ name, entry, message string }{
		{"RSA", "default", plainMessage},
		{"Ed25519", "ed", plainMessage},
		{"simple", "default:-c s", plainMessage},
		{"relaxed/simple", "ed:-ct -b 2", plainMessage},
		{"simple/relaxed", "default:-c u", plainMessage},
		{"another domain, with options", "default:-d Parent.Example -y sel -i @parent.example -x 3600", plainMessage},
		{"CR LF", "default", strings.ReplaceAll(plainMessage, "\n", "\r\n")},
		{"bare CR ends a line", "default", "From: joe@x.example\r\rone\rtwo\r.three\r"},
		{"no body", "default", "From: joe@x.example\n\n"},
		{"no end of the header", "default", "From: joe@x.example\nSubject: x\n"},
		{"8 bits", "ed", "From: J\xc3\xb6 <joe@x.example>\nSubject: \xc3\xb6\n\n\xe4\n"},
		{"fields twice", "default", "Received: a\nTo: a\nFrom: joe@x.example\nReceived: b\nTo: b\n\nx\n"},
		{"many fields", "default", strings.Repeat("To: a@b\n", 200) + "From: joe@x.example\n\nx\n"},
		{"somebody else's signature", "default", "DKIM-Signature: v=1; d=list.example; b=x\nFrom: joe@x.example\n\nx\n"},
		{"a long body", "default", "From: joe@x.example\n\n" + strings.Repeat("All work and no play.  \n\n", 40000)},
	} {
		write(t, home, map[string]string{"control/dkimkeys": "x.example:" + home + "/" + test.entry + "\n"})
		wire, signature := sent(t, home, test.message)
		found, err := dkim.VerifyWithOptions(strings.NewReader(complete(wire)), &dkim.VerifyOptions{LookupTXT: func(name string) ([]string, error) {
			if text, ok := dns[name]; ok {
				return []string{text}, nil
			}
			return nil, errors.New("no record")
		}})
		if err != nil || len(found) == 0 || found[0].Err != nil {
			t.Errorf("%s: %v, %v\n%s", test.name, err, found, signature)
			continue
		}
		for line := range strings.Lines(signature) {
			if len(line) > 998 {
				t.Errorf("%s: a line of %d bytes", test.name, len(line))
			}
		}
	}
}

// complete adds the empty line that the verifying library insists on.
func complete(wire string) string {
	if strings.Contains(wire, "\r\n\r\n") {
		return wire
	}
	return wire + "\r\n"
}

func TestWhichMessagesAreSigned(t *testing.T) {
	k := makeKeys(t)
	home := t.TempDir()
	text := encoded(t, k.ed25519)
	write(t, home, map[string]string{
		"control/dkimkeys": "x.example:control/domainkeys/%/sel\n.wild.example:domainkeys/w/sub\n" +
			"shared.example:" + home + "/keys/%/all\n:control/none/%\nempty.example:\n",
		"control/domainkeys/x.example/sel": text, "control/domainkeys/w/sub": text, "keys/all": text,
		"control/none/any.example": text,
	})
	for _, test := range []struct{ name, message, want string }{
		{"key by %", "From: a@x.example\n\n", "d=x.example; ... s=sel"},
		{"below the domain", "From: a@b.wild.example\n\n", "d=b.wild.example; ... s=sub"},
		{"without %", "From: a@shared.example\n\n", "d=shared.example; ... s=all"},
		{"any domain with a key", "From: a@any.example\n\n", "d=any.example; ... s=any.example"},
		{"no key", "From: a@y.example\n\n", ""},
		{"no key file named", "From: a@empty.example\n\n", ""},
		{"the first author", "From: (a@y.example) \"b@z\"@x.example, c@y.example\n\n", "d=x.example; ... s=sel"},
		{"no author", "Sender: a@x.example\n\n", ""},
		{"author without domain", "From: a\n\n", ""},
		{"no list of addresses", "From: a@x.example>\n\n", ""},
		{"path in the domain", "From: \"a\"@\"../x.example\"\n\n", ""},
		{"author in the body", "Subject: x\n\nFrom: a@x.example\n", ""},
		{"signed before", "dkim-signature: v=1;\n D = y; d=X.example; b=x\nFrom: a@x.example\n\n", ""},
		{"author not in ASCII", "From: a@b\xc3\xbccher.wild.example\n\n", "d=xn--bcher-kva.wild.example; ... s=sub"},
		{"header without end", "From: a@x.example\n" + strings.Repeat("X: y\n", maxHeader/5) + "\n", ""},
		{"more empty lines than anybody needs", "From: a@x.example\n\n" + strings.Repeat("\n", maxBlank) + "x\n", ""},
	} {
		_, signature := sent(t, home, test.message)
		unfolded := strings.ReplaceAll(signature, "\n", "")
		for part := range strings.SplitSeq(test.want, " ... ") {
			if !strings.Contains(unfolded, part) || test.want == "" && signature != "" {
				t.Errorf("%s: got %q, want %q", test.name, signature, test.want)
			}
		}
	}
	// A message that cannot be sent is not signed: what is wrong with it
	// shows when it is sent.
	if fields, err := (Signer{home}).Fields("", strings.NewReader("From: a@x.example\n\nx")); fields != nil || err != nil {
		t.Errorf("partial last line: %q, %v", fields, err)
	}
}

// TestFromWhereTheReaderStands: what is before belongs to nobody.
func TestFromWhereTheReaderStands(t *testing.T) {
	home := t.TempDir()
	write(t, home, map[string]string{"control/dkimkeys": "x.example:k:\n", "k": encoded(t, makeKeys(t).ed25519)})
	in := strings.NewReader("From: a@y.example\n\nFrom: a@x.example\n\nx\n")
	if _, err := in.Seek(int64(len("From: a@y.example\n\n")), io.SeekStart); err != nil {
		t.Fatal(err)
	}
	if fields, err := (Signer{home}).Fields("", in); err != nil || !strings.Contains(string(fields), "d=x.example") {
		t.Errorf("got %q, %v", fields, err)
	}
}

func TestPlesk(t *testing.T) {
	k := makeKeys(t)
	home := t.TempDir()
	pkcs1 := string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(k.rsa)}))
	write(t, home, map[string]string{"control/me": "x\n", "plesk/x.example/default": pkcs1})
	if _, signature := sent(t, home, plainMessage); signature != "" {
		t.Errorf("not asked for, but signed: %q", signature)
	}
	write(t, home, map[string]string{"control/dkimplesk": home + "/plesk\n"})
	if _, signature := sent(t, home, plainMessage); !strings.Contains(signature, "s=default") {
		t.Errorf("got %q", signature)
	}
	if _, signature := sent(t, home, "From: a@y.example\n\n"); signature != "" {
		t.Errorf("no key, but signed: %q", signature)
	}
	write(t, home, map[string]string{"control/dkimkeys": "x.example:nothing\n"})
	if _, signature := sent(t, home, plainMessage); signature != "" {
		t.Errorf("an entry in dkimkeys does not go first: %q", signature)
	}
}

func TestKeysThatCannotBeUsed(t *testing.T) {
	t.Setenv("GODEBUG", "rsa1024min=0")
	short, err := rsa.GenerateKey(rand.Reader, 512)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ name, text, want string }{
		{"nothing", "", "not in PEM"},
		{"not a key", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "no private key"},
		{"short", encoded(t, short), "fewer than 1024 bits"},
	} {
		home := t.TempDir()
		write(t, home, map[string]string{"control/dkimkeys": "x.example:k\n", "k": test.text})
		fields, err := Signer{home}.Fields("", strings.NewReader(plainMessage))
		var trouble *KeyError
		if fields != nil || !errors.As(err, &trouble) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %q, %v, want %q", test.name, fields, err, test.want)
		}
	}
	home := t.TempDir()
	write(t, home, map[string]string{"control/dkimkeys": "x.example:k\n"})
	if err := os.Mkdir(home+"/k", 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := (Signer{home}).Fields("", strings.NewReader(plainMessage)); err == nil {
		t.Error("an unreadable key is passed over")
	}
	if err := os.Mkdir(home+"/control/dkimplesk", 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := (Signer{home}).Fields("", strings.NewReader("From: a@y.example\n\n")); err == nil {
		t.Error("an unreadable control file is passed over")
	}
}

func FuzzParseHeader(f *testing.F) {
	f.Add("From: a@b\r\n\r\n")
	f.Add("DKIM-Signature: d = x; d=\r\nFrom:\r\n")
	f.Add("From: \"../..\"@\"/etc\"\r\n")
	f.Fuzz(func(t *testing.T, text string) {
		h := parseHeader(text)
		if strings.ContainsAny(h.domain, "/\x00") || strings.Contains(h.domain, "..") {
			t.Errorf("%q leads to the folder %q", text, h.domain)
		}
		if signed := h.signed(); len(signed) > maxSigned || signed[0] != "from" {
			t.Errorf("%q: signs %q", text, signed)
		}
	})
}
