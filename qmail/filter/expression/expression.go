// Package expression compiles the regular expressions of filters' lists. It is
// apart from package filter because package regexp belongs into the second
// binary alone. It must not know what an expression is matched with.
package expression

import (
	"regexp"

	"github.com/reqmail/reqmail/qmail/filter"
)

var _ filter.Compile = Compile

// Compile compiles a POSIX extended regular expression for any case of
// letters. It differs from regcomp(3) in three things: \d, \pN and other words
// of Perl's have their meaning there, where regcomp takes the letter;
// references back (\1), which POSIX does not know either, are an error; a
// repetition of more than 1000 is one too. Which of several matches is found
// does not matter here.
func Compile(text string) (filter.Expression, error) {
	re, err := regexp.Compile("(?is:" + text + ")")
	if err != nil {
		return nil, err
	}
	return re, nil
}
