package remote

import (
	"encoding/base64"
	"slices"
	"strings"
)

// The replies of logging in (RFC 4954).
const (
	codeChallenge  = 334
	codeLoggedIn   = 235
	codePassExpire = 432
)

// steps are the names that results have for a mechanism's answers, one for
// each. (Not a table, which qmail-smtpd would have to fill for each client.)
func steps(mechanism string) []string {
	switch mechanism {
	case "CRAM-MD5":
		return []string{"username+digest"}
	case "PLAIN":
		return []string{"plain"}
	case "LOGIN":
		return []string{"username", "password"}
	}
	return nil
}

// authenticate logs in by the best mechanism that the host offers.
func (x *exchange) authenticate() *result {
	offer, _ := x.s.Extension("AUTH")
	offered := strings.Fields(strings.ToUpper(offer))
	if x.Libraries != nil && x.Libraries.Mechanisms != nil {
		for _, m := range x.Libraries.Mechanisms(x.target.login) {
			if name, initial, err := m.Start(); err == nil && slices.Contains(offered, name) {
				return x.logIn(m, name, initial)
			}
		}
	}
	return &result{'Z', "Connected to " + string(x.partner) + " but no supported AUTH method available.\n"}
}

// logIn names the mechanism and gives an answer to each challenge. What the
// mechanism could say first waits for a challenge as well: not every host
// takes it with the command, and each refusal has its own text.
func (x *exchange) logIn(m Mechanism, name string, initial []byte) *result {
	step := "AUTH " + name
	reply, err := x.s.command(step, "", "")
	for _, next := range steps(name) {
		if err != nil {
			return x.died()
		}
		if reply.Code != codeChallenge {
			break
		}
		answer := initial
		if initial = nil; answer == nil {
			answer, err = m.Next(challenge(reply))
		}
		line := "*" // gives up (RFC 4954 4)
		if err == nil {
			line = base64.StdEncoding.EncodeToString(answer)
		}
		step = next
		reply, err = x.s.command(line, "", "")
	}
	switch {
	case err != nil:
		return x.died()
	case reply.Code == codeLoggedIn:
		return nil
	case reply.Code == codePassExpire:
		return x.said('Z', "Connected to ", " but password expired.", reply)
	}
	return x.said('Z', "Connected to ", " but authentication was rejected ("+step+").", reply)
}

// challenge decodes a challenge; what is not base64 is none.
func challenge(reply Reply) []byte {
	const textAt = len("334 ")
	text := strings.TrimSpace(reply.Text[min(textAt, len(reply.Text)):])
	decoded, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil
	}
	return decoded
}
