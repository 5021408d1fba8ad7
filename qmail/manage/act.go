package manage

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/reqmail/reqmail/compat/steer"
)

// Order is an act as an administrator gives it: on the messages that are
// named, or on those that the words select.
type Order struct {
	steer.Act
	Messages []string // names
	Words    Words
	All      bool     // without words: on everything
	Cleaner  *Cleaner // for removals while qmail-send is stopped
	Consent
}

// Consent is how acts are agreed to.
type Consent struct {
	Yes bool      // without asking
	Ask io.Reader // answers are read from there; nil: nobody can be asked
}

// atOnce is how many messages an act names in one request.
const atOnce = 10000

// Act has an act done and shows what became of it. What a filter selects is
// listed first, and the act is on those messages alone: what is counted and
// agreed to is what is done.
func Act(s *Screen, q Queue, o Order) error {
	total := steer.Result{}
	f, byFiles := q.(*Files)
	if byFiles {
		f.cleaner = o.Cleaner
	}
	list, err := o.targets(q, &total)
	if err != nil {
		return err
	}
	if !o.DryRun {
		if err := o.agree(s, o.doing(), len(list)); err != nil {
			return err
		}
	}
	for batch := range slices.Chunk(list, atOnce) {
		act := o.Act
		act.Names = batch
		result, err := q.Act(act)
		if err != nil {
			if total.Touched > 0 {
				s.result(o.Act, total)
			}
			return err
		}
		add(&total, result)
	}
	s.result(o.Act, total)
	if byFiles && !o.DryRun && total.Touched > 0 {
		s.note(f.after(o.Act))
	}
	if total.Failed > 0 {
		return ErrLook
	}
	return nil
}

func add(total *steer.Result, r steer.Result) {
	total.Touched += r.Touched
	total.Failed += r.Failed
	total.Failures = append(total.Failures, r.Failures...)
}

// targets returns the messages that an act is on.
func (o *Order) targets(q Queue, result *steer.Result) ([]steer.Name, error) {
	switch {
	case len(o.Messages) > 0 && (o.All || !o.Words.Empty()):
		return nil, &UsageError{"messages are named, or selected by a filter, not both"}
	case len(o.Messages) > 0:
		return names(q, o.Messages, result)
	case o.All && !o.Words.Empty():
		return nil, &UsageError{"--all is every message: it does not go with a filter"}
	case !o.All && o.Words.Empty():
		return nil, &UsageError{"name messages, select them by a filter, or say --all"}
	}
	filter, err := o.Words.Filter()
	if err != nil {
		return nil, err
	}
	var list []steer.Name
	_, err = q.List(steer.Query{Filter: filter}, func(m steer.Message) error {
		list = append(list, m.Name)
		return nil
	})
	return list, err
}

// doing says what an act does.
func (o *Order) doing() string {
	if o.Verb == steer.Remove && o.Bounce {
		return "return"
	}
	return string(o.Verb)
}

// agree asks before more than one message is touched.
func (c Consent) agree(s *Screen, doing string, count int) error {
	if c.Yes || count <= 1 {
		return nil
	}
	if c.Ask == nil || s.Err == nil {
		return &UsageError{"nothing is done: " + doing + " " + Messages(count) + "? Agree by --yes"}
	}
	fmt.Fprintf(s.Err, "%s %s? [y/N] ", doing, Messages(count))
	answer, _ := bufio.NewReader(c.Ask).ReadString('\n')
	answer = strings.ToLower(strings.TrimSpace(answer))
	if answer == "y" || answer == "yes" {
		return nil
	}
	s.note("nothing is done")
	return ErrLook
}

