package serve

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"github.com/reqmail/reqmail/compat/steer"
)

// prefix is where the API begins.
const prefix = "/api/v1"

// route is one call. Its description is made of it (openapi.go).
type route struct {
	method, path string
	summary      string
	open         bool // needs no token
	basic        bool // takes the token as the password of basic authentication too
	acts         bool // needs a token that may act
	whole        bool // not for tokens for domains
	params       []param
	in, out      any // values of the types of body and answer; out may be a media type
	serve        func(*call) error
}

func routes() []route {
	dry := param{name: "dry_run", kind: "boolean", doc: "true: only say what would be done"}
	return []route{
		{method: "GET", path: prefix + "/status", whole: true, out: steer.Status{}, serve: (*call).status,
			summary: "State of the whole queue: counts, channels, rates"},
		{method: "GET", path: prefix + "/messages", params: listParams[:], out: List{}, serve: (*call).list,
			summary: "Messages that filters select, in order"},
		{method: "GET", path: prefix + "/messages/{name}", out: Message{}, serve: (*call).show,
			summary: "All that is known of one message, named NUMBER or NUMBER.BIRTH"},
		{method: "GET", path: prefix + "/messages/{name}/text", params: textParams[:], out: "text/plain", serve: (*call).text,
			summary: "Header or whole text of a message, named NUMBER.BIRTH; its first MiB"},
		{method: "GET", path: prefix + "/deliveries", out: Deliveries{}, serve: (*call).deliveries,
			summary: "Deliveries under way, oldest first"},
		{method: "GET", path: prefix + "/rules", whole: true, out: Rules{}, serve: (*call).rules,
			summary: "Suspensions and bounces in force"},
		{method: "POST", path: prefix + "/acts", acts: true, in: Act{}, out: steer.Result{}, serve: (*call).act,
			summary: "Retry, hold, release, remove, postpone or expire messages"},
		{method: "POST", path: prefix + "/rules", acts: true, whole: true, in: NewRule{}, out: steer.Result{}, serve: (*call).addRule,
			summary: "Suspend or bounce mail of a destination, a sender domain or a channel"},
		{method: "DELETE", path: prefix + "/rules/{number}", acts: true, whole: true, params: []param{dry}, out: steer.Result{}, serve: (*call).cancelRule,
			summary: "End a suspension or bounce"},
		{method: "POST", path: prefix + "/flush", acts: true, whole: true, in: Flush{}, out: steer.Result{}, serve: (*call).flush,
			summary: "Make everything due now that is not held or postponed, as ALRM does"},
		{method: "GET", path: prefix + "/token", out: Holder{}, serve: (*call).holder,
			summary: "What the token that is used may do"},
		{method: "GET", path: prefix + "/openapi.json", open: true, out: "application/json", serve: (*call).describe,
			summary: "This description"},
		{method: "GET", path: "/metrics", basic: true, whole: true, out: metricsType, serve: (*call).metrics,
			summary: "Gauges for Prometheus"},
		{method: "GET", path: "/cgi-bin/api", basic: true, params: spamExpertsParams[:], out: "text/plain", serve: (*call).spamExperts,
			summary: "SpamExperts' calls that list the queue"},
	}
}

// Message is a message, with its name in one piece for use in requests.
type Message struct {
	Handle string `json:"name"` // NUMBER.BIRTH
	steer.Message
}

// List is an answer with messages.
type List struct {
	Messages []Message `json:"messages"`
	Total    int       `json:"total"` // selected, whatever the limit; -1: more than the limit
}

// Deliveries is an answer with deliveries.
type Deliveries struct {
	Deliveries []Delivery `json:"deliveries"`
}

// Delivery is a delivery, with its message's name in one piece.
type Delivery struct {
	Handle string `json:"name"`
	steer.Delivery
}

// Rules is an answer with suspensions and bounces.
type Rules struct {
	Rules []steer.Rule `json:"rules"`
}

// Act asks for something to be done to messages: those of Names, or, without
// any, those that Filter selects. One of the two must be there.
type Act struct {
	Verb   steer.Verb    `json:"verb"` // retry, hold, release, remove, postpone or expire
	Names  []string      `json:"names,omitempty"`
	Filter *steer.Filter `json:"filter,omitempty"` // {} selects every message
	DryRun bool          `json:"dryRun,omitempty"`
	Until  int64         `json:"until,omitempty"` // Unix seconds: hold, postpone, expire
	Reason string        `json:"reason,omitempty"`
	Bounce bool          `json:"bounce,omitempty"` // remove: return them to their senders
}

