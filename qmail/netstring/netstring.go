// Package netstring reads and writes netstrings, "5:hello,", of which the
// protocols QMTP and QMQP consist. It must not know those.
package netstring

import (
	"errors"
	"io"
	"strconv"
)

// maxLength is the largest length, in bytes, that is read.
const maxLength = 200000000

// Errors of a peer that does not speak the protocol.
var (
	ErrFormat = errors.New("no netstring")
	ErrLength = errors.New("netstring too long")
)

// Length reads the length of a netstring and the colon behind it.
func Length(r io.ByteReader) (uint64, error) {
	var n uint64
	for {
		c, err := r.ReadByte()
		switch {
		case err != nil:
			return 0, err
		case c == ':':
			return n, nil
		case n > maxLength:
			return 0, ErrLength
		case c < '0' || c > '9':
			return 0, ErrFormat
		}
		n = n*10 + uint64(c-'0')
	}
}

// Comma reads the comma that ends a netstring.
func Comma(r io.ByteReader) error {
	c, err := r.ReadByte()
	if err == nil && c != ',' {
		err = ErrFormat
	}
	return err
}

// Short reads n bytes, of which it keeps all if they are fewer than limit,
// else none. ok is false for too many, and for bytes among which is a NUL.
func Short(r io.ByteReader, n uint64, limit int) (text string, ok bool, err error) {
	kept := make([]byte, 0, min(n, uint64(limit)))
	ok = n < uint64(limit)
	for range n {
		c, err := r.ReadByte()
		if err != nil {
			return "", false, err
		}
		if n < uint64(limit) {
			kept = append(kept, c)
		}
		ok = ok && c != 0
	}
	return string(kept), ok, nil
}

// Encode returns text as a netstring.
func Encode(text string) string { return strconv.Itoa(len(text)) + ":" + text + "," }
