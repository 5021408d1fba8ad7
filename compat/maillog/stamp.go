package maillog

import (
	"strconv"
	"strings"
	"time"
)

// Time reads when a line was logged, from what splogger, multilog or syslog put
// before it. syslog leaves the year out: it is the one that makes the time the
// latest that is not after now, but for a day.
func Time(line string, now time.Time) (t time.Time, ok bool) {
	if strings.HasPrefix(line, "@") {
		return tai(line)
	}
	before := strings.TrimSuffix(line, Unstamp(line))
	if t, ok := unixTime(before); ok {
		return t, true
	}
	if word, _, _ := strings.Cut(line, " "); len(word) >= len("2006-01-02T15:04:05Z") {
		if t, err := time.Parse(time.RFC3339, word); err == nil {
			return t, true
		}
	}
	const stamp = time.Stamp // "Jan _2 15:04:05"
	if len(line) < len(stamp) {
		return t, false
	}
	// A year that has a February 29.
	t, err := time.ParseInLocation("2006 "+stamp, "2000 "+line[:len(stamp)], now.Location())
	if err != nil {
		return t, false
	}
	for year := now.Year() + 1; ; year-- {
		at := time.Date(year, t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), 0, now.Location())
		if !at.After(now.AddDate(0, 0, 1)) {
			return at, true
		}
	}
}

// unixTime reads splogger's seconds at the end of what stands before a line.
func unixTime(before string) (t time.Time, ok bool) {
	words := strings.Fields(before)
	if len(words) == 0 {
		return t, false
	}
	last := words[len(words)-1]
	seconds, _, dotted := strings.Cut(last, ".")
	n, err := strconv.ParseUint(seconds, 10, 40)
	return time.Unix(int64(n), 0), dotted && err == nil
}

// tai reads multilog's TAI64N label: 2^62 and 10 seconds more than Unix time.
func tai(line string) (t time.Time, ok bool) {
	const digits = 16
	if len(line) < 1+digits {
		return t, false
	}
	n, err := strconv.ParseUint(line[1:1+digits], 16, 64)
	const epoch = 1<<62 + 10
	if err != nil || n < epoch || n > epoch+1<<40 {
		return t, false
	}
	return time.Unix(int64(n-epoch), 0), true
}