// NewRule asks for a suspension or a bounce.
type NewRule struct {
	steer.Rule
	DryRun bool `json:"dryRun,omitempty"`
}

// Flush asks for everything on a channel, or on both, to be tried now.
type Flush struct {
	Channel string `json:"channel,omitempty"`
	DryRun  bool   `json:"dryRun,omitempty"`
}

// Holder tells about a token.
type Holder struct {
	Name    string   `json:"name"`
	Act     bool     `json:"act"`
	Domains []string `json:"domains,omitempty"`
}

// Problem is the answer to what cannot be done.
type Problem struct {
	Error string `json:"error"`
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	text, err := json.Marshal(v)
	if err != nil {
		status, text = http.StatusInternalServerError, []byte(`{"error":"the answer cannot be written as JSON"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(text, '\n')) // the client may have gone
}

// answer answers with v unless there was an error.
func (c *call) answer(v any, err error) error {
	if err == nil {
		writeJSON(c.w, http.StatusOK, v)
	}
	return err
}

// body reads the body of a request, one JSON value of known fields.
func (c *call) body(v any) error {
	if c.r.Header.Get("Content-Type") != "application/json" {
		return &refusal{http.StatusUnsupportedMediaType, "Content-Type must be application/json"}
	}
	d := json.NewDecoder(c.r.Body)
	d.DisallowUnknownFields()
	err := d.Decode(v)
	if err == nil {
		if _, err = d.Token(); err == io.EOF {
			return nil
		}
		err = errors.New("there is more behind it")
	}
	var big *http.MaxBytesError
	if errors.As(err, &big) {
		return &refusal{http.StatusRequestEntityTooLarge, "the body is too long"}
	}
	return wrong("the body is not understood: " + err.Error())
}

func (c *call) holder() error {
	return c.answer(Holder{c.token.Name, c.token.Act, c.token.Domains}, nil)
}

func (c *call) status() error {
	return c.converse(func(q Queue) error {
		st, err := q.Status()
		return c.answer(st, err)
	})
}

// list streams: what is listed may be more than is good to hold.
func (c *call) list() error {
	query, err := parseQuery(c.r.URL.Query())
	if err != nil {
		return err
	}
	query.Filter.Concerns = c.token.Domains
	return c.converse(func(q Queue) error {
		between, hidden := `{"messages":[`, 0
		total, err := q.List(query, func(m steer.Message) error {
			seen := c.seen(m)
			if !query.Filter.MatchFiles(&seen.Message) && len(c.token.Domains) > 0 {
				hidden++ // the filter applies to nothing that the token may see
				return nil
			}
			line, err := json.Marshal(seen)
			if err != nil {
				return err
			}
			if between[0] == '{' {
				c.w.Header().Set("Content-Type", "application/json")
			}
			_, err = io.WriteString(c.w, between+string(line))
			between = ",\n"
			return err
		})
		if total > 0 {
			total -= hidden
		}
		switch {
		case err != nil && between[0] != '{':
			panic(abort) // half an answer must not look like a whole one
		case err != nil:
			return err
		case between[0] == '{':
			return c.answer(List{[]Message{}, total}, nil)
		}
		_, _ = fmt.Fprintf(c.w, "],\"total\":%d}\n", total)
		return nil
	})
}

// seen is what a token sees of a message: without recipients of other domains,
// unless the message is from one of its own.
func (c *call) seen(m steer.Message) Message {
	if len(c.token.Domains) == 0 || steer.InDomains(c.token.Domains, m.Sender) {
		return Message{m.Name.String(), m}
	}
	m.Recipients = slices.DeleteFunc(slices.Clone(m.Recipients), func(r steer.Recipient) bool {
		return !steer.InDomains(c.token.Domains, r.Address)
	})
	m.Reason, m.Count, m.Left = "", len(m.Recipients), 0
	for _, r := range m.Recipients {
		if !r.Done {
			m.Left++
		}
		if m.Reason == "" {
			m.Reason = r.Reason
		}
	}
	return Message{m.Name.String(), m}
}

// find asks for the message of a request's path; of one that does not concern
// the token it says what it says of one that does not exist.
func (c *call) find(q Queue, birth bool) (steer.Message, error) {
	name, err := steer.ParseName(c.r.PathValue("name"))
	if err != nil {
		return steer.Message{}, wrong(err.Error())
	}
	if birth && name.Birth == 0 {
		return steer.Message{}, wrong("NUMBER.BIRTH is needed here")
	}
	m, err := q.Show(name)
	var theirs *steer.Error
	if errors.As(err, &theirs) || err == nil && !c.token.sees(m.Sender, addresses(m, true)...) {
		return steer.Message{}, errNoMessage
	}
	return m, err
}

// addresses returns a message's recipients, with those that are done or without.
func addresses(m steer.Message, done bool) (list []string) {
	for _, r := range m.Recipients {
		if done || !r.Done {
			list = append(list, r.Address)
		}
	}
	return list
}

func (c *call) show() error {
	return c.converse(func(q Queue) error {
		m, err := c.find(q, false)
		return c.answer(c.seen(m), err)
	})
}

// textParams are the parameters of text.
var textParams = [...]param{{name: "part", kind: "string", doc: "header or all; header unless given"}}

// text answers with a message's text, as text whatever it is. A number may be
// another message's at once: what was read before the message was seen is its
// own, for it was there before.
func (c *call) text() error {
	values := c.r.URL.Query()
	if err := checkParams(values, textParams[:]); err != nil {
		return err
	}
	part := values.Get("part")
	if part != "" && part != "header" && part != "all" {
		return wrong("part is header or all")
	}
	return c.converse(func(q Queue) error {
		if _, err := c.find(q, true); err != nil {
			return err
		}
		name, _ := steer.ParseName(c.r.PathValue("name"))
		content, err := c.Text(name.ID, maxText)
		if _, gone := c.find(q, true); gone != nil {
			return gone
		}
		if err != nil {
			return err
		}
		if part != "all" {
			content = header(content)
		}
		c.w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		c.w.Header().Set("Content-Disposition", "attachment; filename=message.txt")
		_, _ = c.w.Write(content)
		return nil
	})
}

// header returns the header of a message, without the empty line behind it.
func header(content []byte) []byte {
	if len(content) > 0 && content[0] == '\n' {
		return nil
	}
	if end := bytes.Index(content, []byte("\n\n")); end >= 0 {
		return content[:end+1]
	}
	return content
}

func (c *call) deliveries() error {
	return c.converse(func(q Queue) error {
		list := Deliveries{[]Delivery{}}
		err := q.Live(func(d steer.Delivery) error {
			if c.token.sees(d.Sender, d.Recipient) {
				list.Deliveries = append(list.Deliveries, Delivery{d.Name.String(), d})
			}
			return nil
		})
		return c.answer(list, err)
	})
}

func (c *call) rules() error {
	return c.converse(func(q Queue) error {
		rules, err := q.Rules()
		if rules == nil {
			rules = []steer.Rule{}
		}
		return c.answer(Rules{rules}, err)
	})
}

// messageVerbs are the verbs of an Act.
var messageVerbs = [...]steer.Verb{steer.Retry, steer.Hold, steer.Release, steer.Remove, steer.Postpone, steer.Expire}

func (c *call) act() error {
	var in Act
	if err := c.body(&in); err != nil {
		return err
	}
	act := steer.Act{Verb: in.Verb, Filter: in.Filter, DryRun: in.DryRun, Until: in.Until, Reason: in.Reason, Bounce: in.Bounce}
	if !slices.Contains(messageVerbs[:], in.Verb) {
		return wrong("verb is retry, hold, release, remove, postpone or expire, not " + strconv.Quote(string(in.Verb)))
	}
	if (len(in.Names) == 0) == (in.Filter == nil) {
		return wrong("names or a filter is needed; the filter {} selects every message")
	}
	for _, s := range in.Names {
		name, err := steer.ParseName(s)
		if err != nil || name.Birth == 0 {
			return wrong("a message is named NUMBER.BIRTH here, not " + strconv.Quote(s))
		}
		act.Names = append(act.Names, name)
	}
	if in.Filter != nil {
		if err := in.Filter.Check(); err != nil {
			return wrong(err.Error())
		}
	}
	return c.converse(func(q Queue) error {
		if len(c.token.Domains) > 0 {
			return c.actForDomains(q, act)
		}
		result, err := q.Act(act)
		return c.done(string(act.Verb), act.DryRun, result, err)
	})
}

// actForDomains acts on the messages that are the token's alone; others that it
// names are failures, as those are that do not exist.
func (c *call) actForDomains(q Queue, act steer.Act) error {
	own, foreign, err := c.sortOut(q, act)
	if err != nil {
		return err
	}
	var result steer.Result
	if act.Names, act.Filter = own, nil; len(own) > 0 {
		result, err = q.Act(act)
	}
	result.Failed += len(foreign)
	for _, name := range foreign[:min(len(foreign), steer.MaxFailures)] {
		result.Failures = append(result.Failures, steer.Failure{Name: name, Reason: "not this token's alone, or gone"})
	}
	return c.done(string(act.Verb), act.DryRun, result, err)
}

// sortOut looks up which messages of an act are the token's alone.
func (c *call) sortOut(q Queue, act steer.Act) (own, foreign []steer.Name, err error) {
	query := steer.Query{Limit: steer.MaxNames, Sort: steer.ByID}
	if act.Filter != nil {
		query.Filter = *act.Filter
	}
	for _, name := range act.Names {
		query.Filter.IDs = append(query.Filter.IDs, name.ID)
	}
	query.Filter.Concerns = c.token.Domains
	found := map[steer.Name]bool{} // owned
	var long []steer.Name
	total, err := q.List(query, func(m steer.Message) error {
		seen, left := c.seen(m), addresses(m, false)
		if !query.Filter.MatchFiles(&seen.Message) {
			return nil
		}
		found[m.Name] = c.token.owns(m.Sender, left...) && m.Left == len(left)
		if m.Left > len(left) {
			long = append(long, m.Name)
		}
		return nil
	})
	if err == nil && total < 0 {
		err = wrong("too many messages at once; narrow the filter")
	}
	if err != nil {
		return nil, nil, err
	}
	for _, name := range long { // more recipients than a list tells of
		if m, err := q.Show(name); err == nil {
			left := addresses(m, false)
			found[name] = c.token.owns(m.Sender, left...) && m.Left == len(left)
		}
	}
	names := act.Names
	if act.Filter != nil {
		for name := range found {
			names = append(names, name)
		}
		slices.SortFunc(names, func(a, b steer.Name) int { return int(a.Birth - b.Birth) })
	}
	for _, name := range names {
		if found[name] {
			own = append(own, name)
		} else {
			foreign = append(foreign, name)
		}
	}
	return own, foreign, nil
}

func (c *call) addRule() error {
	var in NewRule
	if err := c.body(&in); err != nil {
		return err
	}
	if in.Verb != steer.Suspend && in.Verb != steer.BounceRule {
		return wrong("verb is suspend or bounce")
	}
	in.Number, in.Since = 0, 0
	if err := in.Rule.Check(); err != nil {
		return wrong(err.Error())
	}
	return c.converse(func(q Queue) error {
		result, err := q.AddRule(in.Rule, in.DryRun)
		return c.done(string(in.Verb)+" "+place(in.Rule), in.DryRun, result, err)
	})
}

// place names what a rule is about, for the log.
func place(r steer.Rule) string {
	return strconv.Quote(r.Destination + r.SenderDomain + r.Channel)
}

func (c *call) cancelRule() error {
	number, err := strconv.Atoi(c.r.PathValue("number"))
	if err != nil || number < 1 {
		return wrong("a rule has a number")
	}
	dry, err := c.dryRun()
	if err != nil {
		return err
	}
	return c.converse(func(q Queue) error {
		result, err := q.CancelRule(number, dry)
		return c.done("cancel "+strconv.Itoa(number), dry, result, err)
	})
}

// dryRun reads the one parameter of a request without a body.
func (c *call) dryRun() (bool, error) {
	values, err := url.ParseQuery(c.r.URL.RawQuery)
	if err != nil {
		return false, wrong("the parameters are not understood")
	}
	for name, given := range values {
		if name != "dry_run" || len(given) > 1 {
			return false, wrong("unknown parameter " + strconv.Quote(name))
		}
	}
	switch values.Get("dry_run") {
	case "", "false":
		return false, nil
	case "true":
		return true, nil
	}
	return false, wrong("dry_run is true or false")
}

func (c *call) flush() error {
	var in Flush
	if err := c.body(&in); err != nil {
		return err
	}
	if in.Channel != "" && in.Channel != steer.Local && in.Channel != steer.Remote {
		return wrong("channel is local or remote")
	}
	return c.converse(func(q Queue) error {
		result, err := q.Flush(in.Channel, in.DryRun)
		return c.done("flush", in.DryRun, result, err)
	})
}

// done answers with the result of an act and writes the log's line for it.
func (c *call) done(what string, dry bool, result steer.Result, err error) error {
	if !dry {
		outcome := fmt.Sprintf("touched %d, failed %d", result.Touched, result.Failed)
		if err != nil {
			outcome = "refused: " + strconv.Quote(err.Error())
		}
		fmt.Fprintf(c.Log, "reqmail serve: %s: %s: %s\n", c.token.Name, what, outcome)
	}
	return c.answer(result, err)
}
