package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/reqmail/reqmail/compat/ids"
)


func TestTell(t *testing.T) {
	for _, test := range []struct {
		err  error
		code int
		want string
	}{
		{nil, exitDone, ""},
		{exit(exitLook), exitLook, ""},
		{usage{"a mistake"}, exitUsage, "reqmail: usage: a mistake\n"},
		{fmt.Errorf("serve: %w", &ids.Missing{Kind: "user", Name: "qmailq"}), exitFailed, "reqmail: fatal: unable to find user qmailq\n"},
	} {
		var errs strings.Builder
		if code := tell(test.err, &errs); code != test.code || errs.String() != test.want {
			t.Errorf("%v: %d, %q", test.err, code, &errs)
		}
	}
}
