package migrate

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/reqmail/reqmail/compat/ids"
	"github.com/reqmail/reqmail/packaging/layout"
	"github.com/reqmail/reqmail/queue"
)

// Swap replaces programs by ours.
type Swap struct {
	Host
	Report *Report

	Names     []string // of programs; none means all
	Force     bool     // also in places that are taken by something foreign
	EvenIfBad bool     // although the doctor says it will not work
	DryRun    bool
	NoRestart bool

	NoTest       bool
	TestTo       string // address of the test message; "" for the one that double bounces go to
	Log          string // the log to watch; "" for those that are found
	TestPatience time.Duration
	StopPatience time.Duration // how long qmail-send may take to finish its deliveries

	// Between, if set, is called before each step; tests end the swap there.
	Between func(step string)
}

// errInterrupted means that somebody asked us to stop. Nothing is undone then:
// every mixture of programs works.
var errInterrupted = errors.New("interrupted; nothing is broken: swap again to finish, or rollback")

// Run swaps. The context ends when the administrator interrupts.
func (s *Swap) Run(ctx context.Context) (Exit, error) {
	err := s.run(ctx)
	var usage *UsageError
	if errors.As(err, &usage) {
		return Usage, err
	}
	return s.Report.End(err), nil
}

func (s *Swap) run(ctx context.Context) error {
	if _, err := os.Stat(s.home("bin")); err != nil {
		return fmt.Errorf("looking for qmail: %w", err)
	}
	if !s.DryRun {
		release, err := s.lock()
		if err != nil {
			return err
		}
		defer release()
	}
	m, err := s.unfinished()
	if err != nil {
		return err
	}
	changes, err := s.plan(m)
	if err != nil {
		return err
	}
	if len(changes) == 0 && m == nil {
		s.Report.say(OK, "plan", "", "every program is in place already")
		return nil
	}
	if err := s.mayBegin(ctx, m); err != nil {
		return err
	}
	return s.exchange(ctx, m, changes)
}

// unfinished returns the manifest of a swap or rollback that did not come to
// its end, nil without one, and removes what is of no use.
func (s *Swap) unfinished() (*Manifest, error) {
	all, unused, err := s.backups()
	if err != nil {
		return nil, err
	}
	for _, dir := range unused {
		if err := s.step("clean", s.bare(dir), "removed: that swap ended before it replaced anything", func() error { return forget(dir) }); err != nil {
			return nil, err
		}
	}
	if len(all) == 0 || all[0].State == Swapped {
		return nil, nil
	}
	s.Report.say(OK, "plan", s.bare(all[0].dir), "picked up: "+string(all[0].State)+" was not finished")
	return all[0], nil
}

// mayBegin refuses hosts that our programs do not work on, and hosts where a
// test message would show nothing, because mail is not delivered even now.
func (s *Swap) mayBegin(ctx context.Context, m *Manifest) error {
	if err := s.fit(s.Report); err != nil && !s.EvenIfBad {
		return fmt.Errorf("nothing has been changed: %w (--even-if-bad goes on)", err)
	}
	if m != nil || !s.tests() {
		return nil
	}
	err := s.step("test", "before", "a test message is delivered", func() error { return s.try(ctx) })
	if err != nil {
		return fmt.Errorf("nothing has been changed: mail is not delivered even by the present programs: %w (choose another --test-to, or --no-test)", err)
	}
	return nil
}

// exchange takes the steps that change the host. An error undoes them; an
// interruption leaves them as they are.
func (s *Swap) exchange(ctx context.Context, m *Manifest, changes []change) error {
	running := s.sendPID() != 0
	m, err := s.keepAll(ctx, m, changes)
	if err != nil {
		return fmt.Errorf("nothing has been replaced: %w", err)
	}
	err = s.replaceAll(ctx, m, changes)
	if err == nil {
		err = s.settle(ctx, m, running)
	}
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return errInterrupted
	}
	s.Report.say(Bad, "swap", "", err.Error())
	back := Rollback{Host: s.Host, Report: s.Report, NoRestart: s.NoRestart, StopPatience: s.StopPatience, Between: s.Between}
	if undo := back.restore(context.WithoutCancel(ctx), m, m.Programs); undo != nil {
		return fmt.Errorf("rolling back failed too: %w; run rollback", undo)
	}
	return errors.New("the old programs are back")
}

