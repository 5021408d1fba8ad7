package manage

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/reqmail/reqmail/compat/maillog"
	"github.com/reqmail/reqmail/compat/steer"
)

// Share is one of the most frequent ones of something.
type Share struct {
	What     string `json:"what"`
	Messages int    `json:"messages"`        // or deliveries
	Bytes    int64  `json:"bytes,omitempty"` // 0: not known of what is counted
}

// Tops are the most frequent ones.
type Tops struct {
	Senders       []Share `json:"senders"`
	SenderDomains []Share `json:"senderDomains"`
	Recipients    []Share `json:"recipients"`
	Domains       []Share `json:"domains"`
	Reasons       []Share `json:"reasons"`
}

// LogTops is a report of a log.
type LogTops struct {
	Messages  int   `json:"messages"`
	Bytes     int64 `json:"bytes"`
	Delivered int   `json:"delivered"`
	Deferred  int   `json:"deferred"`
	Failed    int   `json:"failed"`
	Tops
}

// maxShares is how many different ones of something are counted; what comes
// later is left out.
const maxShares = 1000000

// tally counts.
type tally map[string]*Share

func (t tally) add(what string, size int64) {
	s := t[what]
	if s == nil {
		if len(t) >= maxShares {
			return
		}
		s = &Share{What: what}
		t[what] = s
	}
	s.Messages++
	s.Bytes += size
}

func (t tally) top(n int) []Share {
	list := make([]Share, 0, len(t))
	for s := range maps.Values(t) {
		list = append(list, *s)
	}
	slices.SortFunc(list, func(a, b Share) int {
		return cmp.Or(-cmp.Compare(a.Messages, b.Messages), -cmp.Compare(a.Bytes, b.Bytes), strings.Compare(a.What, b.What))
	})
	return list[:min(n, len(list))]
}

// tallies count what Tops has.
type tallies struct{ senders, senderDomains, recipients, domains, reasons tally }

func newTallies() tallies { return tallies{tally{}, tally{}, tally{}, tally{}, tally{}} }

func (t tallies) sender(who string, size int64) {
	t.senders.add(address(who), size)
	t.senderDomains.add(domainOf(who), size)
}

func (t tallies) recipient(who string, size int64) {
	t.recipients.add(who, size)
	t.domains.add(domainOf(who), size)
}

func (t tallies) tops(n int) Tops {
	return Tops{t.senders.top(n), t.senderDomains.top(n), t.recipients.top(n), t.domains.top(n), t.reasons.top(n)}
}

// domainOf returns the domain of an address; those that have none, the sender of
// bounces and that of double bounces among them, stand for themselves.
func domainOf(who string) string {
	i := strings.LastIndexByte(who, '@')
	if i < 0 || who == "#@[]" {
		return address(who)
	}
	return strings.ToLower(who[i+1:])
}

// queueTops counts what is in the queue.
func queueTops(q Queue, n int) (Tops, error) {
	t := newTallies()
	_, err := q.List(steer.Query{}, func(m steer.Message) error {
		t.sender(m.Sender, m.Size)
		for _, r := range m.Recipients {
			if r.Done {
				continue
			}
			t.recipient(r.Address, m.Size)
			if r.Reason != "" {
				t.reasons.add(strings.TrimSpace(r.Reason), 0)
			}
		}
		return nil
	})
	return t.tops(n), err
}

// logTops counts what is in a log.
func logTops(l *Logs, since, until time.Time, n int) (LogTops, error) {
	var r LogTops
	t := newTallies()
	err := l.each(since, until, func(e entry) {
		switch e.event.Kind {
		case maillog.KindInfo:
			r.Messages++
			r.Bytes += int64(e.event.Size)
			t.sender(e.event.Sender, int64(e.event.Size))
		case maillog.KindStarting:
			t.recipient(e.event.Address, 0)
		case maillog.KindEnded:
			switch e.event.Result {
			case maillog.Success:
				r.Delivered++
				return
			case maillog.Deferral:
				r.Deferred++
			case maillog.Failure:
				r.Failed++
			}
			t.reasons.add(string(e.event.Result)+": "+e.event.Text, 0)
		}
	})
	r.Tops = t.tops(n)
	return r, err
}

// Report shows who sends, who is sent to, and why mail waits: by the queue, and,
// where there is a log, by that over a span of time.
func Report(s *Screen, q Queue, l *Logs, since, until time.Time, n int) error {
	inQueue, err := queueTops(q, n)
	if err != nil {
		return err
	}
	var inLog *LogTops
	if l != nil {
		r, err := logTops(l, since, until, n)
		if err != nil {
			return err
		}
		inLog = &r
	}
	if s.JSON {
		return s.json(struct {
			Queue Tops     `json:"queue"`
			Log   *LogTops `json:"log,omitempty"`
		}{inQueue, inLog})
	}
	s.tops("queue", inQueue)
	if inLog == nil {
		return nil
	}
	s.emphasis(bold, "log: "+Messages(inLog.Messages)+", "+bytesText(inLog.Bytes)+"; deliveries: "+strconv.Itoa(inLog.Delivered)+
		" succeeded, "+strconv.Itoa(inLog.Deferred)+" were deferred, "+strconv.Itoa(inLog.Failed)+" failed")
	s.tops("log", inLog.Tops)
	return nil
}

// tops shows tables of the most frequent ones.
func (s *Screen) tops(where string, t Tops) {
	for _, table := range []struct {
		name string
		list []Share
	}{
		{"senders", t.Senders}, {"sender domains", t.SenderDomains}, {"recipients", t.Recipients}, {"domains", t.Domains}, {"reasons", t.Reasons},
	} {
		if len(table.list) == 0 {
			continue
		}
		if s.Terminal() {
			s.emphasis(bold, where+": "+table.name)
			s.line("%8s %5s  %s", "COUNT", "BYTES", strings.ToUpper(strings.TrimSuffix(table.name, "s")))
		}
		for _, share := range table.list {
			s.share(where, table.name, share)
		}
	}
}

// share shows a row of a table. No message is empty: what has no bytes was
// counted where no sizes are.
func (s *Screen) share(where, table string, share Share) {
	size, plainSize := "-", "-"
	if share.Bytes > 0 {
		size, plainSize = sizeText(share.Bytes), strconv.FormatInt(share.Bytes, 10)
	}
	if s.Terminal() {
		s.line("%8d %5s  %s", share.Messages, size, reasonText(share.What))
		return
	}
	s.fields(where, table, strconv.Itoa(share.Messages), plainSize, reasonText(share.What))
}