// result shows what became of an act.
func (s *Screen) result(act steer.Act, r steer.Result) {
	if s.JSON {
		_ = s.json(struct {
			steer.Result
			DryRun bool `json:"dryRun,omitempty"`
		}{r, act.DryRun})
		return
	}
	would := ""
	if act.DryRun {
		would = "would "
	}
	verb := string(act.Verb)
	if act.Bounce {
		verb = "return"
	}
	s.line("%s%s %s", would, verb, Messages(r.Touched))
	for _, f := range r.Failures {
		s.line("not %s: %s", f.Name, Safe(f.Reason))
	}
	if more := r.Failed - len(r.Failures); more > 0 {
		s.line("not %d more", more)
	}
}

// after says what an act on files comes to.
func (f *Files) after(act steer.Act) string {
	switch {
	case act.Verb == steer.Remove && !act.Bounce:
		return "done in the files, while qmail-send is stopped"
	case act.Verb == steer.Retry:
		return "done in the files: qmail-send tries them when it starts"
	}
	return afterStart
}

const afterStart = "noted: it is carried out when reqmail's qmail-send starts; C's does not heed it"

// Flush makes everything due on a channel, or with "" on both.
func Flush(s *Screen, q Queue, channel string, dryRun bool, consent Consent) error {
	if channel != "" && channel != steer.Local && channel != steer.Remote {
		return &UsageError{"channel is local or remote, not " + strconv.Quote(channel)}
	}
	if !dryRun && !consent.Yes {
		would, err := q.Flush(channel, true)
		if err != nil {
			return err
		}
		if err := consent.agree(s, "flush", would.Touched); err != nil {
			return err
		}
	}
	r, err := q.Flush(channel, dryRun)
	if err != nil {
		return err
	}
	return s.ended(steer.Act{Verb: steer.Flush, DryRun: dryRun}, r)
}

// ended shows a result; that something failed is to be looked at.
func (s *Screen) ended(act steer.Act, r steer.Result) error {
	s.result(act, r)
	if r.Failed > 0 {
		return ErrLook
	}
	return nil
}

// AddRule puts a suspension or bounce in force, after asking if it is about
// more than one message in the queue.
func AddRule(s *Screen, q Queue, rule steer.Rule, dryRun bool, consent Consent) error {
	if err := rule.Check(); err != nil {
		return &UsageError{err.Error()}
	}
	would, err := q.AddRule(rule, true)
	if err != nil {
		return err
	}
	if dryRun {
		return s.ruled(rule, would, true)
	}
	if err := consent.agree(s, string(rule.Verb), would.Touched); err != nil {
		return err
	}
	r, err := q.AddRule(rule, false)
	if err != nil {
		return err
	}
	if _, ok := q.(*Files); ok {
		s.note(afterStart)
	}
	return s.ruled(rule, r, false)
}

// ruled shows a rule that is, or would be, in force.
func (s *Screen) ruled(rule steer.Rule, r steer.Result, dryRun bool) error {
	what := Safe(ruleText(&rule))
	switch {
	case s.JSON:
		return s.json(struct {
			steer.Result
			DryRun bool `json:"dryRun,omitempty"`
		}{r, dryRun})
	case dryRun:
		s.line("would %s mail %s, now %s", rule.Verb, what, Messages(r.Touched))
	default:
		s.line("rule %d: %s mail %s, now %s", r.Rule, rule.Verb, what, Messages(r.Touched))
	}
	return nil
}

// Cancel ends rules.
func Cancel(s *Screen, q Queue, numbers []string, dryRun bool) error {
	if len(numbers) == 0 {
		return &UsageError{"name the rules to cancel; reqmail rules lists them"}
	}
	list := make([]int, len(numbers))
	for i, text := range numbers {
		n, err := strconv.Atoi(text)
		if err != nil || n <= 0 {
			return &UsageError{strconv.Quote(text) + " is no number of a rule"}
		}
		list[i] = n
	}
	var total steer.Result
	var failed error
	for _, n := range list {
		r, err := q.CancelRule(n, dryRun)
		add(&total, r)
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("rule %d: %w", n, err))
		}
	}
	if failed == nil || total.Touched > 0 {
		s.result(steer.Act{Verb: steer.Cancel, DryRun: dryRun}, total)
	}
	return failed
}
