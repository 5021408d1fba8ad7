package remote

import (
	"io"
	"os"
)

// maxSpool is the size in bytes up to which a message that comes through a
// pipe is signed. A longer one goes out as it is.
const maxSpool = 256 << 20

// resNoSigner is the result where signatures are wanted and cannot be had:
// receivers may insist on them.
var resNoSigner = &result{'Z', "Unable to sign message: bin/reqmail-ext is missing or cannot be run. (#4.3.0)\n"}

// sign asks for the fields that are put in front of the message.
func (x *exchange) sign() *result {
	if x.Libraries == nil || x.Libraries.Fields == nil || !x.Config.Signs {
		return nil
	}
	if x.spool() != nil {
		return resMessage
	}
	var err error
	_, rewound := x.fromStart(func(message io.ReadSeeker) {
		x.fields, err = x.Libraries.Fields(x.Sender, message)
	})
	switch {
	case err != nil:
		return &result{'Z', "Unable to sign message: " + err.Error() + ". (#4.3.0)\n"}
	case !rewound:
		return resMessage
	}
	return nil
}

// spool turns a message that can be read once, as behind a wrapper, into a
// file that nobody else sees.
func (d *Delivery) spool() error {
	if known, _ := d.fromStart(func(io.ReadSeeker) {}); known {
		return nil
	}
	file, err := os.CreateTemp("", "qmail-remote.")
	if err != nil {
		return err
	}
	if err := os.Remove(file.Name()); err != nil {
		return err
	}
	n, err := io.CopyN(file, d.Message, maxSpool)
	if err != nil && err != io.EOF {
		return err
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	if n == maxSpool {
		d.Message = io.MultiReader(file, d.Message)
		return nil
	}
	d.Message = file
	return nil
}
