package manage

import (
	"cmp"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/reqmail/reqmail/compat/steer"
)

// remark says what a queue lacks.
func (s *Screen) remark(q Queue) {
	if f, ok := q.(*Files); ok {
		s.note(f.Note())
	}
}

// Status shows counts, rates and what qmail-send is about.
func Status(s *Screen, q Queue) error {
	st, err := q.Status()
	if err != nil {
		return err
	}
	f, byFiles := q.(*Files)
	if s.JSON {
		return s.json(struct {
			steer.Status
			Listening bool `json:"listening"`
			Running   bool `json:"running"`
		}{st, !byFiles, !byFiles || f.running})
	}
	switch {
	case st.Leaving:
		s.emphasis(red, "qmail-send is leaving: it waits for the deliveries that run")
	case st.TakingIn:
		s.emphasis(red, "qmail-send has just started: more messages are in the queue than it has looked at yet")
	}
	line := func(name, format string, args ...any) { s.line("%-17s"+format, append([]any{name}, args...)...) }
	held := ""
	if st.Held > 0 {
		held = fmt.Sprintf("; %d held", st.Held)
	}
	if st.Frozen > 0 {
		held += fmt.Sprintf(", %d of them frozen", st.Frozen)
	}
	line("messages", "%d, %s%s", st.Messages, bytesText(st.Bytes), held)
	line("not preprocessed", "%d", st.Todo)
	s.channelStatus("local", st.Local, byFiles)
	s.channelStatus("remote", st.Remote, byFiles)
	if st.Oldest != nil {
		line("oldest", "%s, %s old", st.Oldest, spanText(st.Now-st.Oldest.Birth))
	}
	if byFiles {
		return nil
	}
	line("next wake-up", "%s, in %s", s.timeText(st.NextWake), spanText(max(st.NextWake-st.Now, 0)))
	s.rates("last minute", st.Minute)
	s.rates("last hour", st.Hour)
	return nil
}

func (s *Screen) channelStatus(name string, c steer.ChannelStatus, byFiles bool) {
	text := fmt.Sprintf("%-17s%s", name, Messages(c.Messages))
	if !byFiles {
		text += fmt.Sprintf(", %d of %d deliveries run", c.Running, c.Allowed)
	}
	if c.NextTry != 0 {
		text += ", next try " + s.timeText(c.NextTry)
	}
	if c.Suspended {
		text += ", suspended"
	}
	s.line("%s", text)
}

func (s *Screen) rates(name string, r steer.Rates) {
	s.line("%-17s%d arrived, %d delivered, %d deferred, %d failed, %d ended", name, r.Arrived, r.Delivered, r.Deferred, r.Failed, r.Ended)
}

// List shows the messages of a query.
func List(s *Screen, q Queue, query steer.Query) error {
	if s.JSON {
		return listJSON(s, q, query)
	}
	if s.Terminal() {
		s.emphasis(bold, fmt.Sprintf(listRow, "ID", "CREATED", "NEXT TRY", "SIZE", "TRIES", "STATE", "FROM / TO: STATUS"))
	}
	shown := 0
	total, err := q.List(query, func(m steer.Message) error {
		shown++
		if s.Terminal() {
			s.listed(&m)
		} else {
			s.listedPlain(&m)
		}
		return nil
	})
	if err != nil || !s.Terminal() {
		return err
	}
	of := strconv.Itoa(total)
	if total < 0 {
		of = "more"
	}
	s.line("%d of %s messages", shown, of)
	return nil
}

// listJSON writes the messages as they come: there may be very many.
func listJSON(s *Screen, q Queue, query steer.Query) error {
	separator := `{"messages":[` + "\n"
	begin := func() { io.WriteString(s.Out, separator); separator = ",\n" }
	total, err := q.List(query, func(m steer.Message) error {
		line, err := safeJSON(m)
		if err != nil {
			return err
		}
		begin()
		_, err = s.Out.Write(line)
		return err
	})
	if err != nil {
		return err
	}
	if separator != ",\n" {
		begin()
	}
	_, err = fmt.Fprintf(s.Out, "\n],\"total\":%d}\n", total)
	return err
}

// listRow is the first line of a message.
const listRow = "%-10s %-12s %-12s %5s %5s %-9s %s"

// narrow is the width below which a sender has no room in the first line.
const narrow = 75

// listed shows a message in two lines, for which 80 columns do, or in three.
func (s *Screen) listed(m *steer.Message) {
	sender := Safe(address(m.Sender))
	if s.Width < narrow {
		sender = ""
	}
	s.line(listRow, strconv.FormatUint(m.ID, 10), s.timeText(m.Birth), s.nextTry(m), sizeText(m.Size), triesText(m), string(m.State), sender)
	if s.Width < narrow {
		s.line("  from %s", Safe(address(m.Sender)))
	}
	to := m.Trouble
	if len(m.Recipients) > 0 {
		first := m.Recipients[0]
		to = "to " + clip(Safe(address(first.Address)), 40)
		if m.Count > 1 {
			to += " and " + strconv.Itoa(m.Count-1) + " more"
		}
		if reason := cmp.Or(first.Reason, m.Reason); reason != "" {
			to += ": " + reasonText(reason)
		}
	}
	if s.Width < narrow {
		s.line("  %s", to)
		return
	}
	s.line("%11s%s", "", to)
}

