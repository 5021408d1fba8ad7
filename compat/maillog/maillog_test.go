package maillog

import (
	"strings"
	"testing"
)

func TestSafe(t *testing.T) {
	for in, want := range map[string]string{
		"a@b.example": "a@b.example", "": "",
		"a b%c\td\x7f\xe4": "a_b_c_d__",
		"one\ntwo\n":       "one/two/",
	} {
		if got := Safe(in); got != want {
			t.Errorf("%q: %q", in, got)
		}
	}
}

// lines has every line, what it looks like, and what reading it tells.
var lines = []struct {
	line, want string
	event      Event
}{
	{Status(1, 10, 2, 20, false), "status: local 1/10 remote 2/20",
		Event{Kind: KindStatus, Local: 1, LocalMax: 10, Remote: 2, RemoteMax: 20}},
	{Status(0, 10, 0, 20, true), "status: local 0/10 remote 0/20 exitasap",
		Event{Kind: KindStatus, LocalMax: 10, RemoteMax: 20, Leaving: true}},
	{Exiting, "status: exiting", Event{Kind: KindExiting}},
	{NewMessage(9979901), "new msg 9979901", Event{Kind: KindNewMessage, ID: 9979901}},
	{Info(9979901, 230, "bob@example.org", 47, 1002), "info msg 9979901: bytes 230 from <bob@example.org> qp 47 uid 1002",
		Event{Kind: KindInfo, ID: 9979901, Size: 230, Sender: "bob@example.org", QP: 47, UID: 1002}},
	{Info(1, 0, "", 2, 0), "info msg 1: bytes 0 from <> qp 2 uid 0",
		Event{Kind: KindInfo, ID: 1, QP: 2}},
	{Info(1, 2, "a> qp 3 uid 4", 5, 6), "info msg 1: bytes 2 from <a>_qp_3_uid_4> qp 5 uid 6", // no sender can play a field
		Event{Kind: KindInfo, ID: 1, Size: 2, Sender: "a>_qp_3_uid_4", QP: 5, UID: 6}},
	{Starting(7, 9979901, "remote", "a b@x"), "starting delivery 7: msg 9979901 to remote a_b@x",
		Event{Kind: KindStarting, Delivery: 7, ID: 9979901, Channel: "remote", Address: "a_b@x"}},
	{Starting(8, 1, "local", ""), "starting delivery 8: msg 1 to local ",
		Event{Kind: KindStarting, Delivery: 8, ID: 1, Channel: "local"}},
	{Ended(7, Success, "1.2.3.4 accepted message.\nRemote host said: 250 ok\n"),
		"delivery 7: success: 1.2.3.4_accepted_message./Remote_host_said:_250_ok/",
		Event{Kind: KindEnded, Delivery: 7, Result: Success, Text: "1.2.3.4_accepted_message./Remote_host_said:_250_ok/"}},
	{Ended(7, Deferral, ""), "delivery 7: deferral: ", Event{Kind: KindEnded, Delivery: 7, Result: Deferral}},
	{Ended(7, Failure, "no: reason"), "delivery 7: failure: no:_reason",
		Event{Kind: KindEnded, Delivery: 7, Result: Failure, Text: "no:_reason"}},
	{Mangled(7), "delivery 7: report mangled, will defer", Event{Kind: KindMangled, Delivery: 7}},
	{Bounced(5, 48), "bounce msg 5 qp 48", Event{Kind: KindBounced, ID: 5, QP: 48}},
	{TripleBounce("bounce/5"), "triple bounce: discarding bounce/5", Event{Kind: KindTripleBounce, ID: 5}},
	{Steered(5, "held: mailpolicy line 2"), "steer msg 5: held: mailpolicy line 2",
		Event{Kind: KindSteered, ID: 5, Text: "held: mailpolicy line 2"}},
	{EndMessage(5), "end msg 5", Event{Kind: KindEndMessage, ID: 5}},
	{Warning("unable to open x: file does not exist; will try again later"),
		"warning: unable to open x: file does not exist; will try again later",
		Event{Kind: KindWarning, Text: "unable to open x: file does not exist; will try again later"}},
	{Alert("cannot start: unable to switch to queue directory"), "alert: cannot start: unable to switch to queue directory",
		Event{Kind: KindAlert, Text: "cannot start: unable to switch to queue directory"}},
}

