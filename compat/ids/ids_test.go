package ids

import (
	"errors"
	"testing"
)

func TestLookup(t *testing.T) {
	root, ok, err := Lookup("root")
	if err != nil || !ok || root.UID != 0 || root.Home == "" {
		t.Errorf("root: %+v, %v, %v", root, ok, err)
	}
	for _, name := range []string{"", "no-such-user-here", "root:x", "ro\not", "roo"} {
		if u, ok, err := Lookup(name); ok || err != nil {
			t.Errorf("%q: %+v, %v, %v", name, u, ok, err)
		}
	}
}

func TestMissing(t *testing.T) {
	_, err := GID("no-such-group-here")
	var missing *Missing
	if err != nil && (!errors.As(err, &missing) || err.Error() != "fatal: unable to find group no-such-group-here") {
		t.Errorf("got %v", err)
	}
}
