package manage

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/reqmail/reqmail/compat/steer"
	"github.com/reqmail/reqmail/qmail/roster"
	"github.com/reqmail/reqmail/queue"
	"github.com/reqmail/reqmail/queue/orders"
	"github.com/reqmail/reqmail/queue/reasons"
)

// Files is a queue whose qmail-send takes no orders: it is stopped, or C's, or
// has no folder lock/send. Looking shows what is in the files. Acts are done
// under the lock that keeps qmail-send from starting, or refused while one
// runs. The working directory is the queue.
type Files struct {
	running bool         // a qmail-send has the lock
	locked  bool         // this process has it
	log     *reasons.Log // what reqmail's qmail-send has left; nil: nothing
	cleaner *Cleaner
}

func openFiles() (*Files, error) {
	f := &Files{running: sendRuns()}
	var err error
	if !f.running { // while C's runs, what was noted ages
		f.log, err = reasons.Read()
	}
	return f, err
}

// Errors of acts on files.
var (
	errTakesNone = errors.New("the qmail-send that runs takes no orders: it is C's, or there is no queue/lock/send; " +
		"stop it first, or send it ALRM to have all mail tried now")
	errNoFolder = errors.New("queue/lock/send is missing, without which reqmail's qmail-send takes no orders")
	errNotLive  = errors.New("deliveries can be seen only while reqmail's qmail-send runs")
)

// Note says, in words for the administrator, what a queue seen by its files
// lacks.
func (f *Files) Note() string {
	switch {
	case f.running:
		return "qmail-send takes no orders: from the files, no tries, no reasons"
	case f.log == nil:
		return "qmail-send does not run: from the files, no tries, no reasons"
	}
	return "qmail-send does not run: from the files that it has left"
}

// sendRuns reports whether a qmail-send has its lock, without touching that: a
// qmail-send that starts at this moment is not to find it taken.
func sendRuns() bool {
	var st syscall.Stat_t
	if syscall.Stat(queue.SendMutex, &st) != nil {
		return false
	}
	locks, err := os.ReadFile("/proc/locks")
	if err != nil {
		return false
	}
	inode := ":" + strconv.FormatUint(st.Ino, 10)
	for line := range strings.Lines(string(locks)) {
		if words := strings.Fields(line); len(words) > 5 && words[1] == "FLOCK" && strings.HasSuffix(words[5], inode) {
			return true
		}
	}
	return false
}

// lock keeps qmail-send from starting until this process ends.
func (f *Files) lock() error {
	if f.locked {
		return nil
	}
	taken, err := queue.LockSend()
	if err != nil {
		return fmt.Errorf("lock %s: %w", queue.SendMutex, err)
	}
	if !taken {
		return errTakesNone
	}
	f.locked = true
	return nil
}

func (f *Files) snapshot() (*roster.Snapshot, error) {
	return roster.FromFiles(time.Now().Unix(), !f.running, f.log)
}

// Close closes the log of reasons.
func (f *Files) Close() error {
	if f.log != nil {
		f.log.Close()
	}
	return nil
}

// Status counts what is in the files.
func (f *Files) Status() (st steer.Status, err error) {
	s, err := f.snapshot()
	if err == nil {
		st.Now = s.Now
		s.Count(&st)
	}
	return st, err
}

// List is as for steer.Client.
func (f *Files) List(q steer.Query, each func(steer.Message) error) (total int, err error) {
	if err := errors.Join(q.Filter.Check(), q.Sort.Check()); err != nil {
		return 0, err
	}
	s, err := f.snapshot()
	if err != nil {
		return 0, err
	}
	sent := 0
	total, err = s.List(nil, q, func(m *steer.Message) error {
		sent++
		return each(*m)
	})
	if err != nil {
		return total, err
	}
	return listQueued(q, s.Now, sent, total, each)
}

