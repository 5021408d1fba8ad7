// Package host runs a whole mail system in a private qmail home: for the
// tests that drive the built programs, and for the demo. It must not know
// what is being tested.
package host

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/reqmail/reqmail/packaging/layout"
)

// Name is the host's name in control/me, User its mailbox.
const (
	Name = "demo.example"
	User = "you"
)

// Patience is how long anything that is waited for may take.
const Patience = 20 * time.Second

// Host is a qmail home and the system that runs in it.
type Host struct {
	Home string
	Env  []string // environment of every program that is started

	// Prefix is put before the argv of every program, for instance a shell
	// that sets limits first.
	Prefix []string

	send *exec.Cmd
}

// LayOut makes a home with copies of the programs in binDir, a control/me and
// the aliases that must exist.
func LayOut(home, binDir string) error {
	if err := os.Chmod(home, 0o755); err != nil {
		return err
	}
	if err := layout.Install(home, home, layout.Sources{Bin: binDir}, layout.Caller().Chown); err != nil {
		return err
	}
	for name, text := range map[string]string{
		"control/me":                 Name + "\n",
		"alias/.qmail-postmaster":    "./Mailbox\n",
		"alias/.qmail-mailer-daemon": "./Mailbox\n",
	} {
		if err := os.WriteFile(filepath.Join(home, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// New returns the host at a home that is laid out. It must be called under
// the uid that the system is to run under.
func New(home string) *Host {
	env := []string{
		"REQMAIL_HOME=" + home,
		"PATH=" + filepath.Join(home, "bin") + ":/usr/local/bin:/usr/bin:/bin",
		"QMAILUSER=" + User,
		"QMAILHOST=" + Name,
	}
	return &Host{Home: home, Env: env}
}

// Path returns a path below the home.
func (h *Host) Path(elem ...string) string {
	return filepath.Join(append([]string{h.Home}, elem...)...)
}

// Control writes a control file.
func (h *Host) Control(name, text string) error {
	return os.WriteFile(h.Path("control", name), []byte(text), 0o644)
}

// AddMailbox makes the mailbox of User, a Maildir in HOME/mail, and sends
// User's mail there by users/cdb.
func (h *Host) AddMailbox() error {
	mail := h.Path("mail")
	if err := os.Mkdir(mail, 0o755); err != nil {
		return err
	}
	account := fmt.Sprintf("%s:%d:%d:%s", User, os.Getuid(), os.Getgid(), mail)
	alias := fmt.Sprintf("alias:%d:%d:%s", os.Getuid(), os.Getgid(), h.Path("alias"))
	text := "=" + User + ":" + account + ":::\n" +
		"+" + User + "-:" + account + ":-::\n" +
		"+:" + alias + ":-::\n.\n"
	if err := os.WriteFile(h.Path("users/assign"), []byte(text), 0o644); err != nil {
		return err
	}
	for _, argv := range [][]string{{"qmail-newu"}, {"maildirmake", h.Path("mail/Maildir")}} {
		if out, err := h.Run("", argv...); err != nil {
			return fmt.Errorf("%s: %w: %s", argv[0], err, out)
		}
	}
	return nil
}

// Command prepares one of the programs, or anything found by PATH, to run in
// the home.
func (h *Host) Command(argv ...string) *exec.Cmd {
	path := h.Path("bin", argv[0])
	if _, err := os.Stat(path); err != nil {
		path = argv[0]
	}
	cmd := exec.Command(path, argv[1:]...)
	cmd.Args[0] = argv[0]
	if len(h.Prefix) > 0 {
		cmd = exec.Command(h.Prefix[0], append(append(h.Prefix[1:len(h.Prefix):len(h.Prefix)], path), argv[1:]...)...)
	}
	cmd.Dir, cmd.Env = h.Home, h.Env
	return cmd
}

// Run runs a program with that standard input and returns what it printed.
func (h *Host) Run(stdin string, argv ...string) (string, error) {
	cmd := h.Command(argv...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// Start starts the mail system with qmail-start and waits until it is up. Its
// log is appended to logFile.
func (h *Host) Start(logFile string, args ...string) error {
	out, err := os.OpenFile(logFile, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	defer out.Close()
	return h.StartTo(out, args...)
}

// StartTo is Start with an open file for the log, which may be one that this
// uid could not open, as a terminal is after a change of it.
func (h *Host) StartTo(out *os.File, args ...string) error {
	h.send = h.Command(append([]string{"qmail-start"}, args...)...)
	h.send.Stdout = out
	h.send.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a terminal's Ctrl-C is not for it
	return h.send.Start()
}

// PID returns the process that Start started: qmail-send, or the prefix.
func (h *Host) PID() int { return h.send.Process.Pid }

// Signal sends a signal to qmail-send.
func (h *Host) Signal(sig syscall.Signal) error { return h.send.Process.Signal(sig) }

// Stop ends the system with TERM and waits for it.
func (h *Host) Stop() error {
	if err := h.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	return h.Wait()
}

// Wait waits for qmail-send to end.
func (h *Host) Wait() error {
	ended := make(chan error, 1)
	go func() { ended <- h.send.Wait() }()
	select {
	case err := <-ended:
		return err
	case <-time.After(Patience):
		return errors.New("qmail-send does not end")
	}
}

// Kill ends what is left of the system.
func (h *Host) Kill() {
	if h.send != nil {
		_ = syscall.Kill(-h.send.Process.Pid, syscall.SIGKILL)
		_ = h.send.Wait()
	}
}

// Mail returns the messages in a Maildir's new directory.
func Mail(maildir string) ([]string, error) {
	files, err := filepath.Glob(filepath.Join(maildir, "new", "*"))
	if err != nil {
		return nil, err
	}
	var messages []string
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		messages = append(messages, string(data))
	}
	return messages, nil
}

// Until polls for something to come true.
func Until(what string, holds func() bool) error {
	return Within(Patience, what, holds)
}

// Within polls for something that may take longer, or less long.
func Within(limit time.Duration, what string, holds func() bool) error {
	for deadline := time.Now().Add(limit); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if holds() {
			return nil
		}
	}
	return errors.New("waited in vain for " + what)
}

// FileSays waits for a text in a file.
func FileSays(path, text string) error {
	return Until(path+" to say "+text, func() bool {
		data, err := os.ReadFile(path)
		return err == nil && strings.Contains(string(data), text)
	})
}

// Pipeline runs a shell command line as a user of the host would, its output
// and errors to out.
func (h *Host) Pipeline(line string, out io.Writer) error {
	cmd := h.Command("/bin/sh", "-c", line)
	cmd.Stdout, cmd.Stderr = out, out
	return cmd.Run()
}
