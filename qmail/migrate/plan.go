package migrate

import (
	"fmt"
	"path/filepath"
	"slices"
	"syscall"
)

// UsageError is a command that makes no sense, as against one that fails.
type UsageError struct{ Text string }

func (e *UsageError) Error() string { return e.Text }

// change is a file of the host that a swap replaces or adds.
type change struct {
	name   string
	path   string
	source string
	old    *Attributes // nil: it is added
	new    Attributes
}

// plan compares the host with our programs. What it decides not to touch it
// reports. m is the manifest of an unfinished swap, or nil: what that has set
// out to replace is replaced, whatever it looks like half-way.
func (s *Swap) plan(m *Manifest) ([]change, error) {
	names, err := s.chosen()
	if err != nil {
		return nil, err
	}
	var changes []change
	for _, name := range names {
		more, err := s.planProgram(name, m)
		if err != nil {
			return nil, err
		}
		changes = append(changes, more...)
	}
	return changes, nil
}

// chosen returns the names of the programs to swap: those that were named, or
// all. What is added comes first, for programs that are replaced use it.
func (s *Swap) chosen() ([]string, error) {
	all, err := s.sources()
	if err != nil {
		return nil, err
	}
	chosen := all
	if len(s.Names) > 0 {
		chosen = slices.Clone(s.Names)
		if slices.ContainsFunc(chosen, func(name string) bool { return slices.Contains(extUsers, name) }) {
			chosen = append(chosen, added[0])
		}
	}
	for _, name := range chosen {
		if !slices.Contains(all, name) {
			return nil, &UsageError{fmt.Sprintf("%s has no program %s", s.From, name)}
		}
	}
	slices.SortFunc(chosen, func(a, b string) int { return rank(a) - rank(b) })
	return slices.Compact(chosen), nil
}

func rank(name string) int {
	for i, first := range added {
		if name == first {
			return i - len(added)
		}
	}
	total := 0
	for i := range 16 { // alphabetical is enough for names that differ early
		total <<= 1
		if i < len(name) {
			total += int(name[i])
		}
	}
	return total
}

// planProgram decides about the places of one program.
func (s *Swap) planProgram(name string, m *Manifest) ([]change, error) {
	places, ambiguous, err := s.places(name)
	if err != nil {
		return nil, err
	}
	if ambiguous {
		s.Report.say(Note, "plan", name, fmt.Sprintf("has two originals, %v: left alone", originals(name)))
		return nil, nil
	}
	if m != nil {
		places = s.withUnfinished(places, name, m)
	}
	var changes []change
	for _, p := range places {
		c, wanted, err := s.planPlace(p)
		if err != nil {
			return nil, err
		}
		if wanted {
			changes = append(changes, c)
		}
	}
	return changes, nil
}

// withUnfinished adds the places that an unfinished swap began with.
func (s *Swap) withUnfinished(places []place, name string, m *Manifest) []place {
	for _, e := range m.Programs {
		path := s.path(e.Path)
		if e.Name != name || e.Old == nil || slices.ContainsFunc(places, func(p place) bool { return p.path == path }) {
			continue
		}
		if now, err := examine(path); err == nil && now.SHA256 == e.Old.SHA256 {
			places = append(places, place{name: name, path: path, kind: qmails})
		}
	}
	return places
}

// planPlace decides about one file.
func (s *Swap) planPlace(p place) (c change, wanted bool, err error) {
	c = change{name: p.name, path: p.path, source: filepath.Join(s.From, p.name)}
	switch {
	case p.kind == missing && !slices.Contains(added, p.name):
		if len(s.Names) > 0 {
			s.Report.say(Note, "plan", s.bare(p.path), "is not there; a swap only replaces programs")
		}
		return c, false, nil
	case p.kind == foreign && !s.Force:
		s.Report.say(Note, "plan", s.bare(p.path), "is not qmail's but "+describe(p.path)+": left alone (--force replaces it)")
		return c, false, nil
	}
	if c.new.SHA256, err = hashFile(c.source); err != nil {
		return c, false, err
	}
	if p.kind == missing {
		return c, true, s.attributesOfAdded(&c.new)
	}
	old, err := examine(p.path)
	if err != nil {
		return c, false, fmt.Errorf("looking at %s: %w", s.bare(p.path), err)
	}
	c.old = &old
	c.new.UID, c.new.GID, c.new.Mode, c.new.Label = old.UID, old.GID, old.Mode, old.Label
	return c, !old.equal(c.new), nil
}

// attributesOfAdded gives a file that the host has no model for the owner of
// bin/, and everybody's permission to run it.
func (s *Swap) attributesOfAdded(a *Attributes) error {
	var st syscall.Stat_t
	if err := syscall.Stat(s.bin(), &st); err != nil {
		return err
	}
	a.UID, a.GID, a.Mode = int(st.Uid), int(st.Gid), 0o755
	return nil
}
