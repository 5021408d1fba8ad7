// Package transfer copies messages out of a queue and into another one, with
// all that is known of them: births, next tries, partial deliveries, bounces
// under way. It owns the stream and the folder lost+found/import. It must not
// know who asks, nor run or signal any program.
//
// The stream is a tar archive. A message is the entries NUMBER/KIND, one for
// each of its files, in the order mess, local, remote, bounce, and last info
// or todo, with which it is whole; times are those of the files (an info
// file's is the birth, a recipient file's the next try). PAX records of the
// first entry:
//
//	REQMAIL.key   names the message, the same in every export of it
//	REQMAIL.held  it was held
//
// An import keeps what it has begun in lost+found/import:
//
//	KEY                   the text, being written
//	KEY.NUMBER.mess       a second name of the text: keeps its number from
//	                      being used again
//	KEY.NUMBER.info, todo what will make it a message, when all else is there
//	done                  a line with the key of each message that is whole
//
// In this order, each step for a batch of messages and durable before the
// next: text and its names, local, remote, bounce and the staged info or todo;
// a line in done; the rename of info or todo into the queue; the removal of
// the second name. A key in done whose info or todo is still here is renamed
// by the next import; one that is not in done is undone. So no message is
// there in part, and no stream that is imported again doubles one, as long as
// done is kept.
package transfer

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/reqmail/reqmail/queue"
)

// The PAX records.
const (
	paxKey  = "REQMAIL.key"
	paxHeld = "REQMAIL.held"
)

// maxSmall is the size in bytes up to which files other than texts are
// taken: a million recipients.
const maxSmall = 64 << 20

// Result is what an export or import has done.
type Result struct {
	Messages int      `json:"messages"`
	Skipped  int      `json:"skipped"`
	Notes    []string `json:"notes"` // what is to be looked at, a line each
}

func (r *Result) note(format string, args ...any) {
	r.Notes = append(r.Notes, fmt.Sprintf(format, args...))
}

// key names a message by what no other has: its number and the time of its
// text on this host.
func key(host string, id queue.ID, modified, size int64) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%d\x00%d\x00%d", host, id, modified, size))
	return hex.EncodeToString(sum[:16])
}

// isKey tells whether s is a key, and so is harmless in a file's name.
func isKey(s string) bool {
	b, err := hex.DecodeString(s)
	return err == nil && len(b) == 16 && hex.EncodeToString(b) == s
}

// decides tells that a message is one when it has a file of this kind.
func decides(k queue.Kind) bool { return k == queue.TodoFile || k == queue.InfoFile }
