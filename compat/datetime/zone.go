package datetime

import (
	"os"
	"time"
)

// Syslog formats t as syslog(3) and maillog do, in the zone that it is in:
// "Nov 22 17:01:28".
func Syslog(t time.Time) string { return t.Format("Jan _2 15:04:05") }

// Local returns the zone of the environment variable TZ or of the host. Other
// than time.Local it also understands POSIX rules such as "CET-1CEST", which
// tzset(3) does and package time takes for UTC.
func Local() *time.Location {
	rule := os.Getenv("TZ")
	if rule != "" && rule[0] == ':' {
		rule = rule[1:]
	}
	if rule == "" || rule[0] == '/' {
		return time.Local
	}
	if _, err := time.LoadLocation(rule); err == nil {
		return time.Local
	}
	zone, err := time.LoadLocationFromTZData("Local", ruleFile(rule))
	if err != nil {
		return time.Local
	}
	return zone
}

// ruleFile makes a zone file (RFC 9636) without any history, so that its
// footer, a POSIX rule, holds for all time.
func ruleFile(rule string) []byte {
	const magic = "TZif2"
	const unused = 15
	noCounts := make([]byte, 6*4)
	counts := []byte{
		0, 0, 0, 0, // UT/local indicators
		0, 0, 0, 0, // standard/wall indicators
		0, 0, 0, 0, // leap seconds
		0, 0, 0, 0, // transitions
		0, 0, 0, 1, // types
		0, 0, 0, 4, // characters of abbreviations
	}
	utc := []byte{0, 0, 0, 0, 0, 0, 'U', 'T', 'C', 0}
	var file []byte
	for _, block := range [][]byte{noCounts, counts} {
		file = append(file, magic...)
		file = append(file, make([]byte, unused)...)
		file = append(file, block...)
	}
	file = append(file, utc...)
	return append(file, "\n"+rule+"\n"...)
}