// listedPlain shows a message as a line for other programs.
func (s *Screen) listedPlain(m *steer.Message) {
	var to []string
	for _, r := range m.Recipients {
		to = append(to, Safe(r.Address))
	}
	s.fields(m.Name.String(), s.timeText(m.Birth), s.nextTry(m), strconv.FormatInt(m.Size, 10), triesText(m), string(m.State),
		Safe(address(m.Sender)), strings.Join(to, " "), reasonText(cmp.Or(m.Reason, m.Trouble)))
}

// triesText shows how often a message was tried.
func triesText(m *steer.Message) string {
	if m.Tries == steer.TriesUnknown {
		return "-"
	}
	return strconv.Itoa(m.Tries)
}

// nextTry says when a message is tried next, ASAP for a first try.
func (s *Screen) nextTry(m *steer.Message) string {
	switch {
	case m.State == steer.Active:
		return "now"
	case m.NextTry == 0 && m.Hold != nil:
		return "held"
	case (m.Tries == 0 || m.State == steer.Fresh || m.State == steer.Queued) && m.NextTry <= now():
		return "ASAP"
	}
	return s.timeText(m.NextTry)
}

// Top shows the deliveries under way.
func Top(s *Screen, q Queue) error {
	var live []steer.Delivery
	err := q.Live(func(d steer.Delivery) error { live = append(live, d); return nil })
	if err != nil {
		return err
	}
	if s.JSON {
		return s.json(append([]steer.Delivery{}, live...))
	}
	if s.Terminal() {
		if st, err := q.Status(); err == nil {
			s.line("local %d/%d, remote %d/%d; %s, %s; in a minute %d done, %d deferred",
				st.Local.Running, st.Local.Allowed, st.Remote.Running, st.Remote.Allowed, Messages(st.Messages), bytesText(st.Bytes),
				st.Minute.Delivered, st.Minute.Deferred)
		}
		from, to := topWidths(s.Width)
		s.emphasis(bold, fmt.Sprintf("%-10s %5s %-*s %-*s %-18s %7s %4s", "ID", "SIZE", from, "FROM", to, "TO", "PHASE", "TIME", "SENT"))
	}
	t := now()
	for i := range live {
		s.delivery(&live[i], t)
	}
	return nil
}

// topWidths is how many columns there are for sender and recipient.
func topWidths(width int) (from, to int) {
	rest := max(width-50, 24)
	return rest / 2, rest - rest/2
}

func (s *Screen) delivery(d *steer.Delivery, t int64) {
	phase := d.Phase
	if phase == steer.PhaseRunning {
		phase = d.Channel
	}
	if d.Host != "" {
		phase += " " + d.Host
	}
	sent := "-"
	if d.Sent > 0 && d.Size > 0 {
		sent = strconv.FormatInt(min(100*d.Sent/d.Size, 100), 10) + "%"
	}
	if !s.Terminal() {
		s.fields(d.Name.String(), strconv.FormatInt(d.Size, 10), Safe(address(d.Sender)), Safe(d.Recipient), d.Channel, Safe(d.Phase),
			Safe(cmp.Or(d.Host, "-")), strconv.FormatInt(t-d.Since, 10), sent)
		return
	}
	from, to := topWidths(s.Width)
	s.line("%-10d %5s %s %s %s %7s %4s", d.ID, sizeText(d.Size), cell(address(d.Sender), from), cell(d.Recipient, to),
		cell(phase, 18), spanText(t-d.Since), sent)
}

// Rules shows the suspensions and bounces in force.
func Rules(s *Screen, q Queue) error {
	rules, err := q.Rules()
	if err != nil {
		return err
	}
	if s.JSON {
		return s.json(append([]steer.Rule{}, rules...))
	}
	if s.Terminal() {
		s.emphasis(bold, fmt.Sprintf("%6s %-8s %-12s %-12s %s", "NUMBER", "ORDER", "SINCE", "UNTIL", "WHAT: REASON"))
	}
	for _, r := range rules {
		what := Safe(ruleText(&r))
		if !s.Terminal() {
			s.fields(strconv.Itoa(r.Number), string(r.Verb), s.timeText(r.Since), s.timeText(r.Until), what, Safe(r.Reason))
			continue
		}
		if r.Reason != "" {
			what += ": " + Safe(r.Reason)
		}
		s.line("%6d %-8s %-12s %-12s %s", r.Number, r.Verb, s.timeText(r.Since), s.timeText(r.Until), what)
	}
	return nil
}

// ruleText says what mail a rule is about.
func ruleText(r *steer.Rule) string {
	switch {
	case r.Destination != "":
		return "to " + r.Destination
	case r.SenderDomain != "":
		return "from " + r.SenderDomain
	}
	return "on channel " + r.Channel
}
