package main

import (
	"os"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/reqmail/reqmail/compat/steer"
	"github.com/reqmail/reqmail/qmail/clean"
	"github.com/reqmail/reqmail/qmail/manage"
)

// actCommands do something to messages, destinations, sender domains and
// channels.
func actCommands() []*cli.Command {
	reason := &cli.StringFlag{Name: "reason", Usage: "`TEXT` to be shown"}
	until := &cli.StringFlag{Name: "until", Usage: "up to `TIME`"}
	place := []cli.Flag{
		&cli.StringFlag{Name: "to", Usage: "mail to domains, or with an @ addresses, of this `GLOB`"},
		&cli.StringFlag{Name: "from", Usage: "mail from domains, or with an @ addresses, of this `GLOB`"},
		&cli.StringFlag{Name: "for", Usage: "for a `SPAN` of time"}, until, reason,
	}
	channel := &cli.StringFlag{Name: "channel", Usage: "`CHANNEL`: local or remote"}
	return append(withJSON(
		act(steer.Retry, "try messages now"),
		act(steer.Hold, "keep messages from being tried", until, reason),
		act(steer.Release, "end holds; thaws frozen messages"),
		act(steer.Remove, "take messages out of the queue",
			&cli.BoolFlag{Name: "bounce", Usage: "return them to their senders"},
			&cli.StringFlag{Name: "reason", Usage: "`TEXT` that senders are told"}),
		act(steer.Postpone, "keep messages from being tried before a time", until),
		act(steer.Expire, "give messages a last try at a time", &cli.StringFlag{Name: "at", Usage: "`TIME`, or never for the usual lifetime"}),
		&cli.Command{
			Name: "flush", Usage: "try now all that is not held or postponed, as ALRM has qmail-send do",
			Flags:  append(consentFlags(), channel),
			Action: flush,
		},
		&cli.Command{
			Name: "suspend", Usage: "have mail of a destination, a sender domain or a channel wait",
			Flags:  append(append(consentFlags(), place...), channel),
			Action: addRule(steer.Suspend),
		},
		&cli.Command{
			Name: "bounce", Usage: "have mail of a destination or a sender domain returned",
			Flags:  append(consentFlags(), place...),
			Action: addRule(steer.BounceRule),
		},
		&cli.Command{
			Name: "cancel", Usage: "end suspensions and bounces", ArgsUsage: "NUMBER...",
			Flags: consentFlags(), // --yes: each is named, but scripts may say it
			Action: func(c *cli.Context) error {
				return onQueue(c, func(s *manage.Screen, q manage.Queue) error {
					return manage.Cancel(s, q, c.Args().Slice(), c.Bool("dry-run"))
				})
			},
		},
	), cleanerCommand())
}

// filterFlags select messages.
func filterFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "sender", Usage: "from addresses of this `GLOB`; <> is the one of bounces"},
		&cli.StringFlag{Name: "recipient", Usage: "to an address of this `GLOB`"},
		&cli.StringFlag{Name: "domain", Usage: "to a domain of this `GLOB`"},
		&cli.StringFlag{Name: "status", Usage: "with `TEXT` in a reason"},
		&cli.StringFlag{Name: "channel", Usage: "on `CHANNEL`: local or remote"},
		&cli.StringSliceFlag{Name: "state", Usage: "of `STATE`: frozen, held, active, postponed, suspended, deferred, fresh, queued"},
		&cli.StringFlag{Name: "area", Usage: "in `AREA`: quarantine, postponed, deferred, archive, or a word of control/mailpolicy"},
		&cli.StringFlag{Name: "older", Usage: "at least `SPAN` old, as in 2h"},
		&cli.StringFlag{Name: "newer", Usage: "at most `SPAN` old"},
		&cli.StringFlag{Name: "larger", Usage: "of at least `SIZE`, as in 10M"},
		&cli.StringFlag{Name: "smaller", Usage: "of at most `SIZE`"},
		&cli.StringFlag{Name: "min-tries", Usage: "tried at least `N` times"},
		&cli.StringFlag{Name: "max-tries", Usage: "tried at most `N` times"},
	}
}

func words(c *cli.Context) manage.Words {
	return manage.Words{
		Sender: c.String("sender"), Recipient: c.String("recipient"), Domain: c.String("domain"), Status: c.String("status"),
		Channel: c.String("channel"), Area: c.String("area"), States: c.StringSlice("state"),
		Older: c.String("older"), Newer: c.String("newer"), Larger: c.String("larger"), Smaller: c.String("smaller"),
		MinTries: c.String("min-tries"), MaxTries: c.String("max-tries"),
	}
}

