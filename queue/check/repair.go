package check

import (
	"errors"
	"os"
	"slices"
	"strings"
	"syscall"

	"github.com/reqmail/reqmail/queue"
	"github.com/reqmail/reqmail/queue/orders"
)

// ErrRunning is why something is left while qmail-send runs.
var ErrRunning = errors.New("qmail-send runs: stop it first")

// errByHand is why something is left that needs a decision.
var errByHand = errors.New("needs a decision")

// remedy is what is done about a kind of finding. Remedies are applied in the
// order of their phases, each to what a new look has found, for one often
// brings the next to light.
type remedy struct {
	phase int
	live  bool // safe while qmail-send runs
	what  string
	do    func(r *repair, f Finding) error
}

// The phases, in their order.
const (
	phaseLayout = iota // what everything else needs to be there
	phaseResume        // of an interrupted repair
	phaseStrange
	phaseOrphans
	phasePlaces
	phaseNumbers
	phaseTidy
	phases
)

// remedies is the table of what is done about what.
func remedies() map[Code]remedy {
	toLost := func(phase int) remedy {
		return remedy{phase, false, "moved to " + lost, func(_ *repair, f Finding) error { return aside(f, f.Path) }}
	}
	wholeToLost := remedy{phaseOrphans, false, "the message moved to " + lost, func(r *repair, f Finding) error {
		return asideWhole(f, r.view.messages[f.ID])
	}}
	return map[Code]remedy{
		MissingDirectory: {phaseLayout, true, "made", (*repair).make},
		MissingFile:      {phaseLayout, true, "made", (*repair).make},
		WrongType:        {phaseLayout, false, "moved to " + lost + ", a new one made", (*repair).replace},
		WrongOwner:       {phaseLayout, true, "owner set", (*repair).own},
		WrongGroup:       {phaseLayout, true, "group set", (*repair).own},
		WrongMode:        {phaseLayout, true, "mode set", (*repair).own},
		WrongSize:        {phaseLayout, false, "emptied", (*repair).empty},
		Unfinished:       {phaseResume, false, "finished", func(r *repair, _ Finding) error { return r.settle() }},

		UnknownFile: toLost(phaseStrange),
		NotRegular:  toLost(phaseStrange),
		Duplicate:   toLost(phaseStrange),

		OrphanPid:        toLost(phaseOrphans),
		OrphanText:       toLost(phaseOrphans),
		OrphanIntd:       toLost(phaseOrphans),
		OrphanRecipients: toLost(phaseOrphans),
		OrphanBounce:     toLost(phaseOrphans),
		IntdDiffers:      toLost(phaseOrphans),
		StaleIntd:        toLost(phaseOrphans),
		StaleBounce:      toLost(phaseOrphans),
		LostText:         wholeToLost,
		TornText:         wholeToLost,
		TornEnvelope:     wholeToLost,
		TornInfo:         wholeToLost,
		TornRecipients:   wholeToLost,
		UnknownRecord:    wholeToLost,

		WrongSplit:       {phasePlaces, false, "moved there", (*repair).place},
		WrongInode:       {phaseNumbers, false, "renumbered", (*repair).number},
		SurplusDirectory: {phaseTidy, false, "removed if empty", (*repair).tidy},
		BigTodo:          {phaseTidy, false, "made flat", (*repair).flatten},
	}
}

// repair is a run of Repair.
type repair struct {
	Options
	view *view
	held map[queue.ID]orders.Order

	stuck  map[queue.ID]bool // with a file that place could not move
	placed bool              // all but todo and info are, and durable
}

// Repair mends a queue and returns what was wrong with it, and what was done
// about each: everything that is safe. A finding that is left says why.
//
// It can be repeated after a crash at any point, and changes nothing in a
// sound queue.
func Repair(o Options) ([]Finding, error) {
	r := &repair{Options: o, stuck: map[queue.ID]bool{}}
	var err error
	if r.held, _, err = orders.Read("."); err != nil {
		return nil, err
	}
	table := remedies()
	var told []Finding
	for phase := range phases {
		found, v, err := o.confirmed(func(f Finding) bool {
			how, known := table[f.Code]
			return known && how.phase == phase || !known && phase == phaseTidy
		})
		if err != nil {
			return told, err
		}
		r.view = v
		if !o.DryRun && o.Stopped && len(found) > 0 {
			if err := makeLost(o.Accounts); err != nil {
				return told, err
			}
		}
		done, err := r.phase(phase, found, table)
		told = append(told, done...)
		if err != nil {
			return told, err
		}
	}
	return told, nil
}

