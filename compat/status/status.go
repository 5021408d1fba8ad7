// Package status is the table of qmail-queue's exit codes and of the texts
// that every program gives for them (qmail-queue(8)). It must not know how
// qmail-queue is run.
package status

// Exit codes of qmail-queue and of programs that stand in for it.
const (
	Queued          = 0
	AddressTooLong  = 11
	Refused         = 31
	OutOfMemory     = 51
	Timeout         = 52
	WriteError      = 53
	ReadError       = 54
	Unreadable      = 55
	Network         = 56
	HomeDirectory   = 61
	QueueDirectory  = 62
	PidFile         = 63
	MessFile        = 64
	IntdFile        = 65
	TodoFile        = 66
	TemporaryRefuse = 71
	ConnectTimeout  = 72
	ConnectRefused  = 73
	ConnectionDied  = 74
	InternalBug     = 81
	CustomText      = 82
	BadEnvelope     = 91
	AddressTooLong2 = 115 // old releases
	ExecFailed      = 120
)

// Crashed is the text for a queue program that was killed by a signal.
const Crashed = "Zqq crashed (#4.3.0)"

// WaitFailed is the text for a queue program whose end cannot be learnt.
const WaitFailed = "Zqq waitpid surprise (#4.3.0)"

var texts = [...]string{
	AddressTooLong:  "Denvelope address too long for qq (#5.1.3)",
	Refused:         "Dmail server permanently rejected message (#5.3.0)",
	OutOfMemory:     "Zqq out of memory (#4.3.0)",
	Timeout:         "Zqq timeout (#4.3.0)",
	WriteError:      "Zqq write error or disk full (#4.3.0)",
	ReadError:       "Zqq read error (#4.3.0)",
	Unreadable:      "Zqq unable to read configuration (#4.3.0)",
	Network:         "Zqq trouble making network connection (#4.3.0)",
	HomeDirectory:   "Zqq trouble in home directory (#4.3.0)",
	QueueDirectory:  "Zqq trouble creating files in queue (#4.3.0)",
	PidFile:         "Zqq trouble creating files in queue (#4.3.0)",
	MessFile:        "Zqq trouble creating files in queue (#4.3.0)",
	IntdFile:        "Zqq trouble creating files in queue (#4.3.0)",
	TodoFile:        "Zqq trouble creating files in queue (#4.3.0)",
	TemporaryRefuse: "Zmail server temporarily rejected message (#4.3.0)",
	ConnectTimeout:  "Zconnection to mail server timed out (#4.4.1)",
	ConnectRefused:  "Zconnection to mail server rejected (#4.4.1)",
	ConnectionDied:  "Zcommunication with mail server failed (#4.4.2)",
	InternalBug:     "Zqq internal bug (#4.3.0)",
	BadEnvelope:     "Zqq internal bug (#4.3.0)",
	AddressTooLong2: "Denvelope address too long for qq (#5.1.3)",
	ExecFailed:      "Zunable to exec qq (#4.3.0)",
}

// Text returns the text for an exit code, "D" or "Z" first: permanent or
// temporary. For Queued it is empty. custom is what the queue program wrote
// to its error pipe, which only CustomText uses.
func Text(code int, custom string) string {
	switch {
	case code == Queued:
		return ""
	case code == CustomText && len(custom) > 2:
		return custom
	case code > 0 && code < len(texts) && texts[code] != "":
		return texts[code]
	case code >= 11 && code <= 40:
		return "Dqq permanent problem (#5.3.0)"
	}
	return "Zqq temporary problem (#4.3.0)"
}
