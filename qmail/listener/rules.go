package listener

import (
	"io"
	"strings"

	"github.com/reqmail/reqmail/compat/cdb"
)

// Verdict is what the rules say about a client.
type Verdict struct {
	Deny bool
	Env  []string // variables to set, "NAME=value"
}

// Look finds the rule for a client in a database made by tcprules, in
// tcpserver's order: the address, the host name, shorter and shorter prefixes
// of the address, shorter and shorter suffixes of the name, any name, anybody.
// host is empty where it is not known.
func Look(db io.ReaderAt, ip, host string) (Verdict, error) {
	for _, key := range ruleKeys(ip, host) {
		data, found, err := cdb.Find(db, []byte(key))
		if err != nil {
			return Verdict{}, err
		}
		if found {
			return parseRule(data), nil
		}
	}
	return Verdict{}, nil
}

func ruleKeys(ip, host string) []string {
	keys := []string{ip}
	if host != "" {
		keys = append(keys, "="+host)
	}
	for i := len(ip) - 1; i > 0; i-- {
		if ip[i] == '.' || ip[i] == ':' {
			keys = append(keys, ip[:i+1])
		}
	}
	if host != "" {
		for i := range len(host) {
			if host[i] == '.' {
				keys = append(keys, "="+host[i:])
			}
		}
		keys = append(keys, "=")
	}
	return append(keys, "")
}

// parseRule reads a rule: "D" denies, "+NAME=value" and a NUL sets a
// variable.
func parseRule(data []byte) Verdict {
	var v Verdict
	rest := string(data)
	for rest != "" {
		switch rest[0] {
		case 'D':
			return Verdict{Deny: true}
		case '+':
			variable, after, ok := strings.Cut(rest[1:], "\x00")
			if !ok {
				return v
			}
			v.Env = append(v.Env, variable)
			rest = after
		default:
			return v
		}
	}
	return v
}
