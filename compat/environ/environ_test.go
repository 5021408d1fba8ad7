package environ

import (
	"slices"
	"testing"
)

func TestWith(t *testing.T) {
	base := List{"A=1", "B=2", "A=3", "AB=4"}
	for _, test := range []struct {
		add, want []string
	}{
		{nil, []string{"A=1", "B=2", "A=3", "AB=4"}},
		{[]string{"A=9"}, []string{"B=2", "AB=4", "A=9"}},
		{[]string{"A=8", "C=", "A=9"}, []string{"B=2", "AB=4", "C=", "A=9"}},
	} {
		if got := base.With(test.add...); !slices.Equal(got, List(test.want)) {
			t.Errorf("with %q: got %q, want %q", test.add, got, test.want)
		}
	}
	if !slices.Equal(base, List{"A=1", "B=2", "A=3", "AB=4"}) {
		t.Errorf("the list itself has changed: %q", base)
	}
}

func TestLookup(t *testing.T) {
	l := List{"AB=0", "A=", "A=2"}
	if v, ok := l.Lookup("A"); v != "" || !ok {
		t.Errorf("A: got %q, %v; the first counts", v, ok)
	}
	if _, ok := l.Lookup("B"); ok {
		t.Error("B is not there")
	}
}

func TestWithout(t *testing.T) {
	list := List{"A=1", "AB=2", "A=3"}
	if got := list.Without("A"); !slices.Equal(got, List{"AB=2"}) {
		t.Errorf("got %q", got)
	}
	if len(list) != 3 {
		t.Errorf("the list itself became %q", list)
	}
}