// phase applies the remedies of one phase.
func (r *repair) phase(phase int, found []Finding, table map[Code]remedy) (told []Finding, err error) {
	if phase == phasePlaces {
		slices.SortStableFunc(found, decisiveLast)
	}
	whole := map[queue.ID]bool{} // messages that are away as a whole
	for _, f := range found {
		how, known := table[f.Code]
		switch {
		case !known:
			f.Error = errByHand.Error()
		case !r.Stopped && !how.live:
			f.Error = ErrRunning.Error()
		case r.DryRun:
			f.Mended = "would be " + how.what
		case whole[f.ID]:
			f.Mended = how.what
		default:
			if err := how.do(r, f); err != nil {
				f.Error = err.Error()
			} else {
				f.Mended = how.what
				whole[f.ID] = f.ID != 0 && phase == phaseOrphans && isWhole(f.Code)
			}
		}
		told = append(told, f)
	}
	if r.DryRun || len(told) == 0 {
		return told, nil
	}
	if phase == phaseNumbers {
		return told, r.settle()
	}
	return told, syncQueue()
}

func isWhole(c Code) bool {
	return slices.Contains([]Code{LostText, TornText, TornEnvelope, TornInfo, TornRecipients, UnknownRecord}, c)
}

// layoutPlace returns the entry of the layout for a path.
func (r *repair) layoutPlace(path string) (queue.Place, bool) {
	places := r.Tree.Layout()
	i := slices.IndexFunc(places, func(p queue.Place) bool { return p.Path == path })
	if i < 0 {
		return queue.Place{}, false
	}
	return places[i], true
}

func (r *repair) make(f Finding) error {
	p, ok := r.layoutPlace(f.Path)
	if !ok {
		return errByHand
	}
	return p.Make(".", func(path string, p queue.Place) error {
		return r.set(path, p.Owner, p.Mode, true)
	})
}

// replace puts what is in the way of a part of the queue to lost+found.
func (r *repair) replace(f Finding) error {
	if err := aside(f, f.Path); err != nil {
		return err
	}
	return r.make(f)
}

// own sets owner and mode of a part of the queue or a file of a message.
func (r *repair) own(f Finding) error {
	if p, ok := r.layoutPlace(f.Path); ok {
		return r.set(f.Path, p.Owner, p.Mode, true)
	}
	for _, file := range r.view.messages[f.ID].all() {
		if file.path == f.Path {
			owner, mode := file.owner()
			return r.set(f.Path, owner, mode, false)
		}
	}
	return errByHand
}

// all returns a message's files, ordered by kind.
func (m message) all() (files []*file) {
	for _, k := range queue.Kinds() {
		files = append(files, m[k]...)
	}
	return files
}

// set gives something its owner and mode; its group too if grouped is set.
func (r *repair) set(path, owner string, mode uint32, grouped bool) error {
	f, err := os.OpenFile(path, syscall.O_NOFOLLOW|syscall.O_NONBLOCK|os.O_RDONLY, 0)
	if errors.Is(err, os.ErrPermission) { // not root's queue, nor readable
		if err := os.Chmod(path, os.FileMode(mode)); err != nil {
			return err
		}
		f, err = os.OpenFile(path, syscall.O_NOFOLLOW|syscall.O_NONBLOCK|os.O_RDONLY, 0)
	}
	if err != nil {
		return err
	}
	defer f.Close()
	group := -1
	if grouped {
		group = int(r.Accounts.Group)
	}
	if err := f.Chown(int(r.Accounts.User[owner]), group); err != nil {
		return err
	}
	return f.Chmod(os.FileMode(mode))
}

// empty makes a table of dead hosts an empty one of the right size.
func (r *repair) empty(f Finding) error {
	p, ok := r.layoutPlace(f.Path)
	if !ok {
		return errByHand
	}
	if err := os.Truncate(f.Path, 0); err != nil {
		return err
	}
	return os.Truncate(f.Path, p.Size)
}

// place moves a file to its right directory. Of a message all other files go,
// and are durable, before todo or info does: it must be whole when qmail-send
// knows it.
func (r *repair) place(f Finding) error {
	kind := queue.Kind(f.Path[:strings.IndexByte(f.Path, '/')])
	if decides(kind) {
		if r.stuck[f.ID] {
			return errors.New("another file of the message could not be moved")
		}
		if !r.placed {
			if err := syncQueue(); err != nil {
				return err
			}
			r.placed = true
		}
	}
	err := wrap("rename", f.Path, renameNew(f.Path, r.Tree.Path(kind, f.ID)))
	if err != nil {
		r.stuck[f.ID] = true
	}
	return err
}

// decisiveLast sorts findings about todo and info behind the others.
func decisiveLast(a, b Finding) int {
	last := func(f Finding) int {
		if strings.HasPrefix(f.Path, "todo/") || strings.HasPrefix(f.Path, "info/") {
			return 1
		}
		return 0
	}
	return last(a) - last(b)
}

func (r *repair) tidy(f Finding) error { return os.Remove(f.Path) }

// flatten removes the directories of a big-todo layout, which are empty now.
func (r *repair) flatten(f Finding) error {
	for _, dir := range r.view.surplus {
		if string(dir.kind) != f.Path {
			continue
		}
		if err := os.Remove(dir.path); err != nil {
			return err
		}
	}
	return nil
}
