package datetime

import (
	"testing"
	"time"
)

func TestForms(t *testing.T) {
	// Given in another zone, shown in UTC.
	east := time.FixedZone("east", 2*3600)
	tests := []struct {
		at                    time.Time
		header, listing, mbox string
	}{
		{time.Date(1995, 9, 26, 6, 46, 54, 0, east),
			"26 Sep 1995 04:46:54 -0000", "26 Sep 1995 04:46:54 GMT", "Tue Sep 26 04:46:54 1995"},
		{time.Date(2026, 2, 1, 1, 5, 6, 0, east), // one-digit days: with a zero only in mbox
			"31 Jan 2026 23:05:06 -0000", "31 Jan 2026 23:05:06 GMT", "Sat Jan 31 23:05:06 2026"},
		{time.Unix(0, 0), "1 Jan 1970 00:00:00 -0000", "1 Jan 1970 00:00:00 GMT", "Thu Jan 01 00:00:00 1970"},
		{time.Unix(-1, 0), "31 Dec 1969 23:59:59 -0000", "31 Dec 1969 23:59:59 GMT", "Wed Dec 31 23:59:59 1969"},
	}
	for _, test := range tests {
		if got := Header(test.at); got != test.header {
			t.Errorf("Header: %q", got)
		}
		if got := string(AppendListing(nil, test.at)); got != test.listing {
			t.Errorf("AppendListing: %q", got)
		}
		if got := Mbox(test.at); got != test.mbox {
			t.Errorf("Mbox: %q", got)
		}
	}
}

func TestSyslog(t *testing.T) {
	for at, want := range map[int64]string{
		1795366888: "Nov 22 17:01:28",
		1793578088: "Nov  2 00:08:08", // a blank, not a zero
	} {
		if got := Syslog(time.Unix(at, 0).UTC()); got != want {
			t.Errorf("%q", got)
		}
	}
}

func TestLocal(t *testing.T) {
	summer, winter := time.Unix(1782864000, 0), time.Unix(1795366888, 0) // 1 July, 22 November 2026
	tests := []struct {
		rule           string
		summer, winter int // seconds east of UTC
	}{
		{"UTC0", 0, 0},
		{"CET-1CEST,M3.5.0,M10.5.0/3", 7200, 3600},
		{"XYZ5", -18000, -18000},
		{":XYZ-3:30", 12600, 12600},
		{"<+0545>-5:45", 20700, 20700},
		{"<-03>3<-02>,M3.5.0/-2,M10.5.0/-1", -7200, -10800},
		{"no such zone", 0, 0}, // what cannot be understood is UTC
		{"XYZ", 0, 0},
	}
	for _, test := range tests {
		t.Setenv("TZ", test.rule)
		zone := Local()
		if zone == time.Local {
			// Package time has read TZ before this test has set it: what Local
			// leaves to it cannot be tested in this process.
			continue
		}
		for at, want := range map[time.Time]int{summer: test.summer, winter: test.winter} {
			if _, got := at.In(zone).Zone(); got != want {
				t.Errorf("%s at %v: %d", test.rule, at.UTC(), got)
			}
		}
	}
}

func TestLocalLeavesKnownZones(t *testing.T) {
	for _, rule := range []string{"", ":", "UTC", "/usr/share/zoneinfo/none"} {
		t.Setenv("TZ", rule)
		if Local() != time.Local {
			t.Errorf("TZ=%q", rule)
		}
	}
}

// FuzzLocal: no TZ breaks the program that it is set for.
func FuzzLocal(f *testing.F) {
	for _, seed := range []string{"CET-1CEST,M3.5.0,M10.5.0/3", "A", "<", "AAA99999999999999999999", "ABC1DEF,J0/999,366", "x\ny"} {
		f.Add([]byte(seed), int64(1795366888))
	}
	f.Fuzz(func(t *testing.T, rule []byte, at int64) {
		zone, err := time.LoadLocationFromTZData("Local", ruleFile(string(rule)))
		if err == nil && Syslog(time.Unix(at%1e11, 0).In(zone)) == "" {
			t.Fatal("no time")
		}
	})
}
