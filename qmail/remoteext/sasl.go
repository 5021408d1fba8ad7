package remoteext

import (
	"crypto/hmac"
	"crypto/md5"
	"encoding/hex"

	"github.com/emersion/go-sasl"

	"github.com/reqmail/reqmail/qmail/remote"
)

// mechanisms returns the ways to log in, in the order of the AUTH patches: the
// password itself is told only where nothing else will do.
func mechanisms(c remote.Credentials) []remote.Mechanism {
	return []remote.Mechanism{
		cramMD5{c},
		sasl.NewPlainClient("", c.User, c.Password),
		&login{answers: []string{c.User, c.Password}},
	}
}

// cramMD5 is CRAM-MD5 (RFC 2195), which go-sasl has not.
type cramMD5 struct{ remote.Credentials }

var _ sasl.Client = cramMD5{}

func (cramMD5) Start() (name string, initial []byte, err error) { return "CRAM-MD5", nil, nil }

func (m cramMD5) Next(challenge []byte) ([]byte, error) {
	if len(challenge) == 0 {
		return nil, sasl.ErrUnexpectedServerChallenge
	}
	mac := hmac.New(md5.New, []byte(m.Password))
	mac.Write(challenge)
	return []byte(m.User + " " + hex.EncodeToString(mac.Sum(nil))), nil
}

// login is LOGIN. go-sasl's insists on one wording of the prompts, of which
// there are many.
type login struct{ answers []string }

var _ sasl.Client = (*login)(nil)

func (*login) Start() (name string, initial []byte, err error) { return "LOGIN", nil, nil }

func (m *login) Next([]byte) ([]byte, error) {
	if len(m.answers) == 0 {
		return nil, sasl.ErrUnexpectedServerChallenge
	}
	answer := m.answers[0]
	m.answers = m.answers[1:]
	return []byte(answer), nil
}
