package manage

import (
	"bufio"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/reqmail/reqmail/compat/maillog"
)

// Logs are open files with qmail-send's log, oldest first.
type Logs struct{ files []*os.File }

// OpenLogs opens the files named, or, without any, the log where hosts have it.
// Logs often are root's: open them before Enter.
func OpenLogs(paths []string) (*Logs, error) {
	if len(paths) == 0 {
		paths = usualLog()
	}
	if len(paths) == 0 {
		return nil, errors.New("no log of qmail-send is found: name it by --log")
	}
	l := &Logs{}
	for _, path := range paths {
		f, err := os.Open(path)
		if err != nil {
			l.Close()
			return nil, err
		}
		l.files = append(l.files, f)
	}
	return l, nil
}

// usualLog returns the first log that is where Plesk, syslog or multilog put
// it.
func usualLog() []string {
	for _, pattern := range []string{
		"/usr/local/psa/var/log/maillog", "/var/log/maillog", "/var/log/mail.log",
		"/var/log/qmail/current", "/var/log/qmail/qmail-send/current", "/var/log/qmail/send/current",
	} {
		if found, _ := filepath.Glob(pattern); len(found) > 0 {
			return found[:1]
		}
	}
	return nil
}

// Close closes the files.
func (l *Logs) Close() {
	for _, f := range l.files {
		f.Close()
	}
}

// entry is a line of qmail-send's in a log.
type entry struct {
	time  time.Time // zero: unknown
	text  string    // without what a logger put before it
	event maillog.Event
}

// maxEntry is how many bytes of a line are looked at.
const maxEntry = 64 << 10

// each hands the lines of qmail-send's between two times to fn; a zero time is
// no bound. Lines whose time is not known are of the time of the last one that
// is; before there is one, they are handed over.
func (l *Logs) each(since, until time.Time, fn func(entry)) error {
	for _, f := range l.files {
		if err := eachIn(f, since, until, fn); err != nil {
			return fmt.Errorf("read %s: %w", f.Name(), err)
		}
	}
	return nil
}

func eachIn(f *os.File, since, until time.Time, fn func(entry)) error {
	var in io.Reader = f
	if strings.HasSuffix(f.Name(), ".gz") {
		unpacked, err := gzip.NewReader(f)
		if err != nil {
			return err
		}
		in = unpacked
	}
	lines := bufio.NewReaderSize(in, maxEntry)
	now, last := time.Now(), time.Time{}
	for {
		line, err := lines.ReadSlice('\n')
		for err == bufio.ErrBufferFull { // the rest of a long line
			_, err = lines.ReadSlice('\n')
		}
		if text := strings.TrimSuffix(string(line), "\n"); text != "" {
			e := entry{text: maillog.Unstamp(text)}
			e.event = maillog.Parse(e.text)
			if e.event.Kind != maillog.Other {
				if t, ok := maillog.Time(text, now); ok {
					last = t
				}
				e.time = last
				if last.IsZero() || (since.IsZero() || !last.Before(since)) && (until.IsZero() || !last.After(until)) {
					fn(e)
				}
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
