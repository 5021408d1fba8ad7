package dkim

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"

	"golang.org/x/net/idna"

	"github.com/reqmail/reqmail/compat/address"
	"github.com/reqmail/reqmail/qmail/remote"
	"github.com/reqmail/reqmail/qmail/rfc822"
)

// worthSigning are the fields that a signature is to protect (RFC 6376 5.4.1),
// the most important first.
var worthSigning = [...]string{
	"from", "subject", "date", "to", "cc", "reply-to", "sender", "message-id", "in-reply-to", "references",
	"mime-version", "content-type", "content-transfer-encoding", "content-id", "content-description",
	"resent-from", "resent-date", "resent-to", "resent-cc", "resent-sender", "resent-message-id",
	"list-id", "list-help", "list-unsubscribe", "list-unsubscribe-post", "list-subscribe", "list-post",
	"list-owner", "list-archive", "autocrypt",
}

// header is what a signature depends on.
type header struct {
	domain   string // of the author, as in DNS; empty where there is none
	signedBy map[string]bool
	fields   map[string]int // how often each occurs, by its name in lower case
	ended    bool           // an empty line follows
}

// readHeader reads a message's header. False means that there is none, or that
// it is too large.
func readHeader(message io.Reader) (h header, ok bool) {
	limited := &io.LimitedReader{R: message, N: maxHeader}
	var text bytes.Buffer
	found := errors.New("the header is complete")
	err := remote.Received(writer(func(p []byte) error {
		text.Write(p)
		if bytes.Contains(text.Bytes(), []byte("\r\n\r\n")) {
			return found
		}
		return nil
	}), limited)
	if err != nil && err != found || err == nil && limited.N == 0 {
		return h, false
	}
	h = parseHeader(text.String())
	h.ended = err == found
	return h, true
}

// writer is a function as an io.Writer.
type writer func(p []byte) error

func (w writer) Write(p []byte) (int, error) {
	if err := w(p); err != nil {
		return 0, err
	}
	return len(p), nil
}

// parseHeader parses the text of a header, whatever stands behind it.
func parseHeader(text string) header {
	h := header{signedBy: map[string]bool{}, fields: map[string]int{}}
	in := bufio.NewReader(strings.NewReader(strings.ReplaceAll(text, "\r\n", "\n")))
	_, _ = rfc822.ReadHeader(in, func(field string) error { // a reader of strings does not fail
		name := rfc822.FieldName(field)
		h.fields[name]++
		switch name {
		case "from":
			if h.fields[name] == 1 {
				h.domain = authorDomain(field)
			}
		case "dkim-signature":
			h.signedBy[signatureDomain(field)] = true
		}
		return nil
	})
	return h
}

// authorDomain returns the domain of a From field's first address.
func authorDomain(field string) string {
	tokens, ok := rfc822.Parse(field)
	if !ok {
		return ""
	}
	first := ""
	_, ok = rfc822.RewriteList(tokens, func(addr []rfc822.Token) []rfc822.Token {
		first = rfc822.Unquote(addr) // the list is gone through from its end
		return addr
	})
	_, domain, _ := address.Split(first)
	domain, err := idna.Punycode.ToASCII(strings.TrimSuffix(address.Lower(domain), "."))
	if !ok || err != nil || !plain(domain) {
		return ""
	}
	return domain
}

// plain reports whether a name consists of labels that may be part of a path.
func plain(name string) bool {
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return false
		}
	}
	return len(name) <= 253
}

// signatureDomain returns the tag d of a DKIM-Signature field.
func signatureDomain(field string) string {
	for tag := range strings.SplitSeq(rfc822.FieldText(field), ";") {
		name, value, _ := strings.Cut(tag, "=")
		if strings.TrimSpace(name) == "d" {
			return address.Lower(strings.TrimSpace(value))
		}
	}
	return ""
}

// signed lists the fields to sign: those that are there, each as often as it
// is, and From once more, so that no second author can be added.
func (h header) signed() []string {
	names := []string{"from"}
	for _, name := range worthSigning {
		names = append(names, slices.Repeat([]string{name}, min(h.fields[name], maxSigned))...)
	}
	return names[:min(len(names), maxSigned)]
}
