// Package dkim signs messages on their way out (RFC 6376) with the keys that
// control/dkimkeys names, or Plesk's. It links crypto libraries, so only the
// second binary has it; it must not know the conversation that a message is
// sent in.
//
// The domain of the From field decides, whoever the envelope sender is: mail
// that is forwarded unchanged is signed as well if it claims to be from a
// domain with a key. A message stays as it is if its From field has no domain,
// if there is no key for that, if it bears a signature of that domain already,
// as behind a wrapper that signs, or if its header has no end within 256 KB.
// A key that is there but cannot be used is an error: the message waits rather
// than go out without the signature that its receivers may insist on.
package dkim

import (
	"bytes"
	"errors"
	"io"
	"strings"

	"github.com/emersion/go-msgauth/dkim"

	"github.com/reqmail/reqmail/qmail/remote"
)

// Limits.
const (
	maxHeader = 256 << 10 // bytes of a header
	maxBlank  = 1 << 20   // bytes of line ends in a row, which the library keeps
	maxSigned = 40        // fields that are named in a signature
)

// Signer signs with the keys of a qmail home.
type Signer struct{ Home string }

// Fields returns the signature of a message that is sent as package remote
// sends it: a header field whose lines end with LF, or nothing. The message
// begins where its reader stands.
func (s Signer) Fields(_ string, message io.ReadSeeker) ([]byte, error) {
	start, err := message.Seek(0, io.SeekCurrent)
	if err != nil {
		return nil, err
	}
	h, ok := readHeader(message)
	if !ok || h.domain == "" {
		return nil, nil
	}
	key, err := findKey(s.Home, h.domain)
	if err != nil || key == nil || h.signedBy[key.domain] {
		return nil, err
	}
	if _, err := message.Seek(start, io.SeekStart); err != nil {
		return nil, err
	}
	return key.sign(h, message)
}

// sign signs a message that has this header.
func (k *key) sign(h header, message io.Reader) ([]byte, error) {
	signer, err := dkim.NewSigner(&dkim.SignOptions{
		Domain: k.domain, Selector: k.selector, Identifier: k.identity, Signer: k.private,
		HeaderCanonicalization: k.header, BodyCanonicalization: k.body,
		HeaderKeys: h.signed(), Expiration: k.expiration(),
	})
	if err != nil {
		return nil, &KeyError{k.path, err}
	}
	err = remote.Received(&tame{out: signer}, message)
	if err == nil && !h.ended {
		_, err = signer.Write([]byte("\r\n")) // no body is an empty one
	}
	if closeErr := signer.Close(); err == nil && closeErr != nil {
		return nil, &KeyError{k.path, closeErr}
	}
	if err != nil {
		return nil, nil // it cannot be sent either, or is not worth a signature
	}
	return []byte(strings.ReplaceAll(signer.Signature(), "\r\n", "\n")), nil
}

// errBlank says that a message has too many line ends in a row.
var errBlank = errors.New("too many empty lines")

// tame hands a message on, but not what would fill the memory.
type tame struct {
	out   io.Writer
	blank int // line ends in a row
}

func (t *tame) Write(p []byte) (int, error) {
	if content := bytes.TrimRight(p, "\r\n"); len(content) > 0 {
		t.blank = len(p) - len(content)
	} else {
		t.blank += len(p)
	}
	if t.blank > maxBlank {
		return 0, errBlank
	}
	return t.out.Write(p)
}
