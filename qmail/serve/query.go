package serve

import (
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/reqmail/reqmail/compat/steer"
)

// param is a parameter of a request's URL.
type param struct {
	name string
	kind string // in the words of JSON schema
	doc  string
	set  func(q *steer.Query, value string) error // of listParams
}

// listParams are the filters and the order of a list.
var listParams = [...]param{
	{"sender", "string", "glob on the envelope sender; <> is the null sender", text(func(q *steer.Query) *string { return &q.Filter.Sender })},
	{"recipient", "string", "glob on a recipient's address", text(func(q *steer.Query) *string { return &q.Filter.Recipient })},
	{"domain", "string", "glob on a recipient's domain", text(func(q *steer.Query) *string { return &q.Filter.Domain })},
	{"status", "string", "glob on the last reason of any recipient; without a * it is looked for anywhere", text(func(q *steer.Query) *string { return &q.Filter.Status })},
	{"channel", "string", "local or remote: has recipients left there", text(func(q *steer.Query) *string { return &q.Filter.Channel })},
	{"state", "string", "any of these states, separated by commas: frozen, held, active, postponed, suspended, deferred, fresh", setStates},
	{"area", "string", "area of control/mailpolicy", text(func(q *steer.Query) *string { return &q.Filter.Area })},
	{"id", "string", "message numbers, separated by commas", setIDs},
	{"min_age", "integer", "seconds", number(func(q *steer.Query) *int64 { return &q.Filter.MinAge })},
	{"max_age", "integer", "seconds", highest(func(q *steer.Query) **int64 { return &q.Filter.MaxAge })},
	{"min_size", "integer", "bytes", number(func(q *steer.Query) *int64 { return &q.Filter.MinSize })},
	{"max_size", "integer", "bytes", highest(func(q *steer.Query) **int64 { return &q.Filter.MaxSize })},
	{"min_tries", "integer", "passes over the recipients so far", count(func(q *steer.Query) *int { return &q.Filter.MinTries })},
	{"max_tries", "integer", "likewise", func(q *steer.Query, v string) error {
		q.Filter.MaxTries = new(int)
		return count(func(q *steer.Query) *int { return q.Filter.MaxTries })(q, v)
	}},
	{"sort", "string", "next, age, size, tries, id, sender or recipient; - before it for the other way round", func(q *steer.Query, v string) error {
		q.Sort = steer.Sort(v)
		return q.Sort.Check()
	}},
	{"limit", "integer", "most messages to list, from 1 to 50000; 100 unless given", count(func(q *steer.Query) *int { return &q.Limit })},
}

func text(field func(*steer.Query) *string) func(*steer.Query, string) error {
	return func(q *steer.Query, v string) error {
		*field(q) = v
		return nil
	}
}

func number(field func(*steer.Query) *int64) func(*steer.Query, string) error {
	return func(q *steer.Query, v string) (err error) {
		*field(q), err = strconv.ParseInt(v, 10, 64)
		return err
	}
}

// highest reads a number that may be missing, which 0 is not.
func highest(field func(*steer.Query) **int64) func(*steer.Query, string) error {
	return func(q *steer.Query, v string) error {
		*field(q) = new(int64)
		return number(func(q *steer.Query) *int64 { return *field(q) })(q, v)
	}
}

func count(field func(*steer.Query) *int) func(*steer.Query, string) error {
	return func(q *steer.Query, v string) (err error) {
		*field(q), err = strconv.Atoi(v)
		return err
	}
}

func setStates(q *steer.Query, v string) error {
	for state := range strings.SplitSeq(v, ",") {
		q.Filter.States = append(q.Filter.States, steer.State(state))
	}
	return nil
}

func setIDs(q *steer.Query, v string) error {
	for part := range strings.SplitSeq(v, ",") {
		name, err := steer.ParseName(part)
		if err != nil {
			return err
		}
		q.Filter.IDs = append(q.Filter.IDs, name.ID)
	}
	return nil
}

// parseQuery reads the parameters of a list. An unknown one is an error: a
// filter that is misspelt must not select everything.
func parseQuery(values url.Values) (q steer.Query, err error) {
	if err := checkParams(values, listParams[:]); err != nil {
		return q, err
	}
	q.Limit = defaultLimit
	for _, p := range listParams {
		if v := values.Get(p.name); v != "" {
			if err := p.set(&q, v); err != nil {
				return q, wrong("parameter " + p.name + " is not understood: " + strconv.Quote(v))
			}
		}
	}
	if q.Limit < 1 || q.Limit > maxLimit {
		return q, wrong("limit is from 1 to " + strconv.Itoa(maxLimit))
	}
	if err := q.Filter.Check(); err != nil {
		return q, wrong(err.Error())
	}
	return q, nil
}

// checkParams refuses parameters that are unknown or given twice.
func checkParams(values url.Values, known []param) error {
	for name, given := range values {
		if !slices.ContainsFunc(known, func(p param) bool { return p.name == name }) {
			return wrong("unknown parameter " + strconv.Quote(name))
		}
		if len(given) > 1 {
			return wrong("parameter " + name + " is given twice")
		}
	}
	return nil
}
