package serve

import (
	"bufio"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/reqmail/reqmail/compat/address"
	"github.com/reqmail/reqmail/compat/steer"
)

// The calls of SpamExperts' API that list the queue. Their layout is that of
// the examples in its knowledge base ("Message Queueing"), a line for each
// recipient that mail waits for:
//
//	domain,host,message,age,size,sender,recipient,frozen
//
// api_delivery_queue has the domain on a line of its own, above the lines that
// lack it. What the examples do not show is ours: docs/http.md says what.
var spamExpertsCalls = map[string]listing{
	"api_get_delivery_queue":          {},
	"api_delivery_queue":              {grouped: true},
	"api_get_outgoing_delivery_queue": {outgoing: true},
	"api_outgoing_delivery_queue":     {outgoing: true, grouped: true},
}

var spamExpertsParams = [...]param{
	{name: "call", kind: "string", doc: "api_get_delivery_queue, api_delivery_queue, api_get_outgoing_delivery_queue or api_outgoing_delivery_queue"},
	{name: "domain", kind: "string", doc: "only mail of this domain: the recipient's, of outgoing mail the sender's"},
	{name: "include_retry_time", kind: "string", doc: "true: a ninth field, the next try in Unix seconds, empty while there is none"},
	{name: "frozen", kind: "string", doc: "true: only frozen messages; false: only others"},
}

// listing is one of the calls with its parameters.
type listing struct {
	outgoing, grouped bool
	domain            string
	retryTime         bool
	frozen            *bool
	now               int64
}

// maxGrouped is how many bytes of lines are put in groups.
const maxGrouped = 64 << 20

func parseListing(values url.Values) (l listing, err error) {
	if err := checkParams(values, spamExpertsParams[:]); err != nil {
		return l, err
	}
	l, ok := spamExpertsCalls[values.Get("call")]
	if !ok {
		return l, &refusal{404, "unknown call " + strconv.Quote(values.Get("call"))}
	}
	l.domain = values.Get("domain")
	if strings.ContainsAny(l.domain, "*?@") {
		return l, wrong("domain is not understood")
	}
	for _, p := range []struct {
		name string
		set  func(bool)
	}{
		{"include_retry_time", func(v bool) { l.retryTime = v }},
		{"frozen", func(v bool) { l.frozen = &v }},
	} {
		v := values.Get(p.name)
		if v == "" {
			continue
		}
		set, err := strconv.ParseBool(strings.ToLower(v))
		if err != nil {
			return l, wrong(p.name + " is True or False")
		}
		p.set(set)
	}
	return l, nil
}

// query returns the filter that comes closest to the listing.
func (l *listing) query() (q steer.Query) {
	q.Sort = steer.ByAge
	if l.frozen != nil {
		q.Filter.States = []steer.State{steer.Frozen}
		if !*l.frozen {
			q.Filter.States = slices.DeleteFunc(steer.States(), func(s steer.State) bool { return s == steer.Frozen })
		}
	}
	if l.domain != "" && l.outgoing {
		q.Filter.Sender = "*@" + l.domain
	} else if l.domain != "" {
		q.Filter.Domain = l.domain
	}
	return q
}

func (c *call) spamExperts() error {
	l, err := parseListing(c.r.URL.Query())
	if err != nil {
		return err
	}
	l.now = time.Now().Unix()
	query := l.query()
	query.Filter.Concerns = c.token.Domains
	out := newColumns(c, l)
	err = c.converse(func(q Queue) error {
		var long []steer.Name // with more recipients than a list tells of
		_, err := q.List(query, func(m steer.Message) error {
			if whole := m.Left - len(addresses(m, false)); whole > 0 {
				long = append(long, m.Name)
				return nil
			}
			return out.message(m)
		})
		for _, name := range long {
			if err != nil {
				break
			}
			var m steer.Message
			var ended *steer.Error
			if m, err = q.Show(name); errors.As(err, &ended) {
				err = nil
			} else if err == nil {
				err = out.message(m)
			}
		}
		return err
	})
	if err != nil {
		return out.broken(err)
	}
	return out.end()
}

// columns writes lines.
type columns struct {
	call   *call
	l      listing
	w      *bufio.Writer
	begun  bool
	groups map[string][]string
	size   int
}

func newColumns(c *call, l listing) *columns {
	return &columns{call: c, l: l, w: bufio.NewWriter(c.w), groups: map[string][]string{}}
}

// message writes the lines of a message.
func (o *columns) message(m steer.Message) error {
	m = o.call.seen(m).Message
	for _, to := range m.Recipients {
		if to.Done || o.call.Ours(to) == o.l.outgoing {
			continue
		}
		domain := domainOf(to.Address)
		if o.l.outgoing {
			domain = domainOf(m.Sender)
		}
		if o.l.domain != "" && !strings.EqualFold(domain, o.l.domain) {
			continue
		}
		if err := o.line(domain, o.l.fields(m, to, o.call.Host(to))); err != nil {
			return err
		}
	}
	return nil
}

// domainOf returns the domain of an address, "" if it has none.
func domainOf(addr string) string {
	_, domain, _ := address.Split(addr)
	return domain
}

// fields returns what stands behind the domain.
func (l *listing) fields(m steer.Message, to steer.Recipient, host string) string {
	recipient := to.Address
	if at := strings.LastIndexByte(recipient, '@'); at >= 0 && !l.outgoing {
		recipient = recipient[:at]
	}
	frozen := "False"
	if m.State == steer.Frozen {
		frozen = "True"
	}
	line := strings.Join([]string{
		plain(host), m.Name.String(), strconv.FormatInt(max(0, l.now-m.Birth), 10), strconv.FormatInt(m.Size, 10),
		plain(m.Sender), plain(recipient), frozen,
	}, ",")
	if !l.retryTime {
		return line
	}
	next := ""
	if m.NextTry != 0 {
		next = strconv.FormatInt(m.NextTry, 10)
	}
	return line + "," + next
}

// plain keeps a text in its field: commas, what is not printable and % itself
// become %XX.
func plain(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		if c <= ' ' || c == ',' || c == '%' || c >= 0x7f {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

func (o *columns) line(domain, fields string) error {
	domain = plain(domain)
	if o.l.grouped {
		if o.size += len(fields); o.size > maxGrouped {
			return &refusal{422, "too much mail to put in groups; name a domain"}
		}
		o.groups[domain] = append(o.groups[domain], fields)
		return nil
	}
	o.begin()
	_, err := o.w.WriteString(domain + "," + fields + "\n")
	return err
}

func (o *columns) begin() {
	if !o.begun {
		o.begun = true
		o.call.w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	}
}

// broken ends an answer in which something went wrong.
func (o *columns) broken(err error) error {
	if o.begun {
		panic(abort) // half an answer must not look like a whole one
	}
	return err
}

func (o *columns) end() error {
	o.begin()
	domains := make([]string, 0, len(o.groups))
	for domain := range o.groups {
		domains = append(domains, domain)
	}
	slices.Sort(domains)
	for _, domain := range domains {
		_, _ = o.w.WriteString(domain + "\n" + strings.Join(o.groups[domain], "\n") + "\n")
	}
	_ = o.w.Flush() // the client may have gone
	return nil
}
