package peer

import (
	"crypto/hmac"
	"crypto/md5"
	"encoding/hex"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// server returns the other side of a mechanism.
func server(mechanism string) sasl.Server {
	switch mechanism {
	case "CRAM-MD5":
		return &prompts{ask: []string{"<1.2@peer.example>"}, check: func(answers []string) bool {
			mac := hmac.New(md5.New, []byte(Password))
			mac.Write([]byte("<1.2@peer.example>"))
			return answers[0] == User+" "+hex.EncodeToString(mac.Sum(nil))
		}}
	case "LOGIN":
		// Not the usual words: clients must not look at them.
		return &prompts{ask: []string{"User Name\x00", "Password\x00"}, check: func(answers []string) bool {
			return answers[0] == User && answers[1] == Password
		}}
	}
	return sasl.NewPlainServer(func(_, user, password string) error {
		if user != User || password != Password {
			return smtp.ErrAuthFailed
		}
		return nil
	})
}

// prompts is a mechanism that asks, and then judges all answers.
type prompts struct {
	ask     []string
	check   func(answers []string) bool
	asked   int
	answers []string
}

func (p *prompts) Next(response []byte) (challenge []byte, done bool, err error) {
	if p.asked > 0 {
		p.answers = append(p.answers, string(response))
	}
	switch {
	case p.asked < len(p.ask):
		p.asked++
		return []byte(p.ask[p.asked-1]), false, nil
	case p.check(p.answers):
		return nil, true, nil
	}
	return nil, false, smtp.ErrAuthFailed
}
