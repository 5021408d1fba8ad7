package manage

import (
	"cmp"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/reqmail/reqmail/compat/steer"
)

// Words are a filter as people write it.
type Words struct {
	Sender, Recipient, Domain, Status string // globs
	Channel, Area                     string
	States                            []string
	Older, Newer                      string // spans
	Larger, Smaller                   string // sizes
	MinTries, MaxTries                string // numbers
}

// The areas that are states of messages rather than words of
// control/mailpolicy.
func areaStates() map[string]steer.State {
	return map[string]steer.State{"deferred": steer.Deferred, "postponed": steer.Postponed}
}

// Filter understands the words.
func (w Words) Filter() (f steer.Filter, err error) {
	f = steer.Filter{
		Sender: w.Sender, Recipient: w.Recipient, Domain: w.Domain, Status: w.Status, Channel: w.Channel, Area: w.Area,
	}
	for _, s := range w.States {
		f.States = append(f.States, steer.State(s))
	}
	if state, ok := areaStates()[w.Area]; ok {
		f.Area, f.States = "", append(f.States, state)
	}
	err = cmp.Or(
		lowest(w.Older, Span, &f.MinAge), highest(w.Newer, Span, &f.MaxAge),
		lowest(w.Larger, Size, &f.MinSize), highest(w.Smaller, Size, &f.MaxSize),
		lowest(w.MinTries, Count, &f.MinTries), highest(w.MaxTries, Count, &f.MaxTries),
	)
	if err == nil {
		err = f.Check()
	}
	if err != nil {
		return f, &UsageError{err.Error()}
	}
	return f, nil
}

// lowest reads a lower bound, if there is one.
func lowest[T any](text string, read func(string) (T, error), to *T) (err error) {
	if text != "" {
		*to, err = read(text)
	}
	return err
}

// highest reads an upper bound, if there is one.
func highest[T any](text string, read func(string) (T, error), to **T) error {
	if text != "" {
		*to = new(T)
		return lowest(text, read, *to)
	}
	return nil
}

// Empty reports whether a filter selects everything.
func (w Words) Empty() bool {
	return w.Sender+w.Recipient+w.Domain+w.Status+w.Channel+w.Area+w.Older+w.Newer+w.Larger+w.Smaller+w.MinTries+w.MaxTries == "" &&
		len(w.States) == 0
}

// maxSpan is more than any span that makes sense: a hundred years, in seconds.
const maxSpan = 100 * 366 * 86400

// Span reads a span of time, as in 90s, 15m, 2h, 1d12h or 1w. A number needs its
// unit: who writes 10 may mean minutes. Only 0 is 0 of any.
func Span(text string) (seconds int64, err error) {
	units := map[byte]int64{'s': 1, 'm': 60, 'h': 3600, 'd': 86400, 'w': 7 * 86400}
	bad := fmt.Errorf("%s is no span of time, as in 90s, 15m, 2h, 1d12h or 1w", strconv.Quote(text))
	switch text {
	case "":
		return 0, bad
	case "0":
		return 0, nil
	}
	for rest := text; rest != ""; {
		end := 0
		for end < len(rest) && '0' <= rest[end] && rest[end] <= '9' {
			end++
		}
		n, err := strconv.ParseInt(rest[:end], 10, 64)
		if err != nil || n > maxSpan {
			return 0, bad
		}
		if end == len(rest) {
			return 0, bad
		}
		unit := units[rest[end]]
		if seconds += n * unit; unit == 0 || seconds > maxSpan {
			return 0, bad
		}
		rest = rest[end+1:]
	}
	return seconds, nil
}

// Size reads a number of bytes, as in 500, 10k, 2M or 1G, powers of 1024.
func Size(text string) (int64, error) {
	digits, unit := text, int64(1)
	if text != "" {
		if i := strings.IndexByte("kmg", text[len(text)-1]|0x20); i >= 0 {
			digits, unit = text[:len(text)-1], 1<<(10*(i+1))
		}
	}
	n, err := strconv.ParseUint(digits, 10, 31)
	if err != nil {
		return 0, fmt.Errorf("%s is no size, as in 500, 10k or 2M", strconv.Quote(text))
	}
	return int64(n) * unit, nil
}

// Count reads a number of things.
func Count(text string) (int, error) {
	n, err := strconv.ParseUint(text, 10, 31)
	if err != nil {
		return 0, fmt.Errorf("%s is no number, as in 0 or 3", strconv.Quote(text))
	}
	return int(n), nil
}

// Time reads a time: a span from now as in +2h; a clock time, which is the next
// one, as in 22:30; a day, or a day and a time, as in 2026-11-25 or "2026-11-25
// 22:30"; RFC 3339; or @ and Unix seconds.
func Time(text string, now time.Time) (time.Time, error) {
	if span, ok := strings.CutPrefix(text, "+"); ok {
		if s, err := Span(span); err == nil {
			return now.Add(time.Duration(s) * time.Second), nil
		}
	}
	if unix, ok := strings.CutPrefix(text, "@"); ok {
		if n, err := strconv.ParseUint(unix, 10, 40); err == nil {
			return time.Unix(int64(n), 0), nil
		}
	}
	if t, err := time.ParseInLocation("15:04", text, now.Location()); err == nil {
		day := time.Date(now.Year(), now.Month(), now.Day(), t.Hour(), t.Minute(), 0, 0, now.Location())
		if !day.After(now) {
			day = day.AddDate(0, 0, 1)
		}
		return day, nil
	}
	for _, layout := range []string{"2006-01-02 15:04:05", "2006-01-02 15:04", "2006-01-02", time.RFC3339} {
		if t, err := time.ParseInLocation(layout, text, now.Location()); err == nil {
			return t, nil
		}
	}
	if _, err := Span(text); err == nil {
		return time.Time{}, &UsageError{strconv.Quote(text) + " is a span of time: +" + text + " is that much from now"}
	}
	return time.Time{}, &UsageError{strconv.Quote(text) + ` is no time, as in +2h, 22:30, "2026-11-25 22:30" or @1795366888`}
}

// names understands the names of messages; the birth of those that lack it is
// asked for. Messages that are not there are failures.
func names(q Queue, words []string, result *steer.Result) (list []steer.Name, err error) {
	parsed := make([]steer.Name, len(words))
	for i, word := range words {
		if parsed[i], err = steer.ParseName(word); err != nil {
			return nil, &UsageError{strconv.Quote(word) + ": " + err.Error()}
		}
	}
	for _, name := range parsed {
		if name.Birth == 0 {
			m, err := q.Show(name)
			if err != nil && !refused(err) {
				return nil, err
			}
			if err != nil {
				result.Failed++
				result.Failures = append(result.Failures, steer.Failure{Name: name, Reason: err.Error()})
				continue
			}
			name = m.Name
		}
		list = append(list, name)
	}
	return list, nil
}

// refused reports whether an error is about one message.
func refused(err error) bool {
	var refusal *steer.Error
	return errors.As(err, &refusal) || errors.Is(err, errNoMessage) || errors.Is(err, errOther)
}
