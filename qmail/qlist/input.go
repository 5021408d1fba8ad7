package qlist

import (
	"bytes"

	"github.com/reqmail/reqmail/compat/fdio"
)

// input is an open file of a message, read by records. Most files are one read.
type input struct {
	fd       fdio.FD
	buf      []byte // as long as the longest record so far
	from, to int    // what of buf was read from the file and not returned
	end      bool   // of the file
}

// record returns the next record without its NUL, valid until the next call.
// whole is false for what stands at the end of the file without one. The error is
// ErrRead.
func (in *input) record() (record []byte, whole bool, err error) {
	for searched := 0; ; {
		rest := in.buf[in.from:in.to]
		if n := bytes.IndexByte(rest[searched:], 0); n >= 0 {
			in.from += searched + n + 1
			return rest[:searched+n], true, nil
		}
		if in.end {
			in.from = in.to
			return rest, false, nil
		}
		searched = len(rest)
		if err := in.more(); err != nil {
			return nil, false, ErrRead
		}
	}
}

// more reads more of the file. A read that does not fill its buffer has reached the
// end of the file: to ask again would cost a tenth of a listing.
func (in *input) more() error {
	in.to = copy(in.buf, in.buf[in.from:in.to])
	in.from = 0
	if in.to == len(in.buf) {
		in.buf = append(in.buf, make([]byte, len(in.buf))...)
	}
	room := in.buf[in.to:]
	n, err := in.fd.ReadQuick(room)
	if err != nil {
		return err
	}
	in.to += n
	in.end = n < len(room)
	return nil
}
