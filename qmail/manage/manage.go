// Package manage is what administrators see and do of the queue by the command
// reqmail: it asks a running qmail-send, or, where none takes orders, reads the
// files; it selects, counts, has acts confirmed, and shows everything as tables
// on a terminal, as plain lines, or as JSON. It also follows messages through
// the log. It must not know command-line options, nor how qmail-send does what
// it is told.
//
// Nothing that came from outside reaches a terminal as it is: see Safe.
package manage

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"github.com/reqmail/reqmail/compat/steer"
)

// Queue is a queue that can be looked at and steered: a qmail-send that
// listens, or the files.
type Queue interface {
	Status() (steer.Status, error)
	List(q steer.Query, each func(steer.Message) error) (total int, err error)
	Show(name steer.Name) (steer.Message, error)
	Live(each func(steer.Delivery) error) error
	Rules() ([]steer.Rule, error)
	Act(act steer.Act) (steer.Result, error)
	AddRule(rule steer.Rule, dryRun bool) (steer.Result, error)
	CancelRule(number int, dryRun bool) (steer.Result, error)
	Flush(channel string, dryRun bool) (steer.Result, error)
	Close() error
}

var (
	_ Queue = (*steer.Client)(nil)
	_ Queue = (*Files)(nil)
)

// UsageError is a mistake of whoever typed the command.
type UsageError struct{ Text string }

func (e *UsageError) Error() string { return e.Text }

// ErrLook says that all is done, but something is to be looked at; what it is
// has been shown.
var ErrLook = errors.New("there is something to look at")

// Enter goes to the queue of a qmail home. Root becomes the user that
// qmail-send runs as, who owns what is in the queue: nothing from outside is
// handled as root, and no file of root's is left there.
func Enter(home string) error {
	dir := filepath.Join(home, "queue")
	if err := os.Chdir(dir); err != nil {
		return err
	}
	if os.Geteuid() != 0 {
		return nil
	}
	var st syscall.Stat_t
	if err := syscall.Stat("info", &st); err != nil {
		return &os.PathError{Op: "stat", Path: filepath.Join(dir, "info"), Err: err}
	}
	if st.Uid == 0 {
		return nil
	}
	err := syscall.Setgroups(nil)
	if err == nil {
		err = syscall.Setgid(int(st.Gid))
	}
	if err == nil {
		err = syscall.Setuid(int(st.Uid))
	}
	if err != nil {
		return fmt.Errorf("become the owner of the queue: %w", err)
	}
	return nil
}

// Open returns the queue in the working directory.
func Open() (Queue, error) {
	c, err := steer.Dial(".")
	switch {
	case err == nil:
		return c, nil
	case errors.Is(err, steer.ErrNobody):
		return openFiles()
	case errors.Is(err, os.ErrPermission):
		return nil, fmt.Errorf("%w (only root and the user of qmail-send may steer it)", err)
	}
	return nil, err
}
