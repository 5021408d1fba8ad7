package manage

import (
	"errors"
	"strings"
	"time"

	"github.com/reqmail/reqmail/compat/maillog"
	"github.com/reqmail/reqmail/compat/steer"
)

// Trace follows messages through a log: the one of a number, which may have
// been several messages' one after the other, or those from or to an address,
// which may be a glob; and their bounces.
func Trace(s *Screen, l *Logs, what string, since, until time.Time) error {
	t := &tracer{screen: s, lives: map[uint64]*life{}, deliveries: map[uint64]uint64{}, bounces: map[uint64]bool{}}
	if name, err := steer.ParseName(what); err == nil {
		t.id = name.ID
	} else if t.glob = what; !strings.ContainsAny(what, "@*") && what != "<>" {
		return &UsageError{"trace the number of a message, or an address"}
	}
	if err := l.each(since, until, t.entry); err != nil {
		return err
	}
	if s.JSON {
		if err := s.json(append([]traced{}, t.found...)); err != nil {
			return err
		}
	}
	if !t.any {
		return errors.New("the log has nothing of " + Safe(what))
	}
	return nil
}

// traced is a line that belongs to a message.
type traced struct {
	ID   uint64 `json:"id"`
	Time int64  `json:"time,omitempty"`
	Text string `json:"text"`
}

// life is a message from "new msg" to "end msg"; its lines are kept until it is
// known whether they are wanted.
type life struct {
	wanted bool
	lines  []traced
}

// maxKept is how many lines of a message are kept.
const maxKept = 2000

type tracer struct {
	screen *Screen
	id     uint64
	glob   string

	lives      map[uint64]*life  // by number
	deliveries map[uint64]uint64 // number of message by number of delivery
	bounces    map[uint64]bool   // qp of bounces of wanted messages
	found      []traced          // for JSON
	any        bool
}

// entry takes a line of the log.
func (t *tracer) entry(e entry) {
	id := e.event.ID
	switch e.event.Kind {
	case maillog.KindStarting:
		t.deliveries[e.event.Delivery] = id
	case maillog.KindEnded, maillog.KindMangled:
		id = t.deliveries[e.event.Delivery]
		delete(t.deliveries, e.event.Delivery)
	case maillog.KindNewMessage:
		delete(t.lives, id)
	}
	if id == 0 {
		return
	}
	m := t.lives[id]
	if m == nil {
		m = &life{wanted: t.id == id}
		t.lives[id] = m
	}
	m.wanted = m.wanted || t.wants(e.event)
	if m.wanted && e.event.Kind == maillog.KindBounced {
		t.bounces[e.event.QP] = true
	}
	if len(m.lines) < maxKept {
		line := traced{ID: id, Text: e.text}
		if !e.time.IsZero() {
			line.Time = e.time.Unix()
		}
		m.lines = append(m.lines, line)
	}
	if m.wanted {
		t.tell(m.lines)
		m.lines = m.lines[:0]
	}
	if e.event.Kind == maillog.KindEndMessage {
		delete(t.lives, id)
	}
}

// wants reports whether a line makes its message one to be followed.
func (t *tracer) wants(e maillog.Event) bool {
	switch e.Kind {
	case maillog.KindInfo:
		bounce := t.bounces[e.QP]
		delete(t.bounces, e.QP)
		return bounce || t.glob != "" && (t.glob == "<>" && e.Sender == "" || steer.Glob(t.glob, e.Sender))
	case maillog.KindStarting:
		return t.glob != "" && steer.Glob(t.glob, e.Address)
	}
	return false
}

func (t *tracer) tell(lines []traced) {
	for _, l := range lines {
		t.any = true
		switch {
		case t.screen.JSON:
			t.found = append(t.found, l)
		case t.screen.Terminal():
			t.screen.wrapped("", t.screen.timeText(l.Time)+" "+Safe(l.Text))
		default:
			t.screen.fields(t.screen.timeText(l.Time), Safe(l.Text))
		}
	}
}
