package manage

import (
	"errors"
	"os"
	"strings"

	"github.com/reqmail/reqmail/qmail/policy"
)

// CheckPolicy looks for mistakes in a file of the kind of control/mailpolicy,
// which, if it is optional, need not be there.
func CheckPolicy(s *Screen, path string, optional bool) error {
	text, err := os.ReadFile(path)
	if optional && errors.Is(err, os.ErrNotExist) {
		s.note("there is no " + Safe(path) + ": mail goes its way")
		err = nil
	}
	if err != nil {
		return err
	}
	mistakes := policy.Check(string(text))
	if s.JSON {
		list := []string{}
		for _, m := range mistakes {
			list = append(list, m.Error())
		}
		err = s.json(struct {
			Mistakes []string `json:"mistakes"`
		}{list})
	} else {
		for _, m := range mistakes {
			s.line("%s: %s", Safe(path), Safe(m.Error()))
		}
		if len(mistakes) == 0 {
			rules := 0
			for line := range strings.Lines(string(text)) {
				if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
					rules++
				}
			}
			s.line("%s: %d rules, no mistakes", Safe(path), rules)
		}
	}
	if err == nil && len(mistakes) > 0 {
		err = ErrLook
	}
	return err
}
