package remote

import (
	"bytes"
	"io"
	"strconv"
	"unicode/utf8"
)

// parameters returns those of the MAIL command that the host takes and the
// message needs, each with a space before it.
func (x *exchange) parameters() (string, *result) {
	if res := x.sign(); res != nil {
		return "", res
	}
	out := ""
	if user := x.target.login.User; user != "" {
		out = " AUTH=" + xtext(user)
	}
	_, size := x.s.Extension("SIZE")
	_, eightBit := x.s.Extension("8BITMIME")
	_, unicode := x.s.Extension("SMTPUTF8")
	if !size && !eightBit && !x.Config.SMTPUTF8 {
		return out, nil
	}
	c := content{wantsHeader: x.Config.SMTPUTF8}
	known, rewound := x.fromStart(func(message io.ReadSeeker) { c.scan(message) })
	switch {
	case !rewound:
		return "", resMessage
	case known && size:
		out += " SIZE=" + strconv.FormatInt(c.size+int64(len(x.fields)+bytes.Count(x.fields, []byte("\n"))), 10)
	}
	if eightBit && c.eightBit {
		out += " BODY=8BITMIME"
	}
	if x.Config.SMTPUTF8 && (c.unicode || x.unicodeAddresses()) {
		if !unicode {
			return "", x.noUnicode()
		}
		out += " SMTPUTF8"
	}
	return out, nil
}

// fromStart lets use read the message, and goes back to where it begins. known
// is false where that is not possible, because the message is no file; use is
// not called then. rewound is false only where going back failed.
func (d *Delivery) fromStart(use func(message io.ReadSeeker)) (known, rewound bool) {
	message, ok := d.Message.(io.ReadSeeker)
	if !ok {
		return false, true
	}
	start, err := message.Seek(0, io.SeekCurrent)
	if err != nil {
		return false, true
	}
	use(message)
	_, err = message.Seek(start, io.SeekStart)
	return true, err == nil
}

// content is what a host is told about a message.
type content struct {
	size     int64 // on the wire, at most
	eightBit bool
	unicode  bool // its header has UTF-8 beyond ASCII (RFC 6532)

	wantsHeader bool // unicode is asked for
}

// maxHeader is how much of a header is searched for UTF-8.
const maxHeader = 64 << 10

// scan reads a message. Where that fails the content is what was read: sending
// it will fail as well.
func (c *content) scan(message io.Reader) {
	var header []byte
	block := blocks.Get().(*[blockSize]byte)
	defer blocks.Put(block)
	for {
		n, err := message.Read(block[:])
		part := block[:n]
		c.size += int64(n + bytes.Count(part, []byte("\n")) + bytes.Count(part, []byte("\r")))
		c.eightBit = c.eightBit || !ascii(part)
		if c.wantsHeader && len(header) < maxHeader {
			header = append(header, part...)
		}
		if err != nil {
			break
		}
	}
	for _, blank := range []string{"\n\n", "\n\r\n"} {
		if end := bytes.Index(header, []byte(blank)); end >= 0 {
			header = header[:end]
		}
	}
	c.unicode = !ascii(header) && utf8.Valid(header)
}

func (x *exchange) unicodeAddresses() bool {
	unicode := !ascii(x.Sender)
	for _, r := range x.recipients {
		unicode = unicode || !ascii(r.address)
	}
	return unicode
}

// ascii reports whether all bytes are below 128.
func ascii[T string | []byte](text T) bool {
	for len(text) >= 8 {
		// Eight at a time: whole messages are looked through.
		if (text[0] | text[1] | text[2] | text[3] | text[4] | text[5] | text[6] | text[7]) >= utf8.RuneSelf {
			return false
		}
		text = text[8:]
	}
	for i := range len(text) {
		if text[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// xtext writes a value of a parameter (RFC 3461 4).
func xtext(value string) string {
	const digits = "0123456789ABCDEF"
	var out []byte
	for i := range len(value) {
		c := value[i]
		if c <= ' ' || c > '~' || c == '+' || c == '=' {
			out = append(out, '+', digits[c>>4], digits[c&15])
			continue
		}
		out = append(out, c)
	}
	return string(out)
}

// international reports whether the host's name must be translated for DNS.
func (d *Delivery) international() bool {
	r, routed := d.route()
	name := d.Host
	if routed {
		name = r.host
	}
	return d.Config.SMTPUTF8 && !ascii(name)
}

// inDNS returns a host's name as it is in DNS.
func (d *Delivery) inDNS(host string) (string, *result) {
	if !d.Config.SMTPUTF8 || ascii(host) {
		return host, nil
	}
	if d.Libraries == nil || d.Libraries.ASCII == nil {
		return "", resDNS
	}
	name, err := d.Libraries.ASCII(host)
	if err != nil {
		return "", noHost(host)
	}
	return name, nil
}
