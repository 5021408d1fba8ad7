package smtphost

import (
	"testing"

	"github.com/reqmail/reqmail/compat/environ"
)

func TestFromFirstByte(t *testing.T) {
	for _, test := range []struct {
		name string
		env  environ.List
		want bool
	}{
		{"nothing", nil, false},
		{"SMTPS", environ.List{"TCPLOCALPORT=25", "SMTPS=1"}, true},
		{"SMTPS, empty", environ.List{"SMTPS="}, true},
		{"by the port", environ.List{"TCPLOCALPORT=465"}, true},
		{"submission", environ.List{"TCPLOCALPORT=587"}, false},
		{"behind sslserver", environ.List{"TCPLOCALPORT=465", "SSLLOCALPORT=465"}, false},
		{"behind sslserver, but asked for", environ.List{"SSLLOCALPORT=465", "SMTPS=1"}, true},
	} {
		if got := fromFirstByte(test.env); got != test.want {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
}