func TestLines(t *testing.T) {
	for _, test := range lines {
		if test.line != test.want {
			t.Errorf("got %q, want %q", test.line, test.want)
		}
		if got := Parse(test.want); got != test.event {
			t.Errorf("%q: %+v", test.want, got)
		}
	}
}

// What is nearly a line, or was cut off, is none: a wrong number would be
// worse than no event.
func TestParseOther(t *testing.T) {
	for _, line := range []string{
		"", "new", "new msg", "new msg ", "new msg x", "new msg 5 ", "new msg -5", "new  msg 5",
		"new msg 18446744073709551616", // beyond 64 bits
		"status: local 1/10 remote 2", "status: exiting now", "status: local 1/10 remote 2/20 exit",
		"info msg 1: bytes 2 from <a", "info msg 1: bytes 2 from <a> qp 5", "info msg 1: bytes 2 from <a> qp 5 uid 6 ",
		"starting delivery 7: msg 1 to remote", "delivery 7", "delivery 7: ", "delivery 7: finished: x", "delivery x: success: y",
		"bounce msg 5", "triple bounce: discarding mess/5", "end msg 5x", "New msg 5", "tcpserver: status: 1/40",
	} {
		if got := Parse(line); got != (Event{}) {
			t.Errorf("%q: %+v", line, got)
		}
	}
}

func TestUnstamp(t *testing.T) {
	for _, test := range lines { // unstamped ones stay as they are
		if got := Unstamp(test.want); got != test.want {
			t.Errorf("%q: %q", test.want, got)
		}
	}
	const line = "delivery 7: deferral: CNAME_lookup_failed:_x/"
	for _, stamped := range []string{
		line,
		"1795366888.944425 " + line, // splogger
		"Nov 22 17:01:28 host qmail: 1795366888.944425 " + line,     // syslog's classical form
		"Nov  2 17:01:28 host qmail[12]: 1795366888.944425 " + line, // with a pid
		"2026-11-22T17:01:28+01:00 host qmail: 1795366888.944425 " + line,
		"Nov 22 17:01:28 host qmail-send[12]: " + line, // standard output into the journal
		"@400000006b0a1b2c3d4e5f60 " + line,            // multilog
	} {
		if got := Unstamp(stamped); got != line {
			t.Errorf("%q: %q", stamped, got)
		}
	}
}

// FuzzParse: an event that was read is written as the line that it was read
// from, so that nothing is lost or made up.
func FuzzParse(f *testing.F) {
	for _, test := range lines {
		f.Add(test.line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		_ = Unstamp(line)
		e := Parse(line)
		again, ok := write(e)
		if ok && Parse(again) != e {
			t.Fatalf("%q is read as %+v, written as %q", line, e, again)
		}
		if strings.Contains(again, "\n") && !strings.Contains(line, "\n") {
			t.Fatalf("%q is written as several lines", line)
		}
	})
}

// write makes the line of an event; false for one whose text would not pass
// Safe unchanged.
func write(e Event) (string, bool) {
	for _, s := range []string{e.Sender, e.Address} {
		if Safe(s) != s {
			return "", false
		}
	}
	switch e.Kind {
	case KindStatus:
		return Status(e.Local, e.LocalMax, e.Remote, e.RemoteMax, e.Leaving), e.Local >= 0 && e.LocalMax >= 0 && e.Remote >= 0 && e.RemoteMax >= 0
	case KindExiting:
		return Exiting, true
	case KindNewMessage:
		return NewMessage(e.ID), true
	case KindInfo:
		return Info(e.ID, e.Size, e.Sender, e.QP, e.UID), true
	case KindStarting:
		return Starting(e.Delivery, e.ID, e.Channel, e.Address), !strings.Contains(e.Channel, " ")
	case KindEnded:
		return Ended(e.Delivery, e.Result, e.Text), Safe(e.Text) == e.Text
	case KindMangled:
		return Mangled(e.Delivery), true
	case KindEndMessage:
		return EndMessage(e.ID), true
	case KindWarning:
		return Warning(e.Text), true
	case KindAlert:
		return Alert(e.Text), true
	}
	return "", false
}

// FuzzSafe: what is logged is one word of a line.
func FuzzSafe(f *testing.F) {
	f.Add("a b\nc%\xff")
	f.Fuzz(func(t *testing.T, s string) {
		safe := Safe(s)
		if len(safe) != len(s) || strings.ContainsFunc(safe, func(r rune) bool { return r <= ' ' || r > '~' || r == '%' }) {
			t.Fatalf("%q: %q", s, safe)
		}
	})
}
