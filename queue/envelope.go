package queue

import (
	"bufio"
	"errors"
	"io"
	"syscall"

	"github.com/reqmail/reqmail/compat/fdio"
)

// MaxAddress is the length in bytes of the longest address that qmail-queue
// takes.
const MaxAddress = 1002

// ErrUnknownRecord says that a queue file has a record of unknown type.
var ErrUnknownRecord = errors.New("unknown record type")

// Records reads the NUL-terminated records of an envelope or recipient file.
type Records struct {
	in  *bufio.Reader
	pos int64
}

// NewRecords returns a reader of records.
func NewRecords(r io.Reader) *Records { return &Records{in: bufio.NewReaderSize(r, 1024)} }

// Next returns the type letter and text of the next record and the file
// position of its letter; io.EOF at the end. A last record without its NUL
// is not there, for it was not written to its end. An empty record has the
// letter 0.
func (r *Records) Next() (letter byte, text string, pos int64, err error) {
	line, err := r.in.ReadBytes(0)
	if err != nil {
		return 0, "", 0, err
	}
	pos = r.pos
	r.pos += int64(len(line))
	if len(line) == 1 {
		return 0, "", pos, nil
	}
	return line[0], string(line[1 : len(line)-1]), pos, nil
}

// ReadEnvelope reads the envelope of a message in todo: its sender and its
// recipients.
func ReadEnvelope(id ID) (sender string, recipients []string, err error) {
	f, err := openRead(id.Todo())
	if err != nil {
		return "", nil, &FileError{"unable to open", id.Todo(), err}
	}
	defer f.Close()
	records := NewRecords(f)
	for {
		letter, text, _, err := records.Next()
		switch {
		case err == io.EOF:
			return sender, recipients, nil
		case err != nil:
			return "", nil, &FileError{"trouble reading", id.Todo(), err}
		case letter == 'F':
			sender = text
		case letter == 'T':
			recipients = append(recipients, text)
		}
	}
}

// Info is what the info file of a preprocessed message tells.
type Info struct {
	Sender string
	Birth  int64 // Unix seconds: when the message was preprocessed first
}

// errNoSender says that an info file does not hold its one record.
var errNoSender = errors.New("no sender record")

// ReadInfo reads the info file of a message.
func ReadInfo(id ID) (Info, error) {
	f, err := openRead(id.Info())
	if err != nil {
		return Info{}, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return Info{}, err
	}
	letter, sender, _, err := NewRecords(f).Next()
	if err == nil && letter != 'F' {
		err = errNoSender
	}
	return Info{Sender: sender, Birth: int64(st.Mtim.Sec)}, err
}

// RecipientFile is an open file of recipients of one channel.
type RecipientFile struct {
	*Records
	file fdio.FD
}

// OpenRecipients opens the recipients of a message on a channel.
func OpenRecipients(id ID, c Channel) (*RecipientFile, error) {
	f, err := openRead(id.Recipients(c))
	if err != nil {
		return nil, err
	}
	return &RecipientFile{NewRecords(f), f}, nil
}

// OpenRecipientsAt opens the recipients of a message on a channel at a record.
func OpenRecipientsAt(id ID, c Channel, pos int64) (*RecipientFile, error) {
	f, err := OpenRecipients(id, c)
	if err != nil {
		return nil, err
	}
	if _, err := f.file.Seek(pos, io.SeekStart); err != nil {
		f.Close()
		return nil, err
	}
	f.pos = pos
	return f, nil
}

// Close closes the file.
func (r *RecipientFile) Close() { r.file.Close() }

// MarkDone turns the record at pos of a recipient file from T to D.
//
// Nothing is durable when it returns, as in C: after a crash the recipient is
// tried again, at worst delivered twice.
func MarkDone(id ID, c Channel, pos int64) error {
	f, err := fdio.Open(id.Recipients(c), syscall.O_WRONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = syscall.Pwrite(int(f), []byte{'D'}, pos)
	return err
}

// AppendBounce adds a paragraph to what will be the bounce of a message.
//
// The paragraph and the file's name are durable when it returns, whichever comes
// first, so that the recipient may then be marked done. A crash before leaves
// the recipient to be tried again and perhaps a paragraph too many or a torn
// one. After an error nothing of the paragraph is left.
func AppendBounce(id ID, paragraph string) error {
	f, err := fdio.Open(id.Bounce(), syscall.O_WRONLY|syscall.O_NONBLOCK|syscall.O_APPEND|syscall.O_CREAT, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return err
	}
	if _, err = f.WriteString(paragraph); err == nil {
		err = f.Sync()
	}
	if err == nil && st.Size == 0 {
		err = syncDirOf(id.Bounce())
	}
	if err != nil {
		_ = syscall.Ftruncate(int(f), st.Size)
	}
	return err
}

// FileError is trouble with a queue file: what was tried, in the words of
// qmail-send's log, and the file.
type FileError struct {
	Doing string // "open", "create", "writing to", …
	File  string
	Err   error
}

func (e *FileError) Error() string { return e.Doing + " " + e.File + ": " + e.Err.Error() }

func (e *FileError) Unwrap() error { return e.Err }

// parseNumber reads the digits at the start of s; what does not fit 64 bits
// wraps round, as in C.
func parseNumber(s string) uint64 {
	var n uint64
	for i := 0; i < len(s) && '0' <= s[i] && s[i] <= '9'; i++ {
		n = n*10 + uint64(s[i]-'0')
	}
	return n
}
