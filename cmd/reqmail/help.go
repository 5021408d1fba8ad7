package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/urfave/cli/v2"
)

// helpWidth is how many columns help takes at most.
const helpWidth = 80

// helpCommand shows help on a command, or on a command of a command.
func helpCommand() *cli.Command {
	return &cli.Command{
		Name: "help", Aliases: []string{"h"}, Usage: "list the commands, or tell about one", ArgsUsage: "[COMMAND...]",
		Action: func(c *cli.Context) error {
			list, found := c.App.Commands, (*cli.Command)(nil)
			for i, name := range c.Args().Slice() {
				if found = commandIn(list, name); found == nil {
					return noSuch(strings.Join(c.Args().Slice()[:i+1], " "))
				}
				list = found.Subcommands
			}
			if found == nil {
				return cli.ShowAppHelp(c)
			}
			showHelp(c.App.Writer, found, strings.Join(c.Args().Slice(), " "))
			return nil
		},
	}
}

func noSuch(name string) error {
	return usage{"there is no command " + name + "; reqmail help lists them"}
}

func commandIn(list []*cli.Command, name string) *cli.Command {
	for _, c := range list {
		if c.HasName(name) {
			return c
		}
	}
	return nil
}

// groupOf makes commands one group of those that help lists.
func groupOf(title string, list []*cli.Command) []*cli.Command {
	for _, c := range list {
		c.Category = title
	}
	return list
}

// printHelp is what package cli shows help by.
func printHelp(out io.Writer, _ string, data any) {
	switch about := data.(type) {
	case *cli.Command:
		showHelp(out, about, strings.TrimPrefix(about.HelpName, "reqmail "))
	case *cli.App:
		fmt.Fprintf(out, "reqmail - %s\n\n  reqmail [--home FOLDER] [--json] COMMAND [OPTION...] [ARGUMENT...]\n", about.Usage)
		group := ""
		for _, c := range about.Commands {
			if c.Hidden {
				continue
			}
			if c.Category != group {
				group = c.Category
				fmt.Fprintf(out, "\n%s:\n", group)
			}
			helpLine(out, 10, c.Name, c.Usage)
		}
		fmt.Fprint(out, "\nOptions:\n")
		helpFlags(out, about.Flags)
		fmt.Fprint(out, "\nreqmail help COMMAND tells about one; reqmail(8) about all.\n")
	}
}

// showHelp tells about a command, which has its full name in words.
func showHelp(out io.Writer, c *cli.Command, name string) {
	wrap(out, "reqmail "+name+" - ", "  ", c.Usage)
	fmt.Fprintln(out)
	if len(c.Subcommands) > 0 {
		fmt.Fprintf(out, "  reqmail %s COMMAND [OPTION...] [ARGUMENT...]\n\nCommands:\n", name)
		for _, sub := range c.Subcommands {
			helpLine(out, 10, sub.Name, sub.Usage)
		}
	} else {
		fmt.Fprintf(out, "  reqmail %s\n", strings.TrimSpace(name+" [OPTION...] "+c.ArgsUsage))
	}
	fmt.Fprint(out, "\nOptions:\n")
	helpFlags(out, c.Flags)
}

func helpFlags(out io.Writer, flags []cli.Flag) {
	for _, f := range flags {
		flag, ok := f.(cli.DocGenerationFlag)
		if visible, may := f.(cli.VisibleFlag); !ok || may && !visible.IsVisible() || f == cli.HelpFlag {
			continue
		}
		before, value, after := cutQuoted(flag.GetUsage())
		text := before + value + after
		if standard := strings.Trim(flag.GetDefaultText(), `"`); flag.TakesValue() && standard != "" && standard != "0" && standard != "0s" {
			text += " (default: " + standard + ")"
		}
		var names []string
		for _, name := range f.Names() {
			names = append(names, strings.Repeat("-", min(len(name), 2))+name)
		}
		head := strings.Join(names, ", ")
		if flag.TakesValue() {
			head += " " + value
		}
		helpLine(out, 20, head, text)
	}
}

// cutQuoted cuts a text around the name of a value, which stands in backquotes.
func cutQuoted(text string) (before, value, after string) {
	before, rest, _ := strings.Cut(text, "`")
	value, after, _ = strings.Cut(rest, "`")
	return before, value, after
}

// helpLine shows a name and, from a column on, what it is, over several lines if
// it must be.
func helpLine(out io.Writer, column int, name, text string) {
	indent := strings.Repeat(" ", column+4)
	line := fmt.Sprintf("  %-*s  ", column, name)
	if len(name) > column {
		fmt.Fprintln(out, "  "+name)
		line = indent
	}
	wrap(out, line, indent, text)
}

// wrap shows a text behind what its first line begins with; indent begins the
// others.
func wrap(out io.Writer, line, indent, text string) {
	empty := len(line)
	for _, word := range strings.Fields(text) {
		if len(line) > empty && len(line)+len(word) >= helpWidth {
			fmt.Fprintln(out, line)
			line, empty = indent, len(indent)
		}
		if len(line) > empty {
			line += " "
		}
		line += word
	}
	fmt.Fprintln(out, strings.TrimRight(line, " "))
}
