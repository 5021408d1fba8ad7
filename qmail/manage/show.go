package manage

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/reqmail/reqmail/compat/steer"
	"github.com/reqmail/reqmail/control"
	"github.com/reqmail/reqmail/queue"
)

// Part is how much of a message's text is shown.
type Part int

// The parts.
const (
	Header Part = iota
	Body        // header and body
	Raw         // the text alone, its bytes as they are
)

// Limits of what is shown of a text.
const (
	maxHeader = 64 << 10
	maxBody   = 16 << 20 // as JSON
	maxLine   = 8 << 10
)

// nextTries is how many tries to come are shown.
const nextTries = 10

// Try is a try to come.
type Try struct {
	Channel string `json:"channel"`
	At      int64  `json:"at"`
	Last    bool   `json:"last,omitempty"` // the message bounces if it is deferred then
}

// Show shows all that is known of one message. The home is qmail's.
func Show(s *Screen, q Queue, home, word string, part Part) error {
	name, err := steer.ParseName(word)
	if err != nil {
		return &UsageError{strconv.Quote(word) + ": " + err.Error()}
	}
	m, err := q.Show(name)
	if err != nil {
		return fmt.Errorf("message %s: %w", name, err)
	}
	text, err := openText(m.Name)
	if err != nil {
		return fmt.Errorf("message %s: %w", m.Name, err)
	}
	defer text.Close()
	if part == Raw {
		if s.Terminal() {
			return &UsageError{"the text as it is may upset a terminal: send it elsewhere, or see it by --body"}
		}
		_, err := io.Copy(s.Out, text)
		return err
	}
	to, err := toCome(home, &m)
	if err != nil {
		return err
	}
	if s.JSON {
		return showJSON(s, &m, to, text, part)
	}
	s.message(&m)
	s.recipients(&m)
	for _, t := range to {
		last := ""
		if t.Last {
			last = ", the last one"
		}
		s.line("next      %s %s%s", t.Channel, s.timeText(t.At), last)
	}
	s.line("")
	return s.text(text, part)
}

// openText opens the text of a message; its number cannot be another's while
// the file is open.
func openText(name steer.Name) (*os.File, error) {
	f, err := os.Open(queue.ID(name.ID).Mess())
	if errors.Is(err, os.ErrNotExist) {
		return nil, errNoMessage
	}
	if err != nil {
		return nil, err
	}
	for _, since := range []func(queue.ID) (int64, bool, error){queue.Birth, queue.Queued} {
		if at, ok, err := since(queue.ID(name.ID)); err == nil && ok && at == name.Birth {
			return f, nil
		}
	}
	f.Close()
	return nil, errNoMessage
}

// toCome returns the next tries of a message.
func toCome(home string, m *steer.Message) (list []Try, err error) {
	if m.Hold != nil && m.Hold.Until == 0 {
		return nil, nil
	}
	lifetime, err := Lifetime(home)
	if err != nil {
		return nil, err
	}
	if m.ExpireAt != 0 {
		lifetime = m.ExpireAt - m.Birth
	}
	for c, next := range map[queue.Channel]int64{queue.Local: m.Local, queue.Remote: m.Remote} {
		next = max(next, m.NextTry)
		if left := left(m, c.String()); !left || c == queue.Local && m.Local == 0 || c == queue.Remote && m.Remote == 0 {
			continue
		}
		ages := tries(Qmail{c, lifetime}, max(next, now())-m.Birth, nextTries)
		for _, age := range ages {
			list = append(list, Try{c.String(), m.Birth + age, queue.Expired(m.Birth, m.Birth+age, lifetime)})
		}
	}
	return list, nil
}

// left reports whether a message has recipients on a channel that are not done,
// as far as is told of them.
func left(m *steer.Message, channel string) bool {
	for _, r := range m.Recipients {
		if r.Channel == channel && !r.Done {
			return true
		}
	}
	return m.Count > len(m.Recipients)
}

// Lifetime returns for how many seconds mail is tried.
func Lifetime(home string) (int64, error) {
	dir, err := control.Open(home + "/control")
	if err != nil {
		return 0, err
	}
	n, err := dir.Int(control.QueueLifetime)
	return int64(n), err
}

