package dkim

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io/fs"
	"path"
	"strings"
	"time"

	"github.com/emersion/go-msgauth/dkim"

	"github.com/reqmail/reqmail/compat/fdio"
	"github.com/reqmail/reqmail/control"
)

// pleskKeys is where Plesk keeps keys, one folder for each domain.
const pleskKeys = "/etc/domainkeys"

// minRSA is the length in bits below which receivers pass a signature over
// (RFC 8301 3.2).
const minRSA = 1024

// key is what to sign with.
type key struct {
	path             string
	private          crypto.Signer
	domain, selector string
	identity         string
	header, body     dkim.Canonicalization
	lifetime         time.Duration // of a signature; 0 without end
}

// KeyError is trouble with a key that is there.
type KeyError struct {
	Path string
	Err  error
}

func (e *KeyError) Error() string { return "unable to use DKIM key " + e.Path + ": " + e.Err.Error() }

func (e *KeyError) Unwrap() error { return e.Err }

// findKey returns the key for a domain, nil where there is none.
func findKey(home, domain string) (*key, error) {
	d, err := control.Open(home + "/control")
	if err != nil {
		return nil, err
	}
	entries, _, err := d.List(control.DKIMKeys)
	if err != nil {
		return nil, err
	}
	if value, ok := control.Pairs(entries).Domain(domain); ok {
		file, options, _ := strings.Cut(value, ":")
		for _, candidate := range candidates(home, file, domain) {
			if k, err := loadKey(candidate, domain, options); k != nil || err != nil {
				return k, err
			}
		}
		return nil, nil
	}
	folder, ok, err := d.Raw(control.DKIMPlesk)
	if err != nil || !ok {
		return nil, err
	}
	if folder == "" {
		folder = pleskKeys
	}
	return loadKey(folder+"/"+domain+"/default", domain, "")
}

// candidates are the places of a key file: "%" stands for the domain, or for
// nothing where that file is missing. A relative path begins at the qmail
// home, or at its control.
func candidates(home, file, domain string) (paths []string) {
	for _, stands := range []string{domain, ""} {
		name := strings.ReplaceAll(file, "%", stands)
		if name == "" || strings.HasSuffix(name, "/") {
			continue
		}
		if path.IsAbs(name) {
			paths = append(paths, path.Clean(name))
			continue
		}
		paths = append(paths, path.Join(home, name), path.Join(home, "control", name))
	}
	return paths
}

// loadKey reads a key; nil where there is no such file.
func loadKey(file, domain, options string) (*key, error) {
	text, err := fdio.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var private crypto.Signer
	if err == nil {
		private, err = parseKey(text)
	}
	if err != nil {
		return nil, &KeyError{file, err}
	}
	k := &key{
		path: file, private: private, domain: domain, selector: path.Base(file),
		header: dkim.CanonicalizationRelaxed, body: dkim.CanonicalizationRelaxed,
	}
	k.options(strings.Fields(options))
	return k, nil
}

// parseKey reads an RSA or Ed25519 key in PEM.
func parseKey(text []byte) (crypto.Signer, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("it is not in PEM")
	}
	if private, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
		return checked(private)
	}
	private, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, errors.New("it is no private key")
	}
	switch private := private.(type) {
	case *rsa.PrivateKey:
		return checked(private)
	case ed25519.PrivateKey:
		return private, nil
	}
	return nil, errors.New("it is neither RSA nor Ed25519")
}

func checked(private *rsa.PrivateKey) (crypto.Signer, error) {
	if private.N.BitLen() < minRSA {
		return nil, errors.New("it has fewer than 1024 bits")
	}
	return private, nil
}

// options reads the words behind a key file, a letter and its value together
// or apart. Those that qmail-dkim has beside these are passed over.
//
//	-c r|s|t|u    relaxed, simple, relaxed/simple or simple/relaxed (r)
//	-d domain     the domain that signs
//	-i identity   the tag i
//	-y selector   in place of the file's name
//	-x seconds    how long a signature is good
func (k *key) options(words []string) {
	for len(words) > 0 {
		word := words[0]
		words = words[1:]
		if len(word) < 2 || word[0] != '-' {
			continue
		}
		value := word[2:]
		if value == "" && strings.IndexByte("cdiyx", word[1]) >= 0 && len(words) > 0 {
			value, words = words[0], words[1:]
		}
		k.option(word[1], value)
	}
}

func (k *key) option(letter byte, value string) {
	const relaxed, simple = dkim.CanonicalizationRelaxed, dkim.CanonicalizationSimple
	switch letter {
	case 'c':
		switch value {
		case "s":
			k.header, k.body = simple, simple
		case "t":
			k.header, k.body = relaxed, simple
		case "u":
			k.header, k.body = simple, relaxed
		}
	case 'd':
		k.domain = strings.ToLower(value)
	case 'i':
		k.identity = value
	case 'y':
		k.selector = value
	case 'x':
		n, _ := control.Number(value)
		k.lifetime = time.Duration(max(n, 0)) * time.Second
	}
}

// expiration is that of a signature made now.
func (k *key) expiration() time.Time {
	if k.lifetime == 0 {
		return time.Time{}
	}
	return time.Now().Add(k.lifetime)
}
