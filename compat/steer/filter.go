package steer

import (
	"cmp"
	"errors"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Filter selects messages: those to which every field that is set applies. It
// is the one filter of command line, protocol, API and page.
//
// Sender, Recipient, Domain and Status are globs: * stands for any characters,
// ? for one, case does not matter. A Status without a * is looked for anywhere
// in the text.
type Filter struct {
	IDs       []uint64 `json:"ids,omitempty"`
	Sender    string   `json:"sender,omitempty"`    // whole envelope sender; empty glob is no glob, <> is the null sender
	Recipient string   `json:"recipient,omitempty"` // whole address of a recipient
	Domain    string   `json:"domain,omitempty"`    // domain of a recipient
	Status    string   `json:"status,omitempty"`    // last reason, of any recipient
	Channel   string   `json:"channel,omitempty"`   // has recipients left on "local" or "remote"
	States    []State  `json:"states,omitempty"`    // any of these
	Area      string   `json:"area,omitempty"`      // of control/mailpolicy
	Concerns  []string `json:"concerns,omitempty"`  // domains: the sender's or a recipient's is one of these

	// 0 is a highest value like others: nil is none.
	MinAge   int64  `json:"minAge,omitempty"`
	MaxAge   *int64 `json:"maxAge,omitempty"`
	MinSize  int64  `json:"minSize,omitempty"`
	MaxSize  *int64 `json:"maxSize,omitempty"`
	MinTries int    `json:"minTries,omitempty"`
	MaxTries *int   `json:"maxTries,omitempty"`
}

// Check returns why a filter makes no sense.
func (f *Filter) Check() error {
	for _, glob := range []string{f.Sender, f.Recipient, f.Domain, f.Status, f.Area} {
		if len(glob) > MaxPattern {
			return errors.New("pattern is too long")
		}
	}
	if len(f.Concerns) > MaxDomains {
		return errors.New("too many domains")
	}
	if len(f.IDs) > MaxNames {
		return errors.New("too many message numbers")
	}
	if f.Channel != "" && f.Channel != Local && f.Channel != Remote {
		return errors.New("channel is local or remote, not " + strconv.Quote(f.Channel))
	}
	for _, s := range f.States {
		if !slices.Contains(States(), s) {
			return errors.New("unknown state " + strconv.Quote(string(s)))
		}
	}
	return cmp.Or(checkRange("age", f.MinAge, f.MaxAge), checkRange("size", f.MinSize, f.MaxSize), checkRange("tries", f.MinTries, f.MaxTries))
}

func checkRange[T int | int64](name string, lowest T, highest *T) error {
	if lowest < 0 {
		return errors.New("impossible " + name + ": at least " + strconv.FormatInt(int64(lowest), 10))
	}
	if highest != nil && *highest < lowest {
		return errors.New("impossible " + name + ": from " + strconv.FormatInt(int64(lowest), 10) +
			" to " + strconv.FormatInt(int64(*highest), 10))
	}
	return nil
}

// NeedsFiles reports whether sender, recipients or reasons are looked at, for
// which the files of every message must be read.
func (f *Filter) NeedsFiles() bool {
	return f.Sender != "" || f.Recipient != "" || f.Domain != "" || f.Status != "" || len(f.Concerns) > 0
}

// Match reports whether a message is selected. now is in Unix seconds.
func (f *Filter) Match(m *Message, now int64) bool {
	return f.MatchIndex(m, now) && f.MatchFiles(m)
}

// MatchIndex looks at what is known without a message's files.
func (f *Filter) MatchIndex(m *Message, now int64) bool {
	return (len(f.IDs) == 0 || slices.Contains(f.IDs, m.ID)) &&
		(f.Channel != Local || m.Local != 0) &&
		(f.Channel != Remote || m.Remote != 0) &&
		(len(f.States) == 0 || slices.Contains(f.States, m.State)) &&
		(f.Area == "" || f.Area == m.Area) &&
		within(now-m.Birth, f.MinAge, f.MaxAge) &&
		within(m.Size, f.MinSize, f.MaxSize) &&
		f.matchTries(m.Tries)
}

// matchTries selects no message whose tries are not known by their number.
func (f *Filter) matchTries(tries int) bool {
	if tries == TriesUnknown {
		return f.MinTries == 0 && f.MaxTries == nil
	}
	return within(tries, f.MinTries, f.MaxTries)
}

// within reports whether n lies between two bounds.
func within[T int | int64](n, lowest T, highest *T) bool {
	return n >= lowest && (highest == nil || n <= *highest)
}

// MatchFiles looks at what is in a message's files, and at reasons.
func (f *Filter) MatchFiles(m *Message) bool {
	if f.Sender != "" && !matchSender(f.Sender, m.Sender) {
		return false
	}
	if (f.Recipient != "" || f.Domain != "") && !slices.ContainsFunc(m.Recipients, f.matchRecipient) {
		return false
	}
	return (f.Status == "" || f.matchReason(m)) && (len(f.Concerns) == 0 || f.concerns(m))
}

// concerns reports whether a message is from or to one of the domains.
func (f *Filter) concerns(m *Message) bool {
	return InDomains(f.Concerns, m.Sender) ||
		slices.ContainsFunc(m.Recipients, func(r Recipient) bool { return InDomains(f.Concerns, r.Address) })
}

// InDomains reports whether an address is in one of the domains themselves.
func InDomains(domains []string, address string) bool {
	return strings.Contains(address, "@") && slices.ContainsFunc(domains, func(d string) bool {
		return strings.EqualFold(d, domain(address))
	})
}

func matchSender(glob, sender string) bool {
	if glob == "<>" {
		return sender == ""
	}
	return Glob(glob, sender)
}

func (f *Filter) matchRecipient(r Recipient) bool {
	return (f.Recipient == "" || Glob(f.Recipient, r.Address)) &&
		(f.Domain == "" || Glob(f.Domain, domain(r.Address))) &&
		(f.Channel == "" || f.Channel == r.Channel)
}

func (f *Filter) matchReason(m *Message) bool {
	glob := f.Status
	if !strings.Contains(glob, "*") {
		glob = "*" + glob + "*"
	}
	return Glob(glob, m.Reason) || slices.ContainsFunc(m.Recipients, func(r Recipient) bool {
		return r.Reason != "" && Glob(glob, r.Reason)
	})
}

// domain returns what follows the last @.
func domain(address string) string { return address[strings.LastIndexByte(address, '@')+1:] }

// Glob reports whether all of s is of a pattern in which * stands for any
// bytes and ? for one; ASCII letters match in either case. It takes at most
// as many steps as the product of the two lengths.
func Glob(pattern, s string) bool {
	p, i := 0, 0
	star, resume := -1, 0 // the last * met, and where it was tried from
	for i < len(s) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, resume = p, i
			p++
		case p < len(pattern) && (pattern[p] == '?' || lower(pattern[p]) == lower(s[i])):
			p++
			i++
		case star >= 0:
			resume++
			p, i = star+1, resume
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		c += 'a' - 'A'
	}
	return c
}

