package remote

import "github.com/reqmail/reqmail/control"

// report is qmail-remote's output: for each recipient, if the conversation
// comes that far, a chunk that begins with r, h or s, then one for the message
// that begins with K, Z or D. A NUL ends each.
type report []byte

func (r *report) chunk(letter byte, text string) {
	*r = append(append(append(*r, letter), text...), 0)
}

// recipient is one of a message's, and what the host said about him.
type recipient struct {
	address string
	letter  byte   // r, h or s; 0 while the host has not said anything
	text    string // behind it

	job *job // of a process that stays
}

// answered notes the host's answer, and returns whether it takes mail for him.
func (r *recipient) answered(p partner, reply Reply) (taken bool) {
	switch reply.refusal() {
	case 0:
		r.letter, r.text = 'r', ""
		return true
	case 'D':
		r.letter = 'h'
	default:
		r.letter = 's'
	}
	r.text = string(p) + " does not like recipient.\nRemote host said: " + reply.Text
	return false
}

func (r *recipient) report(to *report) {
	if r.letter != 0 {
		to.chunk(r.letter, r.text)
	}
}

// result is a final word on the message: a letter K, Z or D and a text.
type result struct {
	letter byte
	text   string
}

// The results that need no conversation.
var (
	resNoConnection = &result{'Z', "Sorry, I wasn't able to establish an SMTP connection. (#4.4.1)\n"}
	resResources    = &result{'Z', "System resources temporarily unavailable. (#4.3.0)\n"}
	resDNS          = &result{'Z', "Sorry, I couldn't find any host by that name. (#4.1.2)\n"}
	resHome         = &result{'Z', "Unable to switch to home directory. (#4.3.0)\n"}
	resControls     = &result{'Z', "Unable to read control files. (#4.3.0)\n"}
	resMessage      = &result{'Z', "Unable to read message. (#4.3.0)\n"}
	resPartialLine  = &result{'D', "SMTP cannot transfer messages with partial final lines. (#5.6.2)\n"}
	resUsage        = &result{'D', "I (qmail-remote) was invoked improperly. (#5.3.5)\n"}
	resLineBreak    = &result{'D', "Sorry, SMTP has no way to send an address with a line break in its domain. (#5.1.3)\n"}
	resNoMX         = &result{'D', "Sorry, I couldn't find a mail exchanger or IP address. (#5.4.4)\n"}
	resAmbiguousMX  = &result{'D', "Sorry. Although I'm listed as a best-preference MX or A for that host,\n" +
		"it isn't in my control/locals file, so I don't treat it as local. (#5.4.6)\n"}
)

// badAddress is the result for a control file whose address is none.
func badAddress(file control.Name) *result {
	return &result{'Z', "invalid ipaddr in control/" + string(file) + " (#4.3.0)\n"}
}

// noHost is the result for a domain that does not exist. What is not
// printable ASCII in its name is hidden.
func noHost(name string) *result {
	safe := []byte(name)
	for i, c := range safe {
		if c < 33 || c > 126 {
			safe[i] = '?'
		}
	}
	return &result{'D', "Sorry, I couldn't find any host named " + string(safe) + ". (#5.1.2)\n"}
}

// partner is the address of the host that was reached, for texts.
type partner string

// died is the result of a connection that broke or fell silent.
func (p partner) died() *result {
	return &result{'Z', "Connected to " + string(p) + " but connection died. (#4.4.2)\n"}
}

// doubtful is the result of one that did so while the message was the host's
// already, or not yet.
func (p partner) doubtful() *result {
	return &result{'Z', "Connected to " + string(p) + " but connection died. Possible duplicate! (#4.4.2)\n"}
}

// said is a result with the host's own words.
func (p partner) said(letter byte, before, after string, reply Reply) *result {
	return &result{letter, before + string(p) + after + ".\nRemote host said: " + reply.Text}
}

// noUnicode is the result where an address is beyond the host.
func (p partner) noUnicode() *result {
	return &result{'D', "Connected to " + string(p) + " but server does not support internationalized email addresses.\n"}
}

// givingUp is the result where nobody is left to send the message to.
func (p partner) givingUp() *result {
	return &result{'D', "Giving up on " + string(p) + ".\n"}
}
