package maillog

import (
	"testing"
	"time"
)

func TestTime(t *testing.T) {
	now := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	for line, want := range map[string]int64{
		"1795366888.944425 new msg 5":                             1795366888,
		"Nov 25 14:00:01 host qmail: 1795366888.944425 new msg 5": 1795366888,
		"@40000000692d3e0a2b1f0e6c new msg 5":                     0x692d3e0a - 10,
		"2026-01-02T11:00:00.5+00:00 host qmail: new msg 5":       now.Unix() - 3600 + 0,
		"Jan  2 11:00:00 host qmail: new msg 5":                   now.Unix() - 3600,
		"Dec 31 12:00:00 host qmail: new msg 5":                   now.Unix() - 2*86400, // of last year
	} {
		if got, ok := Time(line, now); !ok || got.Unix() != want {
			t.Errorf("%q: %v, %t, want %d", line, got, ok, want)
		}
	}
	for _, line := range []string{"", "@", "@zzzzzzzzzzzzzzzz x", "new msg 5", "Foo 99 99:99:99 host qmail: new msg 5", "@ffffffffffffffff x"} {
		if got, ok := Time(line, now); ok {
			t.Errorf("%q: %v", line, got)
		}
	}
}

func FuzzTime(f *testing.F) {
	f.Add("Nov 25 14:00:01 host qmail: 1795366888.944425 new msg 5")
	f.Add("@40000000692d3e0a2b1f0e6c new msg 5")
	f.Fuzz(func(t *testing.T, line string) { Time(line, time.Unix(1795366888, 0)) })
}
