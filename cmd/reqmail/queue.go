package main

import (
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/reqmail/reqmail/compat/steer"
	"github.com/reqmail/reqmail/qmail/manage"
	"github.com/reqmail/reqmail/queue"
)

// queueCommands look at the queue and what was logged of it.
func queueCommands() []*cli.Command {
	every := &cli.DurationFlag{Name: "every", Value: 2 * time.Second, Usage: "refresh each `TIME`"}
	return withJSON(
		&cli.Command{
			Name: "status", Usage: "count messages, deliveries and what happened lately",
			Action: looking(func(_ *cli.Context) (manage.View, error) { return manage.Status, nil }),
		},
		&cli.Command{
			Name: "list", Usage: "list messages",
			Flags: append(filterFlags(),
				&cli.StringFlag{Name: "sort", Usage: "by `KEY`: next, age, size, tries, id, sender, recipient; -KEY the other way round"},
				&cli.IntFlag{Name: "limit", Usage: "at most `N`"},
				&cli.BoolFlag{Name: "watch", Usage: "refresh until q is typed"}, every),
			Action: list,
		},
		&cli.Command{
			Name: "show", Usage: "show all about a message", ArgsUsage: "ID",
			Flags: []cli.Flag{
				&cli.BoolFlag{Name: "body", Usage: "the whole text"},
				&cli.BoolFlag{Name: "raw", Usage: "only the text, its bytes as they are"},
			},
			Action: show,
		},
		&cli.Command{
			Name: "top", Usage: "watch the deliveries until q is typed", Flags: []cli.Flag{every},
			Action: watching(manage.Top),
		},
		&cli.Command{
			Name: "rules", Usage: "list the suspensions and bounces in force",
			Action: looking(func(_ *cli.Context) (manage.View, error) { return manage.Rules, nil }),
		},
		&cli.Command{
			Name: "policy", Usage: "look at control/mailpolicy",
			Subcommands: withJSON(&cli.Command{Name: "check", Usage: "look for mistakes", ArgsUsage: "[FILE]", Action: checkPolicy}),
		},
		&cli.Command{
			Name: "report", Usage: "say who sends, who is sent to, and why mail waits",
			Flags: append(logFlags(), &cli.IntFlag{Name: "top", Value: 10, Usage: "the first `N` of each"}),
			Action: func(c *cli.Context) error {
				since, until, err := span(c)
				if err != nil {
					return err
				}
				if c.NArg() > 0 {
					return usage{"report takes no arguments; trace follows one message"}
				}
				logs, err := manage.OpenLogs(c.StringSlice("log"))
				if err != nil && c.IsSet("log") {
					return err
				}
				if logs != nil {
					defer logs.Close()
				}
				return onQueue(c, func(s *manage.Screen, q manage.Queue) error {
					return manage.Report(s, q, logs, since, until, c.Int("top"))
				})
			},
		},
		&cli.Command{
			Name: "trace", Usage: "follow a message through the log", ArgsUsage: "ID|ADDRESS", Flags: logFlags(),
			Action: trace,
		},
		&cli.Command{
			Name: "schedule", Usage: "say when mail is tried that is deferred every time",
			Flags: scheduleFlags(), Action: schedule,
		},
	)
}

// withJSON lets --json stand behind commands, too.
func withJSON(list ...*cli.Command) []*cli.Command {
	for _, c := range list {
		c.Flags = append(c.Flags, &cli.BoolFlag{Name: "json", Usage: "print JSON"})
	}
	return list
}

// asJSON reports whether --json stands before or behind the command.
func asJSON(c *cli.Context) bool {
	return slices.ContainsFunc(c.Lineage(), func(level *cli.Context) bool { return level.Bool("json") })
}

// screen is where a command shows things.
func screen(c *cli.Context) *manage.Screen {
	s := &manage.Screen{Out: c.App.Writer, Err: c.App.ErrWriter, JSON: asJSON(c)}
	if f, ok := s.Out.(*os.File); ok {
		s.Width, s.Height = manage.Dimensions(f)
	}
	return s
}

// home is qmail's folder.
func homeOf(c *cli.Context) (string, error) { return filepath.Abs(c.String("home")) }

// onQueue runs a command on the queue.
func onQueue(c *cli.Context, view manage.View) error {
	home, err := homeOf(c)
	if err == nil {
		err = manage.Enter(home)
	}
	if err != nil {
		return err
	}
	return manage.Once(screen(c), view)
}

// looking makes a command of a view.
func looking(view func(*cli.Context) (manage.View, error)) cli.ActionFunc {
	return func(c *cli.Context) error {
		if c.NArg() > 0 {
			return usage{c.Command.Name + " takes no arguments"}
		}
		v, err := view(c)
		if err != nil {
			return err
		}
		return onQueue(c, v)
	}
}

// watching makes a command of a view that refreshes itself.
func watching(view manage.View) cli.ActionFunc {
	return func(c *cli.Context) error {
		every := c.Duration("every")
		switch {
		case c.NArg() > 0:
			return usage{c.Command.Name + " takes no arguments"}
		case every < time.Second:
			return usage{"--every is at least 1s"}
		}
		home, err := homeOf(c)
		if err == nil {
			err = manage.Enter(home)
		}
		if err != nil {
			return err
		}
		return manage.Watch(c.Context, screen(c), os.Stdin, every, view)
	}
}

