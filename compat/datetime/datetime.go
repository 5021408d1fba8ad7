// Package datetime writes times in the forms qmail uses. All but Syslog are
// UTC. It must not know where they are written.
package datetime

import "time"

// Header formats t as in Date and Received fields, qmail's RFC 5322 3.3 form:
// "26 Sep 1995 04:46:54 -0000".
func Header(t time.Time) string { return t.UTC().Format("2 Jan 2006 15:04:05 -0000") }

// AppendListing appends t as qmail-qread shows it: "26 Sep 1995 04:46:54 GMT".
func AppendListing(b []byte, t time.Time) []byte {
	return t.UTC().AppendFormat(b, "2 Jan 2006 15:04:05 GMT")
}

// Mbox formats t as in a From_ line, like ctime(3) but with the day of the
// month in two digits: "Tue Sep 26 04:46:54 1995".
func Mbox(t time.Time) string { return t.UTC().Format("Mon Jan 02 15:04:05 2006") }
