// Package maildir is what programs for users do with a Maildir: list it, clean
// it, empty it into an mbox (maildir2mbox), watch it (maildirwatch). It must
// not know how mail got there.
package maildir

import (
	"os"
	"sort"
	"syscall"
)

// stale is the age in seconds, by access time, from which on files in tmp are
// removed (maildir(5)): 36 hours.
const stale = 129600

// Message is a message in a Maildir.
type Message struct {
	File  string // "new/…" or "cur/…"
	Size  int64  // bytes of the file
	Mtime int64  // Unix seconds
}

// Clean removes what deliveries that died have left in tmp of the current
// directory. now is in Unix seconds.
func Clean(now int64) {
	entries, _ := os.ReadDir("tmp") // what cannot be read is not cleaned
	for _, e := range entries {
		var st syscall.Stat_t
		path := "tmp/" + e.Name()
		if e.Name()[0] != '.' && syscall.Stat(path, &st) == nil && now > int64(st.Atim.Sec)+stale {
			_ = syscall.Unlink(path)
		}
	}
}

// ScanError is a directory of a Maildir that cannot be read.
type ScanError struct {
	Dir string
	Err error
}

func (e *ScanError) Error() string { return "unable to scan $MAILDIR/" + e.Dir + ": " + e.Err.Error() }

func (e *ScanError) Unwrap() error { return e.Err }

// Scan lists the messages in directories of the Maildir that is the current
// directory, oldest first. What has come in this very second waits for the
// next time, so that messages keep their order. The error is a *ScanError.
func Scan(now int64, dirs ...string) ([]Message, error) {
	var messages []Message
	for _, dir := range dirs {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return nil, &ScanError{dir, err}
		}
		for _, e := range entries {
			var st syscall.Stat_t
			path := dir + "/" + e.Name()
			if e.Name()[0] != '.' && syscall.Stat(path, &st) == nil && int64(st.Mtim.Sec) < now {
				messages = append(messages, Message{path, st.Size, int64(st.Mtim.Sec)})
			}
		}
	}
	sort.SliceStable(messages, func(i, j int) bool { return messages[i].Mtime < messages[j].Mtime })
	return messages, nil
}