func list(c *cli.Context) error {
	query := steer.Query{Sort: steer.Sort(c.String("sort")), Limit: c.Int("limit")}
	var err error
	if query.Filter, err = words(c).Filter(); err != nil {
		return err
	}
	if err := query.Sort.Check(); err != nil {
		return usage{err.Error()}
	}
	view := func(s *manage.Screen, q manage.Queue) error { return manage.List(s, q, query) }
	if c.Bool("watch") {
		return watching(func(s *manage.Screen, q manage.Queue) error {
			query.Limit = min(max(s.Height, 2)/2, max(query.Limit, 1000)) // what is seen
			return manage.List(s, q, query)
		})(c)
	}
	return looking(func(*cli.Context) (manage.View, error) { return view, nil })(c)
}

func show(c *cli.Context) error {
	if c.NArg() != 1 {
		return usage{"show takes the number of a message"}
	}
	part := manage.Header
	switch {
	case c.Bool("raw"):
		part = manage.Raw
	case c.Bool("body"):
		part = manage.Body
	}
	home, err := homeOf(c)
	if err != nil {
		return err
	}
	return onQueue(c, func(s *manage.Screen, q manage.Queue) error {
		return manage.Show(s, q, home, c.Args().First(), part)
	})
}

func checkPolicy(c *cli.Context) error {
	if c.NArg() > 1 {
		return usage{"policy check takes one file"}
	}
	path := c.Args().First()
	if path == "" {
		path = filepath.Join(c.String("home"), "control/mailpolicy")
	}
	return manage.CheckPolicy(screen(c), path, c.NArg() == 0)
}

func logFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringSliceFlag{Name: "log", Usage: "`FILE` with qmail-send's log, oldest first (default: where hosts have it)"},
		&cli.StringFlag{Name: "since", Usage: "from `TIME` on, or for a span that ends now, as in 24h"},
		&cli.StringFlag{Name: "until", Usage: "up to `TIME`"},
	}
}

// span reads --since and --until.
func span(c *cli.Context) (since, until time.Time, err error) {
	now := time.Now()
	if text := c.String("since"); text != "" {
		if seconds, err := manage.Span(text); err == nil {
			since = now.Add(-time.Duration(seconds) * time.Second)
		} else if since, err = manage.Time(text, now); err != nil {
			return since, until, optionError("since", err)
		}
	}
	if text := c.String("until"); text != "" {
		until, err = manage.Time(text, now)
	}
	return since, until, optionError("until", err)
}

func trace(c *cli.Context) error {
	if c.NArg() != 1 {
		return usage{"trace takes the number of a message or an address"}
	}
	since, until, err := span(c)
	if err != nil {
		return err
	}
	logs, err := manage.OpenLogs(c.StringSlice("log"))
	if err != nil {
		return err
	}
	defer logs.Close()
	home, err := homeOf(c)
	if err != nil {
		return err
	}
	if err := manage.Enter(home); err != nil {
		return err
	}
	return manage.Trace(screen(c), logs, c.Args().First(), since, until)
}

func scheduleFlags() []cli.Flag {
	postfix := func(name, value string) cli.Flag {
		return &cli.StringFlag{Name: name, Value: value, Usage: "Postfix's parameter of that name, a `SPAN`"}
	}
	return []cli.Flag{
		&cli.StringFlag{Name: "birth", Usage: "of a message that came at `TIME` (default: now)"},
		&cli.IntFlag{Name: "limit", Value: 30, Usage: "at most `N` tries"},
		postfix("queue-run-delay", "5m"), postfix("minimal-backoff-time", "5m"),
		postfix("maximal-backoff-time", "4000s"), postfix("maximal-queue-lifetime", "5d"),
	}
}

func schedule(c *cli.Context) error {
	if c.NArg() > 0 {
		return usage{"schedule takes no arguments; show tells when a message is tried"}
	}
	birth := time.Now()
	if text := c.String("birth"); text != "" {
		var err error
		if birth, err = manage.Time(text, birth); err != nil {
			return optionError("birth", err)
		}
	}
	var p manage.Postfix
	for name, to := range map[string]*int64{
		"queue-run-delay": &p.QueueRunDelay, "minimal-backoff-time": &p.MinimalBackoffTime,
		"maximal-backoff-time": &p.MaximalBackoffTime, "maximal-queue-lifetime": &p.MaximalQueueLifetime,
	} {
		var err error
		if *to, err = manage.Span(c.String(name)); err != nil {
			return optionError(name, err)
		}
	}
	if p.MinimalBackoffTime == 0 {
		return usage{"--minimal-backoff-time is at least a second"}
	}
	lifetime, err := manage.Lifetime(c.String("home"))
	if err != nil {
		return err
	}
	const spamExpertsLifetime = 4 * 86400
	return manage.Table(screen(c), birth.Unix(), c.Int("limit"), []manage.Column{
		{Name: "qmail local", Schedule: manage.Qmail{Channel: queue.Local, Lifetime: lifetime}},
		{Name: "qmail remote", Schedule: manage.Qmail{Channel: queue.Remote, Lifetime: lifetime}},
		{Name: "Postfix", Schedule: p},
		{Name: "SpamExperts", Schedule: manage.SpamExperts{Lifetime: spamExpertsLifetime}},
	})
}
