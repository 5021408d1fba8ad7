package send

import (
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
func (s *Scheduler) decide(id queue.ID) (*policy.Rule, error) {
	p := s.config.policy
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

// enforce orders what a rule says of a message that was just preprocessed and
// is in todo still. False means that this could not be made durable: the message
// stays there, to be preprocessed again. A crash leads to the same.
func (s *Scheduler) enforce(id queue.ID, rule *policy.Rule) bool {
	if rule == nil || s.steer == nil {
		return true
	}
	birth, _, err := queue.Birth(id)
	if err != nil {
		s.warnFileError(err, tryAgain)
		return false
	}
	because := "mailpolicy line " + strconv.Itoa(rule.Line)
	o := orders.Order{Birth: birth}
	what := "archived"
	switch rule.Action {
	case policy.Hold:
		what = "held"
		o.Held, o.Since, o.Reason, o.Area = true, s.recent, because, rule.Area
	case policy.Postpone:
		what = "postponed"
		o.NotBefore, o.Area = rule.Next(time.Unix(s.recent, 0)).Unix(), policy.Postponed
	case policy.Archive:
		o.Area = policy.Archived
	}
	err = s.steer.orders.Set(map[queue.ID]orders.Order{id: o})
	if err == nil && rule.Action != policy.Archive {
		err = s.steer.orders.Sync()
	}
	if err != nil {
		s.logLine(maillog.Warning("unable to write " + steer.Folder + "/orders" + tryAgain))
		return false
	}
	s.logLine(maillog.Steered(uint64(id), what+": "+because))
	return true
}