// keepAll makes the old programs and their attributes safe, and makes what
// our programs want to find in the queue.
func (s *Swap) keepAll(ctx context.Context, m *Manifest, changes []change) (*Manifest, error) {
	if m == nil {
		m = &Manifest{dir: filepath.Join(s.own(), backupPrefix+"TIME")}
		err := s.step("keep", s.bare(s.own()), "folder for the old programs", func() (err error) {
			m, err = s.newBackup(time.Now())
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	for _, c := range changes {
		if err := s.keepOne(ctx, m, c); err != nil {
			return nil, err
		}
	}
	m.State, m.From = Swapping, s.From
	if err := s.step("manifest", s.bare(filepath.Join(m.dir, manifestName)), fmt.Sprintf("%d programs", len(m.Programs)), m.save); err != nil {
		return nil, err
	}
	return m, s.completeQueue()
}

// keepOne adds a change to the manifest. What a swap that is picked up has
// kept already stays: it is the older.
func (s *Swap) keepOne(ctx context.Context, m *Manifest, c change) error {
	if ctx.Err() != nil {
		return errInterrupted
	}
	bare := s.bare(c.path)
	if e := m.entry(bare); e != nil {
		e.New = c.new
		return nil
	}
	e := Entry{Name: c.name, Path: bare, Old: c.old, New: c.new}
	if c.old != nil {
		e.Kept = filepath.Base(c.path)
		err := s.step("keep", bare, "as "+s.bare(m.kept(e)), func() error {
			if err := drop(m.kept(e)); err != nil { // an interrupted swap's, not in its manifest
				return err
			}
			if err := keep(c.path, m.kept(e), *c.old); err != nil {
				return err
			}
			return syncDir(m.dir)
		})
		if err != nil {
			return err
		}
	}
	m.Programs = append(m.Programs, e)
	return nil
}

// completeQueue makes the places of the queue that C qmail's lacks. C's
// programs do not look at them.
func (s *Swap) completeQueue() error {
	for _, p := range queue.Layout() {
		path := s.home("queue", p.Path)
		if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
			continue
		}
		err := s.step("queue", s.bare(path), "made", func() error { return p.Make(s.home("queue"), s.owned) })
		if err != nil {
			return err
		}
	}
	return nil
}

// owned gives a place of the queue its owner and mode.
func (s *Swap) owned(path string, p queue.Place) error {
	if s.private() {
		return os.Chmod(path, os.FileMode(p.Mode))
	}
	accounts, err := layout.FindAccounts()
	if err != nil {
		return err
	}
	return accounts.Chown(path, layout.Owner{User: p.Owner, Group: ids.Qmail}, os.FileMode(p.Mode))
}

// replaceAll writes every fresh program first, so that a full disk shows
// before anything is replaced; then one after another takes its place.
func (s *Swap) replaceAll(ctx context.Context, m *Manifest, changes []change) error {
	for _, act := range []struct {
		step string
		do   func(c change) error
	}{
		{"write", func(c change) error { return stage(c.source, c.path, c.new) }},
		{"replace", func(c change) error { return promote(c.path) }},
	} {
		for _, c := range changes {
			if ctx.Err() != nil {
				return errInterrupted
			}
			if err := s.step(act.step, s.bare(c.path), c.what(), func() error { return act.do(c) }); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c change) what() string {
	text := fmt.Sprintf("owner %d:%d mode %04o", c.new.UID, c.new.GID, uint32(c.new.Mode))
	if c.new.Label != "" {
		text += " label " + c.new.Label
	}
	if c.old == nil {
		text += ", added"
	}
	return text
}

// settle starts anew what must be, tries the result and closes the manifest.
func (s *Swap) settle(ctx context.Context, m *Manifest, running bool) error {
	again := restarting{&s.Host, s.Report, s.NoRestart, s.DryRun, s.StopPatience, s.step}
	if err := again.daemons(ctx, m.Programs); err != nil {
		return err
	}
	switch {
	case s.NoTest:
	case !running:
		s.Report.say(Note, "test", "", "qmail-send was not running: whether mail is delivered has not been tried")
	default:
		err := s.step("test", "after", "a test message is delivered", func() error { return s.try(ctx) })
		if err != nil {
			return err
		}
	}
	m.State = Swapped
	return s.step("manifest", s.bare(filepath.Join(m.dir, manifestName)), "the swap is complete; rollback undoes it", m.save)
}

func (s *Swap) tests() bool { return !s.NoTest && s.sendPID() != 0 }

// try sends a test message and waits for its delivery.
func (s *Swap) try(ctx context.Context) error {
	t, err := s.newTrial(s.TestTo, s.Log)
	if err != nil {
		return err
	}
	defer t.close()
	if err := t.send(); err != nil {
		return err
	}
	how, err := t.watch(ctx, s.TestPatience)
	if err == nil {
		s.Report.say(OK, "test", t.to, how)
	}
	return err
}

// step takes a step and says so; a dry run only says so.
func (s *Swap) step(name, object, text string, do func() error) error {
	return takeStep(s.Report, s.DryRun, s.Between, Event{Step, name, object, text}, do)
}

func takeStep(r *Report, dry bool, between func(string), e Event, do func() error) error {
	if dry {
		e.Level = Would
		r.Say(e)
		return nil
	}
	if between != nil {
		between(e.Step + " " + e.Object)
	}
	if err := do(); err != nil {
		return fmt.Errorf("%s %s: %w", e.Step, e.Object, err)
	}
	r.Say(e)
	return nil
}