func consentFlags() []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{Name: "dry-run", Aliases: []string{"n"}, Usage: "count what would be done"},
		&cli.BoolFlag{Name: "yes", Aliases: []string{"y"}, Usage: "do it to more than one message without asking"},
	}
}

// consent asks where people can answer.
func consent(c *cli.Context) manage.Consent {
	agreed := manage.Consent{Yes: c.Bool("yes")}
	if width, _ := manage.Dimensions(os.Stdin); width > 0 {
		agreed.Ask = os.Stdin
	}
	return agreed
}

// act is the command for a verb that acts on messages.
func act(verb steer.Verb, usage string, more ...cli.Flag) *cli.Command {
	flags := append(append(consentFlags(), &cli.BoolFlag{Name: "all", Usage: "all messages"}), more...)
	return &cli.Command{
		Name: string(verb), Usage: usage, ArgsUsage: "[ID...]",
		Flags: append(flags, filterFlags()...),
		Action: func(c *cli.Context) error {
			until, err := untilOf(c, verb)
			if err != nil {
				return err
			}
			o := manage.Order{
				Act: steer.Act{
					Verb: verb, Until: until, DryRun: c.Bool("dry-run"), Bounce: c.Bool("bounce"), Reason: c.String("reason"),
				},
				Messages: c.Args().Slice(), Words: words(c), All: c.Bool("all"), Consent: consent(c),
			}
			if verb == steer.Remove && !o.DryRun && !o.Bounce {
				// This program again: the qmail-clean of a home may be built for
				// another one, and would remove messages there.
				home, err := homeOf(c)
				if err != nil {
					return err
				}
				o.Cleaner = manage.StartCleaner(home, "/proc/self/exe", cleanerName)
			}
			return onQueue(c, func(s *manage.Screen, q manage.Queue) error { return manage.Act(s, q, o) })
		},
	}
}

// cleanerName is the command that reqmail runs as another user.
const cleanerName = "clean-queue"

// cleanerCommand serves the requests of a manage.Cleaner.
func cleanerCommand() *cli.Command {
	return &cli.Command{
		Name: cleanerName, Hidden: true,
		Action: func(*cli.Context) error { return exit(clean.Run(os.Stdin, os.Stdout, time.Now)) },
	}
}

// untilOf reads the time that a verb needs, or may have.
func untilOf(c *cli.Context, verb steer.Verb) (int64, error) {
	name := "until"
	switch {
	case verb == steer.Postpone && c.String(name) == "":
		return 0, usage{"postpone needs --until TIME"}
	case verb == steer.Expire && c.String("at") == "":
		return 0, usage{"expire needs --at TIME, or --at never"}
	case verb == steer.Expire && c.String("at") == "never":
		return 0, nil
	case verb == steer.Expire:
		name = "at"
	}
	return timeOf(c, name)
}

// timeOf reads the time of an option in Unix seconds, 0 for none.
func timeOf(c *cli.Context, name string) (int64, error) {
	text := c.String(name)
	if text == "" {
		return 0, nil
	}
	t, err := manage.Time(text, time.Now())
	return t.Unix(), optionError(name, err)
}

func flush(c *cli.Context) error {
	if c.NArg() > 0 {
		return usage{"flush takes no arguments; retry tries single messages"}
	}
	return onQueue(c, func(s *manage.Screen, q manage.Queue) error {
		return manage.Flush(s, q, c.String("channel"), c.Bool("dry-run"), consent(c))
	})
}

func addRule(verb steer.Verb) cli.ActionFunc {
	return func(c *cli.Context) error {
		places := "--to GLOB or --from GLOB"
		if verb == steer.Suspend {
			places = "--to GLOB, --from GLOB or --channel CHANNEL"
		}
		given := 0
		for _, name := range []string{"to", "from", "channel"} {
			if c.IsSet(name) {
				given++
			}
		}
		if c.NArg() > 0 || given != 1 {
			return usage{string(verb) + " takes one of " + places + ", and no arguments"}
		}
		rule := steer.Rule{
			Verb: verb, Destination: c.String("to"), SenderDomain: c.String("from"), Channel: c.String("channel"), Reason: c.String("reason"),
		}
		var err error
		if rule.Until, err = timeOf(c, "until"); err != nil {
			return err
		}
		if c.IsSet("for") {
			if c.IsSet("until") {
				return usage{"--for does not go with --until"}
			}
			seconds, err := manage.Span(c.String("for"))
			if err != nil {
				return optionError("for", err)
			}
			rule.Until = time.Now().Unix() + seconds
		}
		return onQueue(c, func(s *manage.Screen, q manage.Queue) error {
			return manage.AddRule(s, q, rule, c.Bool("dry-run"), consent(c))
		})
	}
}
