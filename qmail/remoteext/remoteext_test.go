package remoteext

import "testing"

func TestMatches(t *testing.T) {
	for _, test := range []struct {
		name, host string
		want       bool
	}{
		{"mx.example", "mx.example", true},
		{"MX.example", "mx.Example.", true},
		{"*.example", "mx.example", true},
		{"*.example", "a.mx.example", false}, // one label
		{"*.example", "example", false},
		{"*.example", ".example", false},
		{"m*.example", "mx.example", false},
		{"*.", "mx.", false},
		{"", "", true}, // an empty name is never asked for
		{"mx.example", "", false},
	} {
		if got := matches(test.name, test.host); got != test.want {
			t.Errorf("%q for %q: got %v", test.name, test.host, got)
		}
	}
}

// FuzzMatches: a wild name stands for exactly one label.
func FuzzMatches(f *testing.F) {
	f.Add("*.example", "mx.example")
	f.Fuzz(func(t *testing.T, name, host string) {
		if matches("*."+name, "a.b."+name) && name != "b."+name {
			t.Errorf("%q stands for two labels", name)
		}
		matches(name, host)
	})
}
