// Reqmail manages a mail system of qmail's: it shows the queue and steers
// qmail-send, looks a host over, exchanges the programs and puts them back.
//
// Synopsis:
//
//	reqmail [--home DIR] [--json] COMMAND [OPTIONS] [ARGUMENTS]
//	reqmail help [COMMAND...]
//
// It writes what it finds and does to standard output, a line each, or with
// --json one JSON value; errors go to standard error. It leaves with 0 if all
// is done and well, 1 if it is done but something is to be looked at, 2 for
// wrong usage, 111 if it is not done. reqmail(8) has the commands.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"syscall"

	"github.com/urfave/cli/v2"

	"github.com/reqmail/reqmail/compat/home"
	"github.com/reqmail/reqmail/compat/ids"
	"github.com/reqmail/reqmail/qmail/manage"
)

// The exit codes that every command has.
const (
	exitDone   = 0
	exitLook   = 1
	exitUsage  = 2
	exitFailed = 111
)

// version is set by the linker.
var version = "unknown"

func main() { os.Exit(run(os.Args, os.Stdout, os.Stderr)) }

// run is the command with its arguments; it returns the exit code.
func run(args []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	cli.HelpPrinter = printHelp
	cli.VersionFlag = &cli.BoolFlag{Name: "version", Usage: "print the version"}
	app := &cli.App{
		Name:                 "reqmail",
		Usage:                "manage a mail system of qmail's",
		Writer:               stdout,
		ErrWriter:            stderr,
		EnableBashCompletion: true,
		Version:              version,
		HideHelpCommand:      true, // ours knows commands of commands
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "home", Value: home.Dir(), Usage: "qmail's `FOLDER`"},
			&cli.BoolFlag{Name: "json", Usage: "print JSON"},
		},
		Action: noCommand,
		Commands: slices.Concat(
			groupOf("The queue, seen", queueCommands()), groupOf("The queue, steered", actCommands()),
			groupOf("The queue's files", queueFileCommands()), groupOf("The host", hostCommands()),
			groupOf("The HTTP service", serveCommands()), groupOf("Help", []*cli.Command{completionCommand(), helpCommand()}),
		),
		ExitErrHandler: func(*cli.Context, error) {}, // tell does it
		OnUsageError:   usageError,
	}
	prepare(app.Commands)
	return tell(app.RunContext(ctx, args), stderr)
}

// prepare gives commands what all have.
func prepare(list []*cli.Command) {
	for _, c := range list {
		c.OnUsageError = usageError
		c.HideHelpCommand = true
		if len(c.Subcommands) > 0 {
			c.Action = noSubcommand
			prepare(c.Subcommands)
			continue
		}
		action := c.Action
		c.Action = func(c *cli.Context) error {
			if err := checkLine(c); err != nil {
				return err
			}
			return action(c)
		}
	}
}

// exit is an error that is nothing but an exit code: the command has said why.
type exit int

func (e exit) Error() string { return "exit code " + strconv.Itoa(int(e)) }

// usage is an error of whoever typed the command.
type usage struct{ text string }

func (u usage) Error() string { return u.text }

// noCommand runs where the first argument is no command's name.
func noCommand(c *cli.Context) error {
	if c.NArg() > 0 {
		return noSuch(c.Args().First())
	}
	return cli.ShowAppHelp(c)
}

// noSubcommand runs where a command that has commands is given none of them.
func noSubcommand(c *cli.Context) error {
	if c.NArg() > 0 {
		return noSuch(c.Command.Name + " " + c.Args().First())
	}
	return cli.ShowSubcommandHelp(c)
}

// tell prints an error and returns the exit code for it.
func tell(err error, stderr io.Writer) int {
	var code exit
	var wrong usage
	var mistake *manage.UsageError
	var missing *ids.Missing
	switch {
	case err == nil:
		return exitDone
	case errors.Is(err, manage.ErrLook):
		return exitLook
	case errors.As(err, &mistake):
		wrong.text = mistake.Text
	case errors.As(err, &code):
		return int(code)
	case errors.As(err, &wrong):
	case errors.As(err, &missing): // whose own text is a whole line of qmail's programs
		fmt.Fprintf(stderr, "reqmail: fatal: unable to find %s %s\n", missing.Kind, missing.Name)
		return exitFailed
	default:
		fmt.Fprintln(stderr, "reqmail: fatal:", err)
		return exitFailed
	}
	fmt.Fprintln(stderr, "reqmail: usage:", wrong.text)
	return exitUsage
}
