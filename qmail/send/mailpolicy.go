package send

import (
	"slices"
	"strconv"
	"time"

	"github.com/reqmail/reqmail/compat/maillog"
	"github.com/reqmail/reqmail/compat/steer"
	"github.com/reqmail/reqmail/control"
	"github.com/reqmail/reqmail/qmail/policy"
	"github.com/reqmail/reqmail/queue"
	"github.com/reqmail/reqmail/queue/orders"
)

// readPolicy reads control/mailpolicy, unless there was trouble before; nil
// where the file is missing.
func readPolicy(d *control.Dir, before error) (p *policy.Policy, lines []error, err error) {
	if before != nil {
		return nil, nil, before
	}
	text, ok, err := d.Text(control.MailPolicy)
	if err != nil {
		return nil, nil, &unreadable{control.MailPolicy, err}
	}
	if !ok {
		return nil, nil, nil
	}
	p, lines = policy.Parse(text)
	return p, lines, nil
}

// rereadPolicy takes in control/mailpolicy again. One with mistakes changes
// nothing.
func (s *Scheduler) rereadPolicy() {
	p, lines, err := readPolicy(s.config.dir, nil)
	if err != nil {
		s.logLine(maillog.Alert("unable to reread control/" + string(control.MailPolicy)))
		return
	}
	s.warnAboutPolicy(p, lines)
	if len(lines) == 0 {
		s.config.policy = p
	}
}

// warnAboutPolicy tells what is wrong with control/mailpolicy.
func (s *Scheduler) warnAboutPolicy(p *policy.Policy, lines []error) {
	for _, err := range lines {
		s.logLine(maillog.Alert("control/mailpolicy: " + err.Error()))
	}
	if !p.Empty() && s.steer == nil {
		s.logLine(maillog.Alert("control/mailpolicy: without the folder queue/" + queue.SendState + " nothing is held or postponed"))
	}
}

// headerBytes is how much of a message rules look at.
const headerBytes = 64 << 10

// decide finds the rule of control/mailpolicy for a message in todo; nil where
// there is none.
func (c *Config) decide(id queue.ID) (*policy.Rule, error) {
	p := c.policy
	if p.Empty() {
		return nil, nil
	}
	var m policy.Message
	var err error
	if m.Sender, m.Recipients, err = queue.ReadEnvelope(id); err != nil {
		return nil, err
	}
	if m.Size, err = queue.MessSize(id); err != nil {
		return nil, &queue.FileError{Doing: "unable to stat", File: id.Mess(), Err: err}
	}
	if p.NeedsText() {
		text, err := queue.ReadMess(id, make([]byte, headerBytes))
		if err != nil {
			return nil, err
		}
		m.Header, m.Relay = policy.Fields(text)
	}
	rule, ok := p.Decide(&m)
	if !ok {
		return nil, nil
	}
	return &rule, nil
}

// archivist returns the local recipient of the copy that a rule asks for, if
// it does.
func (c *Config) archivist(rule *policy.Rule) string {
	if rule == nil || rule.Action != policy.Archive {
		return ""
	}
	host, ok := c.dir.Me()
	if !ok {
		host = c.envNoAtHost
	}
	return rule.User + "@" + host
}

// enforce orders what rules say of messages that were just preprocessed and are
// in todo still. It returns those whose orders are durable, and forgets the
// others: they stay in todo, to be preprocessed again. A crash leads to the same.
func (s *Scheduler) enforce(batch []prepared) []prepared {
	made := map[queue.ID]orders.Order{}
	notes := []string{}
	for _, m := range batch {
		if m.rule != nil && s.steer != nil {
			o, what := s.orderBy(m.rule)
			o.Birth = m.Birth
			made[m.id] = o
			notes = append(notes, maillog.Steered(uint64(m.id), what))
		}
	}
	if len(made) == 0 {
		return batch
	}
	err := s.steer.orders.Set(made)
	if err == nil {
		err = s.steer.orders.Sync()
	}
	if err == nil {
		for _, note := range notes {
			s.logLine(note)
		}
		return batch
	}
	s.logLine(maillog.Warning("unable to write " + steer.Folder + "/orders" + tryAgain))
	return slices.DeleteFunc(batch, func(m prepared) bool {
		_, failed := made[m.id]
		if failed {
			delete(s.todo.taken, m.id)
		}
		return failed
	})
}

// orderBy returns what a rule orders, and the words for it in the log.
func (s *Scheduler) orderBy(rule *policy.Rule) (o orders.Order, what string) {
	because := "mailpolicy line " + strconv.Itoa(rule.Line)
	switch rule.Action {
	case policy.Hold:
		o.Held, o.Since, o.Reason, o.Area = true, s.recent, because, rule.Area
		return o, "held: " + because
	case policy.Postpone:
		o.NotBefore, o.Area = rule.Next(time.Unix(s.recent, 0)).Unix(), policy.Postponed
		return o, "postponed: " + because
	}
	o.Area = policy.Archived
	return o, "archived: " + because
}