// Show is as for steer.Client.
func (f *Files) Show(name steer.Name) (steer.Message, error) {
	s, err := f.snapshot()
	if err != nil {
		return steer.Message{}, err
	}
	m, ok := find(s, queue.ID(name.ID))
	switch {
	case !ok:
		return m, errNoMessage
	case name.Birth != 0 && name.Birth != m.Birth:
		return m, errOther
	}
	return m, nil
}

// Live has no answer.
func (f *Files) Live(func(steer.Delivery) error) error { return errNotLive }

// Rules tells the suspensions and bounces that the next qmail-send heeds.
func (f *Files) Rules() ([]steer.Rule, error) {
	if f.running {
		return nil, nil
	}
	_, rules, err := orders.Read(".")
	return rules, err
}

// journal locks qmail-send out and opens the journal.
func (f *Files) journal() (*orders.Journal, error) {
	if err := f.lock(); err != nil {
		return nil, err
	}
	if _, err := os.Stat(queue.SendState); err != nil {
		return nil, errNoFolder
	}
	return orders.Open(func(id queue.ID, o orders.Order) bool {
		birth, ok, err := queue.Birth(id)
		return err != nil || ok && birth == o.Birth
	})
}

// AddRule puts a rule in the journal; the next qmail-send heeds it.
func (f *Files) AddRule(rule steer.Rule, dryRun bool) (result steer.Result, err error) {
	if err := rule.Check(); err != nil {
		return result, err
	}
	j, err := f.journal()
	if err != nil {
		return result, err
	}
	s, err := f.snapshot()
	if err != nil {
		return result, err
	}
	names, err := s.Under(nil, &rule, func(address string) string { return address })
	result.Touched = len(names)
	if err != nil || dryRun {
		return result, err
	}
	if len(j.Rules()) >= steer.MaxRules {
		return result, errors.New("too many rules are in force")
	}
	rule.Since = s.Now
	if result.Rule, err = j.AddRule(rule); err == nil {
		err = j.Sync()
	}
	return result, err
}

// CancelRule takes a rule out of the journal.
func (f *Files) CancelRule(number int, dryRun bool) (steer.Result, error) {
	j, err := f.journal()
	if err != nil {
		return steer.Result{}, err
	}
	for _, r := range j.Rules() {
		if r.Number != number {
			continue
		}
		if dryRun {
			return steer.Result{}, nil
		}
		if err := j.Cancel(number); err != nil {
			return steer.Result{}, err
		}
		return steer.Result{}, j.Sync()
	}
	return steer.Result{}, fmt.Errorf("there is no rule %d", number)
}

// Flush makes everything due that is not held or postponed.
func (f *Files) Flush(channel string, dryRun bool) (result steer.Result, err error) {
	if err := f.lock(); err != nil {
		return result, err
	}
	s, err := f.snapshot()
	if err != nil {
		return result, err
	}
	result.Touched = s.Flushable(channel)
	if dryRun {
		return result, nil
	}
	result.Touched = 0
	filter := steer.Filter{Channel: channel, States: []steer.State{steer.Fresh, steer.Deferred, steer.Suspended}}
	_, err = s.List(nil, steer.Query{Filter: filter}, func(m *steer.Message) error {
		return f.count(&result, m.Name, dueNow(m, channel, s.Now))
	})
	return result, err
}

// dueNow makes a message due on a channel, or with "" on all that it has.
func dueNow(m *steer.Message, channel string, now int64) error {
	for c, next := range map[queue.Channel]int64{queue.Local: m.Local, queue.Remote: m.Remote} {
		if next == 0 || channel != "" && channel != c.String() {
			continue
		}
		if err := queue.SetNextTry(queue.ID(m.ID), c, now); err != nil {
			return err
		}
	}
	return nil
}

func (f *Files) count(result *steer.Result, name steer.Name, err error) error {
	if err == nil {
		result.Touched++
		return nil
	}
	result.Failed++
	if len(result.Failures) < steer.MaxFailures {
		result.Failures = append(result.Failures, steer.Failure{Name: name, Reason: err.Error()})
	}
	return nil
}
