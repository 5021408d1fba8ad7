package crash

import "testing"

func TestAppended(t *testing.T) {
	one, two := scenario[0].body(token)+"\n", scenario[1].body(token)+"\n"
	head := "From you Wed Nov 25 17:16:02 2026\nReturn-Path: <you>\n"
	tests := []struct {
		name, before, added string
		want                bool
	}{
		{"nothing", head + one, "", true},
		{"one into an empty mbox", "", head + one, true},
		{"two behind another", head + one, head + two + head + one, true},
		{"behind a torn one", head + one[:50], "\n\n" + head + one, true},
		{"into a torn one", head + one[:50], head + one, false},
		{"one without its end", "", head + one[:len(one)-20], false},
		{"one without its end before another", "", head + one[:len(one)-20] + head + two, false},
		{"one with another's end", "", head + one[:60] + two[60:], false},
		{"one without From", "", one, false},
	}
	for _, tt := range tests {
		if got := appended(scenario, tt.before, tt.added, token); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}