func showJSON(s *Screen, m *steer.Message, to []Try, text io.Reader, part Part) error {
	shown := struct {
		steer.Message
		NextTries []Try  `json:"nextTries"`
		Header    string `json:"header"`
		Body      string `json:"body,omitempty"`
	}{Message: *m, NextTries: append([]Try{}, to...)}
	data, err := io.ReadAll(io.LimitReader(text, maxBody))
	if err != nil {
		return err
	}
	var body string
	shown.Header, body, _ = strings.Cut(string(data), "\n\n")
	shown.Header = shown.Header[:min(len(shown.Header), maxHeader)]
	if part == Body {
		shown.Body = body
	}
	return s.json(shown)
}

// message shows the envelope and how the message stands.
func (s *Screen) message(m *steer.Message) {
	s.emphasis(bold, "message   "+m.Name.String()+", "+string(m.State))
	s.line("created   %s, %s old", s.timeText(m.Birth), spanText(now()-m.Birth))
	s.line("size      %s", sizeText(m.Size))
	next := "next " + s.nextTry(m)
	switch next {
	case "next held":
		next = "none while it is held"
	case "next now":
		next = "one is under way"
	}
	s.line("tries     %s; %s", triesText(m), next)
	s.line("from      %s", Safe(address(m.Sender)))
	if m.Hold != nil {
		until := "released"
		if m.Hold.Until != 0 {
			until = s.timeText(m.Hold.Until)
		}
		s.line("held      since %s until %s; it does not expire meanwhile: once", s.timeText(m.Hold.Since), until)
		s.line("          released, a message older than its lifetime gets one last try")
		if m.Hold.Reason != "" {
			s.line("          because: %s", Safe(m.Hold.Reason))
		}
	}
	if m.NotBefore != 0 {
		s.line("postponed until %s", s.timeText(m.NotBefore))
	}
	if m.ExpireAt != 0 {
		s.line("expires   %s: a lifetime of its own", s.timeText(m.ExpireAt))
	}
	if m.Rule != 0 {
		s.line("waits     for the end of suspension %d", m.Rule)
	}
	if m.Area != "" {
		s.line("area      %s", Safe(m.Area))
	}
	if m.Trouble != "" {
		s.line("trouble   %s", Safe(m.Trouble))
	}
}

func (s *Screen) recipients(m *steer.Message) {
	for _, r := range m.Recipients {
		state := "waits"
		if r.Done {
			state = "done"
		}
		if m.State == steer.Queued {
			s.line("to        %s", Safe(r.Address))
			continue
		}
		s.line("to        %s, %s, %s", Safe(r.Address), r.Channel, state)
		if reason := strings.TrimSpace(r.Reason); reason != "" {
			s.wrapped("          ", s.timeText(r.At)+": "+reasonText(reason))
		}
	}
	if more := m.Count - len(m.Recipients); more > 0 {
		s.line("          and %d more", more)
	}
}

// wrapped shows all of a text, in several lines where a terminal needs them,
// cut between words where there are some.
func (s *Screen) wrapped(indent, text string) {
	for s.Terminal() && columnsOf(text) > s.Width-len(indent) && s.Width > 2*len(indent) {
		part := strings.TrimSuffix(clip(text, s.Width-len(indent)+1), "…")
		if part == "" {
			break
		}
		if at := strings.LastIndexByte(part, ' '); at > len(part)/2 {
			part = part[:at+1]
		}
		s.line("%s%s", indent, strings.TrimRight(part, " "))
		text = text[len(part):]
	}
	s.line("%s%s", indent, text)
}

// text shows the lines of a message: its header, and with Body the rest.
func (s *Screen) text(text io.Reader, part Part) error {
	in := bufio.NewReaderSize(text, maxLine)
	for size := 0; part == Body || size < maxHeader; {
		line, err := in.ReadSlice('\n')
		size += len(line)
		if part != Body && len(line) <= 1 {
			return nil
		}
		if len(line) > 0 {
			shown := strings.ReplaceAll(strings.TrimSuffix(string(line), "\n"), "\t", "    ")
			s.wrapped("", Safe(shown))
		}
		if err == io.EOF {
			return nil
		}
		if err != nil && err != bufio.ErrBufferFull {
			return err
		}
	}
	return nil
}
