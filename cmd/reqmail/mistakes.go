package main

import (
	"regexp"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// The errors of package flag about what was typed.
var (
	noOption = regexp.MustCompile(`^flag provided but not defined: --?(.*)$`)
	noValue  = regexp.MustCompile(`^flag needs an argument: --?(.*)$`)
	badValue = regexp.MustCompile(`^invalid (?:boolean )?value (".*") for (?:flag )?--?([^ :]*): `)
)

// usageError says in words for people what package flag says about an option.
func usageError(c *cli.Context, err error, _ bool) error {
	text := err.Error()
	if m := noOption.FindStringSubmatch(text); m != nil {
		help := strings.Join(strings.Fields("reqmail help "+strings.TrimPrefix(c.Command.HelpName, "reqmail")), " ")
		return usage{"there is no option " + dashed(m[1]) + "; " + help + " lists them"}
	}
	if m := noValue.FindStringSubmatch(text); m != nil {
		return usage{dashed(m[1]) + " needs a value"}
	}
	if m := badValue.FindStringSubmatch(text); m != nil {
		return usage{dashed(m[2]) + " takes " + kindOf(c, m[2]) + ", not " + m[1]}
	}
	return usage{text}
}

// dashed puts an option's dashes before its name.
func dashed(name string) string { return strings.Repeat("-", min(len(name), 2)) + name }

// kindOf says what an option of a command takes.
func kindOf(c *cli.Context, name string) string {
	for _, f := range c.Command.Flags {
		if !slices.Contains(f.Names(), name) {
			continue
		}
		switch f.(type) {
		case *cli.DurationFlag:
			return "a time as in 90s, 10m or 2h"
		case *cli.IntFlag, *cli.Uint64Flag:
			return "a number"
		}
	}
	return "no value"
}

// optionError tells which option an error is about.
func optionError(name string, err error) error {
	if err != nil {
		return usage{dashed(name) + ": " + err.Error()}
	}
	return nil
}

// checkLine refuses what would otherwise be as if it were not there: options
// behind arguments, options whose value is empty, which in a script is a
// variable without one, and counts of nothing.
func checkLine(c *cli.Context) error {
	for _, arg := range c.Args().Slice() {
		if strings.HasPrefix(arg, "-") && arg != "-" {
			return usage{"options stand before arguments: " + arg}
		}
	}
	for _, flag := range c.Command.Flags {
		name := flag.Names()[0]
		switch flag.(type) {
		case *cli.StringFlag:
			if c.IsSet(name) && c.String(name) == "" {
				return usage{"--" + name + " is given without a value"}
			}
		case *cli.IntFlag:
			if c.IsSet(name) && c.Int(name) < 1 {
				return usage{"--" + name + " is at least 1"}
			}
		}
	}
	return nil
}
