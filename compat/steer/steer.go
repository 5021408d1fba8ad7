// Package steer is the protocol between a running qmail-send and those who
// look at its queue and steer it: the words of requests and answers, the one
// Filter and the one Sort that select messages everywhere, and both ends of
// the conversation. It must not know how qmail-send does what it is asked, nor
// how an answer is shown to people.
//
// # Conversation
//
// qmail-send listens on the unix socket queue/lock/send/control, in a folder
// that only qmails and root can enter: who can connect may do everything. A
// request is one line of JSON, a Request; its answer is any number of lines
// with a message, delivery or rule each, then one with Done set. A connection
// takes requests one after the other. Lines are bounded (MaxRequest,
// MaxAnswer), and every read and write has a deadline: who stops reading is
// cut off and disturbs nobody, and a connection without a request for 15
// seconds is closed.
//
// # Names
//
// A message is named by its number and its birth, for numbers are inode
// numbers and used again at once. An act on a number whose birth is another is
// refused for that message. List and Show find messages by number alone.
//
// # Use
//
//	c, err := steer.Dial(home + "/queue")   // ErrNobody: C qmail-send, or none
//	defer c.Close()
//	status, err := c.Status()
//	total, err := c.List(steer.Query{Filter: f, Sort: steer.ByAge, Limit: 50}, func(m steer.Message) error { … })
//	result, err := c.Act(steer.Act{Verb: steer.Hold, Filter: &f, DryRun: true})
//
// Times are Unix seconds, 0 for none; ages and spans are seconds, sizes bytes
// of the message without its envelope. Text from outside (addresses, reasons)
// is as it came but for bytes that are no UTF-8, which JSON turns into U+FFFD:
// who shows it must make it safe for the medium.
package steer

import "github.com/reqmail/reqmail/compat/wire"

// Verb is what a request asks for.
type Verb string

// The verbs that only look.
const (
	VerbStatus Verb = "status" // counts, rates, deliveries running
	VerbList   Verb = "list"   // messages that a filter selects
	VerbShow   Verb = "show"   // all about one message
	VerbLive   Verb = "live"   // deliveries under way
	VerbRules  Verb = "rules"  // suspensions and bounces in force
)

// The verbs that act on messages; see Act.
const (
	// Retry makes messages due now; it ends a postponement. Held ones are
	// failures: they must be released first.
	Retry Verb = "retry"

	// Hold keeps messages from being tried until they are released, or until
	// Until. Deliveries under way go on. Neither ALRM nor Flush releases a
	// message. It does not expire while it is held: once released, a message
	// that has outlived its lifetime gets one last try.
	Hold Verb = "hold"

	// Release ends a hold, also that of a frozen message, which is due at
	// once.
	Release Verb = "release"

	// Remove takes messages out of the queue, silently, or, with Bounce, by
	// returning them to their senders. What is being delivered is removed
	// when those deliveries have ended.
	Remove Verb = "remove"

	// Postpone keeps messages from being tried before Until. ALRM and Flush
	// do not change that, Retry does.
	Postpone Verb = "postpone"

	// Expire gives messages a last try at Until, sooner or later than
	// control/queuelifetime says; Until 0 puts that back in force.
	Expire Verb = "expire"
)

// The verbs that act on more than messages.
const (
	// Flush makes everything due now that is not held or postponed: what
	// ALRM does. With Channel, that channel alone.
	Flush Verb = "flush"

	// Suspend makes mail of a destination, a sender domain or a channel
	// wait, new mail too; BounceRule returns it to its senders. Both add a
	// Rule, which Cancel, with the rule's number, ends.
	Suspend    Verb = "suspend"
	BounceRule Verb = "bounce"
	Cancel     Verb = "cancel"
)

// Limits and deadlines of the conversation.
const (
	MaxRequest    = 4 << 20 // bytes of a request
	MaxAnswer     = 4 << 20 // bytes of a line of an answer
	MaxNames      = 50000   // messages named in one request
	MaxRecipients = 10000   // recipients told of one message by Show …
	FewRecipients = 20      // … and by List
	MaxReason     = 1000    // bytes of a reason that is given or told
	MaxPattern    = 1000    // bytes of a glob
	MaxDomains    = 1000    // domains of a filter
	MaxRules      = 200     // suspensions and bounces at a time
	MaxFailures   = 1000    // failures told of one act; all are counted
)

// Socket is the name of the socket below the queue directory, Folder the
// folder it lies in; whoever lays down a queue makes that, owned by qmails
// with mode 0700. Where it is missing, qmail-send runs without.
const (
	Folder = "lock/send" // package queue's SendState
	Socket = Folder + "/control"
)

// Request is one request. Which fields count depends on Verb.
type Request struct {
	Verb   Verb   `json:"verb"`
	Query  *Query `json:"query,omitempty"`  // list
	Name   *Name  `json:"name,omitempty"`   // show
	Act    *Act   `json:"act,omitempty"`    // verbs that act on messages
	Rule   *Rule  `json:"rule,omitempty"`   // suspend, bounce; of flush the Channel; of cancel the Number
	DryRun bool   `json:"dryRun,omitempty"` // suspend, bounce, cancel, flush
}

