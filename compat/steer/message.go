package steer

import (
	"errors"
	"strconv"
	"strings"
)

// Name is a message's number and its birth, when it was preprocessed first.
type Name struct {
	ID    uint64 `json:"id"`
	Birth int64  `json:"birth,omitempty"`
}

// String returns the name as NUMBER.BIRTH, or NUMBER where no birth is known.
func (n Name) String() string {
	s := strconv.FormatUint(n.ID, 10)
	if n.Birth != 0 {
		s += "." + strconv.FormatInt(n.Birth, 10)
	}
	return s
}

var errName = errors.New("a message is named NUMBER or NUMBER.BIRTH")

// ParseName reads what String writes.
func ParseName(s string) (n Name, err error) {
	id, birth, dated := strings.Cut(s, ".")
	if n.ID, err = parseDigits(id); err != nil {
		return Name{}, errName
	}
	if !dated {
		return n, nil
	}
	b, err := parseDigits(birth)
	if err != nil || b == 0 || b > 1<<62 {
		return Name{}, errName
	}
	n.Birth = int64(b)
	return n, nil
}

// parseDigits reads a number of decimal digits alone.
func parseDigits(s string) (uint64, error) {
	if s == "" || s[0] < '0' || s[0] > '9' {
		return 0, errName
	}
	return strconv.ParseUint(s, 10, 64)
}

// State is where a message stands. The first one that applies counts.
type State string

// The states of a message, in the order in which they are looked for.
const (
	Frozen    State = "frozen"    // can neither be delivered nor returned; held
	Held      State = "held"      // not tried until released
	Active    State = "active"    // a delivery is under way
	Postponed State = "postponed" // not tried before a time
	Suspended State = "suspended" // waits for the end of a suspension
	Deferred  State = "deferred"  // tried at least once
	Fresh     State = "fresh"     // not tried yet
	Queued    State = "queued"    // not preprocessed yet; told only where no qmail-send is asked
)

// States lists all states.
func States() []State {
	return []State{Frozen, Held, Active, Postponed, Suspended, Deferred, Fresh, Queued}
}

// TriesUnknown stands for a number of tries that nobody has kept.
const TriesUnknown = -1

// Message is a preprocessed message, or a queued one; what is queued has no
// birth yet, and goes by the time at which it was queued.
type Message struct {
	Name
	State State `json:"state"`
	Size  int64 `json:"size"`

	// Where a message's files could not be read (it ended, say) Sender and
	// Recipients are missing and Trouble says why.
	Sender     string      `json:"sender"`
	Recipients []Recipient `json:"recipients,omitempty"` // the first ones; those that are done last
	Count      int         `json:"count"`                // of all recipients
	Left       int         `json:"left"`                 // recipients that are not done
	Trouble    string      `json:"trouble,omitempty"`

	Tries   int    `json:"tries"`             // passes over its recipients that started a delivery; or TriesUnknown
	NextTry int64  `json:"nextTry,omitempty"` // on the channel that is first; 0: none while held
	Local   int64  `json:"local,omitempty"`   // next try on a channel; 0: no recipients there
	Remote  int64  `json:"remote,omitempty"`
	Reason  string `json:"reason,omitempty"` // the last one, of any recipient

	Hold      *HoldOrder `json:"hold,omitempty"`
	NotBefore int64      `json:"notBefore,omitempty"` // postponed until
	ExpireAt  int64      `json:"expireAt,omitempty"`  // lifetime of its own
	Rule      int        `json:"rule,omitempty"`      // number of the suspension it waits for
	Area      string     `json:"area,omitempty"`      // of control/mailpolicy: why it is held or postponed
}

// HoldOrder tells about a hold.
type HoldOrder struct {
	Since  int64  `json:"since"`
	Until  int64  `json:"until,omitempty"` // 0: until released
	Reason string `json:"reason,omitempty"`
}

// Recipient is one recipient of a message.
type Recipient struct {
	Address string `json:"address"`
	Channel string `json:"channel"`
	Done    bool   `json:"done,omitempty"` // delivered or failed for good

	// The last deferral or failure, where it is known.
	Reason string `json:"reason,omitempty"`
	At     int64  `json:"at,omitempty"`
}

// Channel words as in qmail's files and log.
const (
	Local  = "local"
	Remote = "remote"
)
