// Package maillog is the one place that knows the lines of qmail-send's log:
// it writes them, and it parses them for programs that read maillog.
//
// Its texts are those of qmail-log(5); scripts grep for them. Lines are
// returned without their newline. The package must not know where the log
// goes or why something is logged.
package maillog

import (
	"strconv"
	"strings"
)

// Result is the outcome of a delivery as the log words it.
type Result string

// The outcomes of a delivery.
const (
	Success  Result = "success"
	Deferral Result = "deferral"
	Failure  Result = "failure"
)

// Safe makes outside bytes fit for a log line: newline becomes "/", and what
// is not a printable, non-space ASCII character, or is "%", becomes "_".
func Safe(s string) string {
	clean := true
	for i := range len(s) {
		if c := s[i]; c < 33 || c > 126 || c == '%' {
			clean = false
			break
		}
	}
	if clean {
		return s
	}
	b := []byte(s)
	for i, c := range b {
		switch {
		case c == '\n':
			b[i] = '/'
		case c < 33 || c > 126 || c == '%':
			b[i] = '_'
		}
	}
	return string(b)
}

func num(n uint64) string { return strconv.FormatUint(n, 10) }

// Status is the line about deliveries running of allowed, per channel.
func Status(local, localMax, remote, remoteMax int, leaving bool) string {
	line := "status: local " + strconv.Itoa(local) + "/" + strconv.Itoa(localMax) +
		" remote " + strconv.Itoa(remote) + "/" + strconv.Itoa(remoteMax)
	if leaving {
		line += " exitasap"
	}
	return line
}

// Exiting is the last line of a qmail-send that ends in good order.
const Exiting = "status: exiting"

// NewMessage says that preprocessing of a message starts.
func NewMessage(id uint64) string { return "new msg " + num(id) }

// Info tells size (of the queue file, in bytes), envelope sender, and the
// process and user that queued the message.
func Info(id, size uint64, sender string, qp, uid uint64) string {
	return "info msg " + num(id) + ": bytes " + num(size) + " from <" + Safe(sender) +
		"> qp " + num(qp) + " uid " + num(uid)
}

// Starting says that a delivery is handed to a spawner. channel is "local" or
// "remote".
func Starting(delivery, id uint64, channel, recipient string) string {
	return "starting delivery " + num(delivery) + ": msg " + num(id) + " to " + channel + " " + Safe(recipient)
}

// Ended tells the result of a delivery and the spawner's text.
func Ended(delivery uint64, result Result, text string) string {
	return "delivery " + num(delivery) + ": " + string(result) + ": " + Safe(text)
}

// Mangled says that a spawner's report made no sense.
func Mangled(delivery uint64) string {
	return "delivery " + num(delivery) + ": report mangled, will defer"
}

// Bounced says that a bounce was queued by process qp.
func Bounced(id uint64, qp int) string {
	return "bounce msg " + num(id) + " qp " + strconv.Itoa(qp)
}

// TripleBounce says that a bounce of a double bounce is thrown away.
func TripleBounce(file string) string { return "triple bounce: discarding " + file }

// Steered says what became of a message because somebody ordered it; outside
// bytes in what are the caller's to make Safe.
func Steered(id uint64, what string) string { return "steer msg " + num(id) + ": " + what }

// EndMessage says that a message is done with.
func EndMessage(id uint64) string { return "end msg " + num(id) }

// Warning is trouble that qmail-send gets over by itself.
func Warning(text string) string { return "warning: " + text }

// Alert is trouble that needs an administrator.
func Alert(text string) string { return "alert: " + text }

// Kind tells what a parsed line is about.
type Kind int

// The kinds of log lines.
const (
	Other Kind = iota
	KindStatus
	KindExiting
	KindNewMessage
	KindInfo
	KindStarting
	KindEnded
	KindMangled
	KindBounced
	KindTripleBounce
	KindEndMessage
	KindSteered
	KindWarning
	KindAlert
)

// Event is a parsed log line; which fields are set depends on Kind.
type Event struct {
	Kind     Kind
	ID       uint64 // message
	Delivery uint64
	Size     uint64 // bytes
	QP, UID  uint64
	Sender   string // as logged
	Channel  string // "local" or "remote"
	Address  string // recipient, as logged
	Result   Result
	Text     string // report of a delivery, what was ordered, or text of a warning or alert

	Local, LocalMax, Remote, RemoteMax int
	Leaving                            bool
}

