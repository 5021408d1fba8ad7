package manage

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/reqmail/reqmail/queue"
)

// Cleaner removes envelopes and texts of messages, which are qmailq's, while
// the rest of a message is qmails': a process that does as qmail-clean does.
// Where one user has all, nil does it.
type Cleaner struct {
	requests io.Writer
	answers  io.Reader
	failed   error // why it did not start
}

// StartCleaner starts a cleaner for the queue of a qmail home, before Enter: as
// root alone it can be another user than Enter becomes. argv is a command that
// serves qmail-clean's requests in its working directory. That it does not start
// is told when it is needed, which it is not while qmail-send takes orders.
func StartCleaner(home string, argv ...string) *Cleaner {
	if os.Geteuid() != 0 {
		return nil
	}
	c, err := startCleaner(home, argv)
	if err != nil {
		return &Cleaner{failed: fmt.Errorf("run as the owner of mess: %w", err)}
	}
	return c
}

func startCleaner(home string, argv []string) (*Cleaner, error) {
	dir := filepath.Join(home, "queue")
	var st syscall.Stat_t
	if err := syscall.Stat(filepath.Join(dir, "mess"), &st); err != nil {
		return nil, &os.PathError{Op: "stat", Path: filepath.Join(dir, "mess"), Err: err}
	}
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir = dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: st.Uid, Gid: st.Gid}}
	requests, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	answers, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return &Cleaner{requests: requests, answers: answers}, nil
}

// errMess tells who may remove what is not qmails'.
var errMess = errors.New("its text is another user's: only root can remove it")

// may reports whether a message's text can be removed: what is begun must come
// to its end.
func (c *Cleaner) may(id queue.ID) error {
	if c != nil {
		return c.failed
	}
	if unix.Access(filepath.Dir(id.Mess()), unix.W_OK|unix.X_OK) != nil {
		return errMess
	}
	return nil
}

// envelope removes a message from todo.
func (c *Cleaner) envelope(id queue.ID) error {
	if c == nil {
		return (*queue.Remover)(nil).RemoveTodo(id)
	}
	return c.ask("todo", id)
}

// text removes the text of a message.
func (c *Cleaner) text(id queue.ID) error {
	if c == nil {
		return (*queue.Remover)(nil).RemoveMess(id)
	}
	return c.ask("foop", id)
}

func (c *Cleaner) ask(what string, id queue.ID) error {
	request := append(strconv.AppendUint([]byte(what+"/"), uint64(id), 10), 0)
	if _, err := c.requests.Write(request); err != nil {
		return err
	}
	var answer [1]byte
	if _, err := io.ReadFull(c.answers, answer[:]); err != nil {
		return err
	}
	if answer[0] != '+' {
		return errors.New("its files cannot be removed: reqmail check tells of owners and modes")
	}
	return nil
}
