package migrate

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Rollback puts back what the last swap replaced.
type Rollback struct {
	Host
	Report *Report

	Names        []string // of programs; none means all that the swap replaced
	All          bool     // undo every swap, not only the last
	Force        bool     // also what somebody else has replaced since
	EvenIfHeld   bool     // although C qmail delivers held messages
	DryRun       bool
	NoRestart    bool
	StopPatience time.Duration

	// Between, if set, is called before each step; tests end the rollback there.
	Between func(step string)
}

// Run rolls back. The context ends when the administrator interrupts.
func (b *Rollback) Run(ctx context.Context) (Exit, error) {
	err := b.run(ctx)
	var usage *UsageError
	if errors.As(err, &usage) {
		return Usage, err
	}
	return b.Report.End(err), nil
}

func (b *Rollback) run(ctx context.Context) error {
	if !b.DryRun {
		release, err := b.lock()
		if err != nil {
			return err
		}
		defer release()
	}
	all, unused, err := b.backups()
	if err != nil {
		return err
	}
	for _, dir := range unused {
		if err := b.step("clean", b.bare(dir), "removed: that swap replaced nothing", func() error { return forget(dir) }); err != nil {
			return err
		}
	}
	if len(all) == 0 {
		b.Report.say(OK, "plan", "", "there is no swap to undo")
		return nil
	}
	if err := b.refuseHeld(); err != nil {
		return err
	}
	if !b.All {
		all = all[:1]
	}
	for _, m := range all {
		entries, err := b.chosen(m)
		if err != nil {
			return err
		}
		if err := b.restore(ctx, m, entries); err != nil {
			return err
		}
	}
	return nil
}

// refuseHeld refuses while messages are held back.
func (b *Rollback) refuseHeld() error {
	held, err := heldMessages(b.home())
	switch {
	case err != nil:
		return fmt.Errorf("counting held messages: %w", err)
	case held > 0 && !b.EvenIfHeld:
		return fmt.Errorf("%s held, and C qmail knows no holds: it would deliver them; release or export them first (--even-if-held lets them be delivered)", messagesAre(held))
	case held > 0:
		b.Report.say(Note, "held", "", fmt.Sprintf("%d held messages will be delivered by C qmail", held))
	}
	return nil
}

// chosen returns the entries of a manifest that are to be undone.
func (b *Rollback) chosen(m *Manifest) ([]Entry, error) {
	if len(b.Names) == 0 {
		return slices.Clone(m.Programs), nil
	}
	var entries []Entry
	for _, name := range b.Names {
		before := len(entries)
		for _, e := range m.Programs {
			if e.Name == name {
				entries = append(entries, e)
			}
		}
		if len(entries) == before && !b.All {
			return nil, &UsageError{"the swap in " + b.bare(m.dir) + " did not replace " + name}
		}
	}
	return entries, nil
}

// restore puts the entries' old programs back, restarts what must be and
// removes what is kept. What the swap added is removed last: programs that are
// still ours use it.
func (b *Rollback) restore(ctx context.Context, m *Manifest, entries []Entry) error {
	entries = slices.Clone(entries)
	slices.SortStableFunc(entries, func(x, y Entry) int { return strings.Compare(y.Kept, x.Kept) })
	if m.State != Restoring {
		m.State = Restoring
		if err := b.step("manifest", b.bare(filepath.Join(m.dir, manifestName)), "a rollback has begun", m.save); err != nil {
			return err
		}
	}
	for _, e := range entries {
		if ctx.Err() != nil {
			return errInterrupted
		}
		if err := b.restoreOne(m, e); err != nil {
			return err
		}
	}
	again := restarting{&b.Host, b.Report, b.NoRestart, b.DryRun, b.StopPatience, b.step}
	if err := again.daemons(ctx, entries); err != nil {
		return err
	}
	return b.close(m, entries)
}

// restoreOne puts one file back, unless somebody else has replaced it since.
func (b *Rollback) restoreOne(m *Manifest, e Entry) error {
	path := b.path(e.Path)
	if err := drop(fresh(path)); err != nil && !b.DryRun {
		return err
	}
	now, err := examine(path)
	absent := errors.Is(err, os.ErrNotExist)
	switch {
	case err != nil && !absent:
		return fmt.Errorf("looking at %s: %w", e.Path, err)
	case absent && e.Old == nil, !absent && e.Old != nil && now.equal(*e.Old):
		return nil // as it was
	case !absent && now.SHA256 != e.New.SHA256 && (e.Old == nil || now.SHA256 != e.Old.SHA256) && !b.Force:
		b.Report.say(Note, "restore", e.Path, "has been replaced by somebody else since: left alone (--force)")
		return nil
	case e.Old == nil:
		return b.step("remove", e.Path, "the swap added it", func() error { return drop(path) })
	}
	return b.step("restore", e.Path, "from "+b.bare(m.kept(e)), func() error {
		if err := stageKept(m.kept(e), path, *e.Old); err != nil {
			return err
		}
		return promote(path)
	})
}

// close forgets the entries, and the backup folder with the last of them.
func (b *Rollback) close(m *Manifest, undone []Entry) error {
	m.Programs = slices.DeleteFunc(slices.Clone(m.Programs), func(e Entry) bool {
		return slices.ContainsFunc(undone, func(u Entry) bool { return u.Path == e.Path })
	})
	if len(m.Programs) == 0 {
		return b.step("clean", b.bare(m.dir), "removed: everything is as before that swap", func() error { return forget(m.dir) })
	}
	m.State = Swapped
	if err := b.step("manifest", b.bare(filepath.Join(m.dir, manifestName)), fmt.Sprintf("%d programs are still swapped", len(m.Programs)), m.save); err != nil {
		return err
	}
	for _, e := range undone {
		if e.Kept == "" {
			continue
		}
		if err := b.step("clean", b.bare(m.kept(e)), "removed", func() error { return drop(m.kept(e)) }); err != nil {
			return err
		}
	}
	return nil
}

func (b *Rollback) step(name, object, text string, do func() error) error {
	return takeStep(b.Report, b.DryRun, b.Between, Event{Step, name, object, text}, do)
}
