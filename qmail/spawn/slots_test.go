package spawn

import (
	"os"
	"testing"
)

func TestResidents(t *testing.T) {
	home := t.TempDir()
	for _, test := range []struct {
		text string
		want bool
	}{{"1\n", true}, {"0\n", false}, {"", true}} {
		if err := os.MkdirAll(home+"/control", 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(home+"/control/residentchildren", []byte(test.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := Residents(home); got != test.want {
			t.Errorf("%q: got %v", test.text, got)
		}
	}
}
