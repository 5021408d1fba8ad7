package getopt

import (
	"bytes"
	"strings"
	"testing"
)

func TestNext(t *testing.T) {
	for _, test := range []struct {
		args, got, operands, complaint string
	}{
		{"p a b", "", "a b", ""},
		{"p -n a", "n", "a", ""},
		{"p -nN -n", "nNn", "", ""},
		{"p -f x y", "f=x", "y", ""},
		{"p -fx y", "f=x", "y", ""},
		{"p -nfx", "nf=x", "", ""},
		{"p -n -- -n", "n", "-n", ""},
		{"p --n a", "", "a", ""}, // C looks at two bytes
		{"p -n --help a", "n", "a", ""},
		{"p -n - -n", "n", "- -n", ""}, // an operand, and the end
		{"p a -n", "", "a -n", ""},
		{"/x/p -z a", "?", "a", "p: illegal option -- z\n"},
		{"p -f", "?", "", "p: option requires an argument -- f\n"},
		{"p -:", "?", "", "p: illegal option -- :\n"},
	} {
		var errors bytes.Buffer
		p := New(strings.Fields(test.args), "nNf:", &errors)
		got := ""
		for letter, more := p.Next(); more; letter, more = p.Next() {
			got += string(rune(letter))
			if letter == 'f' {
				got += "=" + p.Arg
			}
		}
		if operands := strings.Join(p.Operands(), " "); got != test.got || operands != test.operands || errors.String() != test.complaint {
			t.Errorf("%s: got %q, operands %q, %q", test.args, got, operands, errors.String())
		}
	}
	if _, more := New(nil, "n", &bytes.Buffer{}).Next(); more {
		t.Error("an option without any argv")
	}
}