// Answer is one line of an answer.
type Answer struct {
	Message  *Message  `json:"message,omitempty"`
	Delivery *Delivery `json:"delivery,omitempty"`
	Rule     *Rule     `json:"rule,omitempty"`

	Done   bool    `json:"done,omitempty"` // the last line
	Error  string  `json:"error,omitempty"`
	Status *Status `json:"status,omitempty"`
	Result *Result `json:"result,omitempty"`
	Total  int     `json:"total,omitempty"` // messages selected, before Limit; -1: more than the limit
}

// Query selects and orders messages.
type Query struct {
	Filter Filter `json:"filter"`
	Sort   Sort   `json:"sort,omitempty"`
	Limit  int    `json:"limit,omitempty"` // 0: all
}

// Act is something to be done to messages: those of Names, or, without any,
// those that Filter selects.
type Act struct {
	Verb   Verb    `json:"verb"`
	Names  []Name  `json:"names,omitempty"`
	Filter *Filter `json:"filter,omitempty"`
	DryRun bool    `json:"dryRun,omitempty"` // count only

	Until  int64  `json:"until,omitempty"`  // hold, postpone, expire
	Reason string `json:"reason,omitempty"` // hold; remove with Bounce: told to the sender
	Bounce bool   `json:"bounce,omitempty"` // remove
}

// Result is what became of an act, or would with DryRun.
type Result struct {
	Touched  int       `json:"touched"`
	Failed   int       `json:"failed,omitempty"`
	Failures []Failure `json:"failures,omitempty"` // the first MaxFailures
	Rule     int       `json:"rule,omitempty"`     // number of the rule that was made
}

// Failure is a message that an act did not touch, and why.
type Failure struct {
	Name
	Reason string `json:"reason"`
}

// Rule is a standing order about mail of a destination, a sender domain or a
// channel. Exactly one of Destination, SenderDomain and Channel is set.
type Rule struct {
	Number       int    `json:"number,omitempty"`
	Verb         Verb   `json:"verb"`                   // Suspend or BounceRule
	Destination  string `json:"destination,omitempty"`  // glob on the recipient's domain, or, with an @, address
	SenderDomain string `json:"senderDomain,omitempty"` // likewise on the sender
	Channel      string `json:"channel,omitempty"`      // "local" or "remote"; suspend only
	Since        int64  `json:"since,omitempty"`
	Until        int64  `json:"until,omitempty"` // 0: until it is cancelled
	Reason       string `json:"reason,omitempty"`
}

// Status is the state of the whole queue.
type Status struct {
	Now      int64 `json:"now"`
	Leaving  bool  `json:"leaving,omitempty"`  // TERM has come
	TakingIn bool  `json:"takingIn,omitempty"` // not all messages are known yet, shortly after a start
	Messages int   `json:"messages"`           // preprocessed
	Bytes    int64 `json:"bytes"`              // of their texts
	Unsized  int   `json:"unsized,omitempty"`  // messages whose size is not known yet, shortly after a start
	Todo     int   `json:"todo"`               // not yet preprocessed; at most MaxTodo are counted
	Held     int   `json:"held"`               // frozen ones too
	Frozen   int   `json:"frozen"`
	Oldest   *Name `json:"oldest,omitempty"` // message

	Local  ChannelStatus `json:"local"`
	Remote ChannelStatus `json:"remote"`

	NextWake int64 `json:"nextWake"` // when qmail-send does something by itself
	Minute   Rates `json:"minute"`
	Hour     Rates `json:"hour"`
}

// MaxTodo is how many messages not yet preprocessed are counted.
const MaxTodo = 100000

// ChannelStatus is the state of a channel.
type ChannelStatus struct {
	Messages  int   `json:"messages"` // with recipients on it
	Running   int   `json:"running"`  // deliveries
	Allowed   int   `json:"allowed"`
	Suspended bool  `json:"suspended,omitempty"`
	NextTry   int64 `json:"nextTry,omitempty"`
}

// Rates counts what happened in a span of time that ends now.
type Rates struct {
	Arrived   int `json:"arrived"` // messages preprocessed
	Ended     int `json:"ended"`   // messages that left the queue
	Delivered int `json:"delivered"`
	Deferred  int `json:"deferred"`
	Failed    int `json:"failed"`
}

// Delivery is a delivery under way.
type Delivery struct {
	Name
	Number    uint64 `json:"number"` // in the log
	Channel   string `json:"channel"`
	Size      int64  `json:"size"`
	Sender    string `json:"sender"`
	Recipient string `json:"recipient"`
	Since     int64  `json:"since"`

	Phase string `json:"phase"`          // one of the Phase constants
	Host  string `json:"host,omitempty"` // server or program, where known
	Sent  int64  `json:"sent,omitempty"` // bytes of Size
}

// Phases of a delivery. PhaseRunning is all that is known of one whose program
// does not tell.
const (
	PhaseQueued  = "queued"  // the command is on its way to the spawner
	PhaseRunning = "running" // the spawner has it
	PhaseLookup  = wire.PhaseLookup
	PhaseConnect = wire.PhaseConnect
	PhaseTLS     = wire.PhaseTLS
	PhaseSending = wire.PhaseSending
	PhaseProgram = wire.PhaseProgram
	PhaseMailbox = wire.PhaseMailbox
	PhaseFinish  = wire.PhaseFinish
)
