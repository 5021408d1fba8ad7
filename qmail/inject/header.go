package inject

import "github.com/reqmail/reqmail/qmail/rfc822"

// kind is how a field is treated.
type kind int

const (
	plain          kind = iota // left alone
	recipients                 // names recipients
	toOrCc                     // names recipients, and followups go to them
	resentTo                   // names recipients of a message sent on
	returnPath                 // sets the envelope sender
	addresses                  // has addresses that are completed
	mustParse      = returnPath
	removedAlways  = "content-length"
	resentBlindCc  = "resent-bcc"
	blindCc        = "bcc"
	returnPathName = "return-path"
)

func kindOf(name string) kind {
	switch name {
	case "to", "cc":
		return toOrCc
	case blindCc, "apparently-to":
		return recipients
	case "resent-to", "resent-cc", resentBlindCc:
		return resentTo
	case returnPathName:
		return returnPath
	case "sender", "from", "reply-to", "return-receipt-to", "errors-to",
		"resent-sender", "resent-from", "resent-reply-to":
		return addresses
	}
	return plain
}

// field takes one field of the header.
func (m *Message) field(field string) error {
	name := rfc822.FieldName(field)
	if name == "" {
		return &Failure{exitPermanent, "invalid header field: " + field}
	}
	if m.config.deletes(name) {
		return nil
	}
	m.seen[name] = true
	if k := kindOf(name); k != plain {
		rewritten, ok := m.rewrite(field, k)
		if !ok && k >= mustParse {
			return unparsable(field)
		}
		if ok {
			field = rewritten
		}
	}
	switch name {
	case blindCc, resentBlindCc, returnPathName, removedAlways:
		return nil
	}
	m.kept = append(m.kept, field)
	return nil
}

// rewrite completes the addresses of a field and takes down what they are
// for. Of a list that cannot be parsed to its beginning, the addresses at its
// end are taken all the same, as in qmail.
func (m *Message) rewrite(field string, k kind) (string, bool) {
	tokens, ok := rfc822.Parse(field)
	if !ok {
		return "", false
	}
	rewritten, ok := rfc822.RewriteList(tokens, func(addr []rfc822.Token) []rfc822.Token {
		addr = m.config.complete(addr)
		m.note(rfc822.Unquote(addr), k)
		return addr
	})
	if !ok {
		return "", false
	}
	return rfc822.Unparse(rewritten, lineLen), true
}

func (m *Message) note(addr string, k kind) {
	switch k {
	case toOrCc:
		m.header.toCc = append(m.header.toCc, addr)
		m.header.ordinary = append(m.header.ordinary, addr)
	case recipients:
		m.header.ordinary = append(m.header.ordinary, addr)
	case resentTo:
		m.header.resent = append(m.header.resent, addr)
	case returnPath:
		if !m.hasSender {
			m.sender, m.hasSender = addr, true
			if m.config.PerRecipient {
				m.sender += verpMark
			}
		}
	}
}

// verpMark at the end of a sender asks qmail-send for a variable return path.
const verpMark = "-@[]"