// Parse takes a line apart, without its newline and without what a logger put
// before it (see Unstamp). Lines it does not know are of kind Other.
func Parse(line string) Event {
	word, rest, _ := strings.Cut(line, " ")
	s := scanner{rest: rest, ok: true}
	var e Event
	switch word {
	case "status:":
		e = s.status()
	case "new":
		e = Event{Kind: KindNewMessage, ID: s.lit("msg ").number()}
	case "info":
		e = s.info()
	case "starting":
		e = Event{Kind: KindStarting, Delivery: s.lit("delivery ").number(), ID: s.lit(": msg ").number()}
		e.Channel = s.lit(" to ").until(" ")
		e.Address = s.all()
	case "delivery":
		e = s.ended()
	case "bounce":
		e = Event{Kind: KindBounced, ID: s.lit("msg ").number(), QP: s.lit(" qp ").number()}
	case "triple":
		e = Event{Kind: KindTripleBounce, ID: s.lit("bounce: discarding bounce/").number()}
	case "end":
		e = Event{Kind: KindEndMessage, ID: s.lit("msg ").number()}
	case "steer":
		e = Event{Kind: KindSteered, ID: s.lit("msg ").number()}
		e.Text = s.lit(": ").all()
	case "warning:":
		e = Event{Kind: KindWarning, Text: s.all()}
	case "alert:":
		e = Event{Kind: KindAlert, Text: s.all()}
	}
	if !s.ok || s.rest != "" {
		return Event{}
	}
	return e
}

// Unstamp cuts off what splogger and syslog ("… qmail: 1795366888.944425 "),
// syslog alone, or multilog ("@400000005… ") put before a line. A line of
// qmail-send's own begins with a lower-case letter.
func Unstamp(line string) string {
	if strings.HasPrefix(line, "@4") {
		_, rest, _ := strings.Cut(line, " ")
		return rest
	}
	if rest, ok := cutTime(line); ok || line == "" || 'a' <= line[0] && line[0] <= 'z' {
		return rest
	}
	if before, rest, ok := strings.Cut(line, ": "); ok && strings.Contains(before, " ") {
		line, _ = cutTime(rest)
	}
	return line
}

// cutTime cuts off splogger's "SECONDS.MICROSECONDS ".
func cutTime(line string) (string, bool) {
	stamp, rest, ok := strings.Cut(line, " ")
	if !ok || strings.Trim(stamp, "0123456789.") != "" || !strings.Contains(stamp, ".") {
		return line, false
	}
	return rest, true
}

// scanner consumes a line from the left; once something does not match, ok
// stays false.
type scanner struct {
	rest string
	ok   bool
}

func (s *scanner) lit(text string) *scanner {
	rest, ok := strings.CutPrefix(s.rest, text)
	s.rest, s.ok = rest, s.ok && ok
	return s
}

func (s *scanner) number() uint64 {
	end := 0
	for end < len(s.rest) && '0' <= s.rest[end] && s.rest[end] <= '9' {
		end++
	}
	n, err := strconv.ParseUint(s.rest[:end], 10, 64)
	s.rest, s.ok = s.rest[end:], s.ok && err == nil
	return n
}

func (s *scanner) until(sep string) string {
	word, rest, ok := strings.Cut(s.rest, sep)
	s.rest, s.ok = rest, s.ok && ok
	return word
}

func (s *scanner) all() string {
	text := s.rest
	s.rest = ""
	return text
}

func (s *scanner) status() Event {
	if s.rest == "exiting" {
		s.rest = ""
		return Event{Kind: KindExiting}
	}
	e := Event{Kind: KindStatus}
	e.Local = int(s.lit("local ").number())
	e.LocalMax = int(s.lit("/").number())
	e.Remote = int(s.lit(" remote ").number())
	e.RemoteMax = int(s.lit("/").number())
	if s.rest == " exitasap" {
		s.rest, e.Leaving = "", true
	}
	return e
}

func (s *scanner) info() Event {
	e := Event{Kind: KindInfo, ID: s.lit("msg ").number(), Size: s.lit(": bytes ").number()}
	s.lit(" from <")
	at := strings.LastIndex(s.rest, "> qp ")
	if at < 0 {
		s.ok = false
		return e
	}
	e.Sender, s.rest = s.rest[:at], s.rest[at:]
	e.QP = s.lit("> qp ").number()
	e.UID = s.lit(" uid ").number()
	return e
}

func (s *scanner) ended() Event {
	e := Event{Kind: KindEnded, Delivery: s.number()}
	s.lit(": ")
	if s.rest == "report mangled, will defer" {
		s.rest, e.Kind = "", KindMangled
		return e
	}
	e.Result = Result(s.until(": "))
	s.ok = s.ok && (e.Result == Success || e.Result == Deferral || e.Result == Failure)
	e.Text = s.all()
	return e
}
