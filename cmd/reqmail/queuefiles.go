package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/reqmail/reqmail/compat/steer"
	"github.com/reqmail/reqmail/qmail/manage"
	"github.com/reqmail/reqmail/qmail/transfer"
	"github.com/reqmail/reqmail/queue"
	"github.com/reqmail/reqmail/queue/check"
)

// queueFileCommands work on the files of the queue: check and mend them, copy
// them out and in.
func queueFileCommands() []*cli.Command {
	shape := []cli.Flag{
		&cli.Uint64Flag{Name: "split", Value: queue.Split(), Usage: "the queue is to have `N` split directories"},
		&cli.BoolFlag{Name: "big-todo", Usage: "todo and intd are to be split too"},
	}
	dry := &cli.BoolFlag{Name: "dry-run", Aliases: []string{"n"}, Usage: "say what would be done"}
	return withJSON(&cli.Command{
		Name:   "check",
		Usage:  "say what is wrong with the queue, running or stopped",
		Flags:  shape,
		Action: checkQueue,
	}, &cli.Command{
		Name:   "repair",
		Usage:  "mend the queue; stop qmail-send first",
		Flags:  append([]cli.Flag{dry}, shape...),
		Action: repairQueue,
	}, &cli.Command{
		Name:      "export",
		Usage:     "write messages of the queue, with all that is known of them, as a tar stream",
		ArgsUsage: "[NUMBER...]",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Value: "-", Usage: "`FILE` that is written; - is standard output"},
			&cli.StringFlag{Name: "sender", Usage: "only from senders like `PATTERN`"},
			&cli.StringFlag{Name: "recipient", Usage: "only with recipients like `PATTERN`"},
			&cli.StringFlag{Name: "domain", Usage: "only with recipients in domains like `PATTERN`"},
			&cli.DurationFlag{Name: "older", Usage: "only older than `TIME`"},
			&cli.DurationFlag{Name: "younger", Usage: "only younger than `TIME`"},
		},
		Action: exportQueue,
	}, &cli.Command{
		Name:      "import",
		Usage:     "put messages of an export into the queue",
		ArgsUsage: "[FILE]",
		Flags: append([]cli.Flag{
			&cli.BoolFlag{Name: "even-if-held", Usage: "also messages that were held: they are delivered"},
		}, shape...),
		Action: importQueue,
	})
}

// enterQueue makes the queue the working directory.
func enterQueue(c *cli.Context) error { return os.Chdir(filepath.Join(c.String("home"), "queue")) }

func treeOf(c *cli.Context) (queue.Tree, error) {
	tree := queue.Tree{Split: c.Uint64("split"), BigTodo: c.Bool("big-todo")}
	if tree.Split == 0 || tree.Split > 1<<16 {
		return tree, usage{"--split is a number from 1 to 65536"}
	}
	return tree, nil
}

func checkOptions(c *cli.Context) (o check.Options, err error) {
	o.Pause = check.Pause
	if c.NArg() > 0 {
		return o, usage{c.Command.Name + " takes no arguments"}
	}
	if o.Tree, err = treeOf(c); err != nil {
		return o, err
	}
	if o.Accounts, err = check.FindAccounts(); err != nil {
		return o, err
	}
	return o, enterQueue(c)
}

func checkQueue(c *cli.Context) error {
	o, err := checkOptions(c)
	if err != nil {
		return err
	}
	found, err := check.Check(o)
	if err != nil {
		return err
	}
	return tellFindings(c, found, len(found) > 0)
}

func repairQueue(c *cli.Context) error {
	o, err := checkOptions(c)
	if err != nil {
		return err
	}
	o.DryRun = c.Bool("dry-run")
	if o.Stopped, err = lockSend(); err != nil {
		return err
	}
	found, err := check.Repair(o)
	left := o.DryRun && len(found) > 0
	for _, f := range found {
		left = left || f.Error != ""
	}
	return errors.Join(err, tellFindings(c, found, left))
}

// lockSend takes qmail-send's lock, until the command ends. Where its file is
// missing, a qmail-send that runs is known by the trigger, which it reads.
func lockSend() (taken bool, err error) {
	taken, err = queue.LockSend()
	if !errors.Is(err, os.ErrNotExist) {
		return taken, err
	}
	trigger, err := os.OpenFile(queue.Trigger, os.O_WRONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return true, nil
	}
	return false, trigger.Close()
}

// tellFindings prints findings and what is to be looked at.
func tellFindings(c *cli.Context, found []check.Finding, look bool) error {
	if asJSON(c) {
		if err := manage.WriteJSON(c.App.Writer, map[string]any{"findings": append([]check.Finding{}, found...)}); err != nil {
			return err
		}
	} else {
		for _, f := range found {
			fmt.Fprintln(c.App.Writer, f)
		}
	}
	if look {
		return exit(exitLook)
	}
	return nil
}

func exportQueue(c *cli.Context) error {
	var f steer.Filter
	for _, arg := range c.Args().Slice() {
		id, ok := queue.ParseID(arg)
		if !ok {
			return usage{arg + " is no message number"}
		}
		f.IDs = append(f.IDs, uint64(id))
	}
	f.Sender, f.Recipient, f.Domain = c.String("sender"), c.String("recipient"), c.String("domain")
	f.MinAge = int64(c.Duration("older") / time.Second)
	if c.IsSet("younger") {
		youngest := int64(c.Duration("younger") / time.Second)
		f.MaxAge = &youngest
	}
	if err := f.Check(); err != nil {
		return usage{err.Error()}
	}
	out := c.App.Writer
	if name := c.String("output"); name != "-" {
		file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return err
		}
		defer file.Close()
		out = file
	}
	if err := enterQueue(c); err != nil {
		return err
	}
	result, err := transfer.Export(c.Context, out, f)
	if err != nil {
		return err
	}
	if file, ok := out.(*os.File); ok && c.String("output") != "-" {
		if err := file.Sync(); err != nil {
			return err
		}
	}
	return tellTransfer(c, "exported", result, c.App.ErrWriter) // standard output may be the stream
}

func importQueue(c *cli.Context) error {
	if c.NArg() > 1 {
		return usage{"import takes one file"}
	}
	in := io.Reader(os.Stdin)
	if name := c.Args().First(); name != "" && name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return err
		}
		defer file.Close()
		in = file
	}
	tree, err := treeOf(c)
	if err != nil {
		return err
	}
	accounts, err := check.FindAccounts()
	if err != nil {
		return err
	}
	if err := enterQueue(c); err != nil {
		return err
	}
	stopped, err := lockSend()
	if err != nil {
		return err
	}
	result, err := transfer.Import(c.Context, in, transfer.Target{
		Tree: tree, Accounts: accounts, EvenIfHeld: c.Bool("even-if-held"), Running: !stopped,
	})
	return errors.Join(err, tellTransfer(c, "imported", result, c.App.Writer))
}

// tellTransfer prints how many messages went through, and which did not.
func tellTransfer(c *cli.Context, done string, r transfer.Result, out io.Writer) error {
	if asJSON(c) {
		r.Notes = append([]string{}, r.Notes...)
		if err := manage.WriteJSON(out, r); err != nil {
			return err
		}
	} else {
		for _, note := range r.Notes {
			fmt.Fprintln(out, note)
		}
		fmt.Fprintf(out, "%s %s, %d left out\n", manage.Messages(r.Messages), done, r.Skipped)
	}
	if len(r.Notes) > 0 {
		return exit(exitLook)
	}
	return nil
}