// Applies reports whether a rule is about mail from one address to another.
func (r *Rule) Applies(sender, recipient, channel string) bool {
	switch {
	case r.Destination != "":
		return matchPlace(r.Destination, recipient)
	case r.SenderDomain != "":
		return matchPlace(r.SenderDomain, sender)
	}
	return r.Channel == channel
}

func matchPlace(glob, address string) bool {
	if strings.Contains(glob, "@") {
		return Glob(glob, address)
	}
	return strings.Contains(address, "@") && Glob(glob, domain(address))
}

// Check returns why a rule makes no sense.
func (r *Rule) Check() error {
	set := 0
	for _, s := range []string{r.Destination, r.SenderDomain, r.Channel} {
		if len(s) > MaxPattern {
			return errors.New("pattern is too long")
		}
		if s != "" {
			set++
		}
	}
	switch {
	case set != 1:
		return errors.New("one of destination, sender domain and channel is needed")
	case r.Channel != "" && r.Channel != Local && r.Channel != Remote:
		return errors.New("channel is local or remote, not " + strconv.Quote(r.Channel))
	case r.Channel != "" && r.Verb == BounceRule:
		return errors.New("a whole channel can be suspended, not bounced")
	case len(r.Reason) > MaxReason:
		return errors.New("reason is too long")
	}
	return nil
}

// Sort is an order of messages: a key, with "-" in front the other way round.
// Messages that are alike are in the order of their names.
type Sort string

// The sort keys.
const (
	ByNext      Sort = "next" // next try, earliest first; held messages last. The default
	ByAge       Sort = "age"  // oldest first
	BySize      Sort = "size" // biggest first
	ByTries     Sort = "tries"
	ByID        Sort = "id"
	BySender    Sort = "sender"    // by domain, then the rest
	ByRecipient Sort = "recipient" // likewise, of the first recipient
)

// Sorts lists the sort keys.
func Sorts() []Sort { return []Sort{ByNext, ByAge, BySize, ByTries, ByID, BySender, ByRecipient} }

// Check returns why an order makes no sense.
func (s Sort) Check() error {
	if key := s.key(); !slices.Contains(Sorts(), key) {
		return errors.New("unknown sort key " + strconv.Quote(string(key)))
	}
	return nil
}

// NeedsFiles reports whether sender or recipients decide the order.
func (s Sort) NeedsFiles() bool { return s.key() == BySender || s.key() == ByRecipient }

func (s Sort) key() Sort {
	key := Sort(strings.TrimPrefix(string(s), "-"))
	if key == "" {
		return ByNext
	}
	return key
}

// Messages puts messages in order.
func (s Sort) Messages(list []Message) {
	slices.SortFunc(list, func(a, b Message) int { return s.Compare(s.Key(&a), s.Key(&b)) })
}

// Key is what an order looks at of a message: messages that are too many to be
// kept are sorted by their keys.
type Key struct {
	name   Name
	number int64
	text   string
}

// Key returns a message's key.
func (s Sort) Key(m *Message) Key {
	k := Key{name: m.Name}
	switch s.key() {
	case ByNext:
		k.number = m.NextTry
		if m.NextTry == 0 {
			k.number = math.MaxInt64
		}
	case ByAge:
		k.number = m.Birth
	case BySize:
		k.number = -m.Size
	case ByTries:
		k.number = int64(-m.Tries)
	case ByID:
		k.number = int64(m.ID)
	case BySender:
		k.text = addressKey(m.Sender)
	case ByRecipient:
		if len(m.Recipients) > 0 {
			k.text = addressKey(m.Recipients[0].Address)
		}
	}
	return k
}

// Compare compares the keys of two messages as sort functions do.
func (s Sort) Compare(a, b Key) int {
	n := cmp.Or(cmp.Compare(a.number, b.number), strings.Compare(a.text, b.text))
	if strings.HasPrefix(string(s), "-") {
		n = -n
	}
	return cmp.Or(n, cmp.Compare(a.name.Birth, b.name.Birth), cmp.Compare(a.name.ID, b.name.ID))
}

// addressKey makes addresses of one domain neighbours.
func addressKey(address string) string { return strings.ToLower(domain(address)) + "\x00" + address }
