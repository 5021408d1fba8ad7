package main

import (
	"errors"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/reqmail/reqmail/qmail/migrate"
)

// hostCommands look a host over, swap its programs and put them back.
func hostCommands() []*cli.Command {
	from := &cli.StringFlag{Name: "from", Value: migrate.DefaultFrom(), Usage: "`FOLDER` of reqmail's programs"}
	root := &cli.StringFlag{Name: "root", Hidden: true} // a file system that is looked at from outside
	dry := &cli.BoolFlag{Name: "dry-run", Aliases: []string{"n"}, Usage: "say what would be done"}
	noRestart := &cli.BoolFlag{Name: "no-restart", Usage: "leave running daemons alone; restart qmail yourself"}
	patience := &cli.DurationFlag{Name: "stop-patience", Value: 10 * time.Minute, Usage: "let deliveries finish for `TIME` before a restart is given up"}
	return withJSON(&cli.Command{
		Name:  "doctor",
		Usage: "say what will and will not work on this host with reqmail's programs",
		Flags: []cli.Flag{from, root},
		Action: func(c *cli.Context) error {
			if c.NArg() > 0 {
				return usage{"doctor takes no arguments"}
			}
			host := hostOf(c)
			return ended(host.Doctor(report(c)), nil)
		},
	}, &cli.Command{
		Name:      "swap",
		Usage:     "put reqmail's programs in place of qmail's, try them, or put the old ones back",
		ArgsUsage: "[PROGRAM...]",
		Flags: []cli.Flag{
			from, root, dry, noRestart, patience,
			&cli.BoolFlag{Name: "force", Usage: "also replace what is not qmail's"},
			&cli.BoolFlag{Name: "even-if-bad", Usage: "although doctor says that it will not work"},
			&cli.BoolFlag{Name: "no-test", Usage: "send no test message"},
			&cli.StringFlag{Name: "test-to", Usage: "`ADDRESS` of the test message (default: the one for double bounces)"},
			&cli.StringFlag{Name: "log", Usage: "`FILE` with qmail-send's log (default: those that are found)"},
			&cli.DurationFlag{Name: "test-patience", Value: time.Minute, Usage: "wait `TIME` for the test message"},
		},
		Action: func(c *cli.Context) error {
			s := migrate.Swap{
				Host: hostOf(c), Report: report(c), Names: c.Args().Slice(),
				Force: c.Bool("force"), EvenIfBad: c.Bool("even-if-bad"), DryRun: c.Bool("dry-run"), NoRestart: c.Bool("no-restart"),
				NoTest: c.Bool("no-test"), TestTo: c.String("test-to"), Log: c.String("log"),
				TestPatience: c.Duration("test-patience"), StopPatience: c.Duration("stop-patience"),
			}
			return ended(s.Run(c.Context))
		},
	}, &cli.Command{
		Name:      "rollback",
		Usage:     "put back what the last swap replaced",
		ArgsUsage: "[PROGRAM...]",
		Flags: []cli.Flag{
			root, dry, noRestart, patience,
			&cli.BoolFlag{Name: "all", Usage: "undo every swap, not only the last"},
			&cli.BoolFlag{Name: "force", Usage: "also what somebody else has replaced since"},
			&cli.BoolFlag{Name: "even-if-held", Usage: "although the old programs deliver held messages"},
		},
		Action: func(c *cli.Context) error {
			b := migrate.Rollback{
				Host: hostOf(c), Report: report(c), Names: c.Args().Slice(),
				All: c.Bool("all"), Force: c.Bool("force"), EvenIfHeld: c.Bool("even-if-held"),
				DryRun: c.Bool("dry-run"), NoRestart: c.Bool("no-restart"), StopPatience: c.Duration("stop-patience"),
			}
			return ended(b.Run(c.Context))
		},
	})
}

func hostOf(c *cli.Context) migrate.Host {
	return migrate.Host{Home: c.String("home"), Root: c.String("root"), From: c.String("from")}
}

func report(c *cli.Context) *migrate.Report {
	return &migrate.Report{Out: c.App.Writer, JSON: asJSON(c)}
}

// ended makes an error of what a command of package migrate returns.
func ended(code migrate.Exit, err error) error {
	var wrong *migrate.UsageError
	switch {
	case errors.As(err, &wrong):
		return usage{wrong.Text}
	case err != nil:
		return err
	case code != migrate.Done:
		return exit(code)
	}
	return nil
}
