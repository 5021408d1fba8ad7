package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/reqmail/reqmail/packaging/layout"
)

// me is the name of the demo's host, and user its only mailbox.
const (
	me   = "demo.example"
	user = "you"
)

// remoteDomain is served by the demo's own SMTP server on loopback.
const remoteDomain = "remote.example"

// layOut makes a qmail home with copies of the programs and of demo itself.
func layOut(home, binDir string) error {
	if err := os.Chmod(home, 0o755); err != nil {
		return err
	}
	if err := layout.Private(home, binDir); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	if err := layout.CopyFile(self, filepath.Join(home, "demo"), 0o755); err != nil {
		return err
	}
	for name, text := range map[string]string{
		"control/me":                 me + "\n",
		"alias/.qmail-postmaster":    "./Mailbox\n",
		"alias/.qmail-mailer-daemon": "./Mailbox\n",
	} {
		if err := os.WriteFile(filepath.Join(home, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// assign makes the mailbox: users/assign and users/cdb send mail for user to
// a Maildir in the home. It runs under the uid that is to own the mailbox.
func assign(home string) error {
	mail := filepath.Join(home, "mail")
	if err := os.Mkdir(mail, 0o755); err != nil {
		return err
	}
	account := fmt.Sprintf("%s:%d:%d", user, os.Getuid(), os.Getgid())
	text := "=" + user + ":" + account + ":" + mail + ":::\n" +
		"+" + user + "-:" + account + ":" + mail + ":-::\n.\n"
	if err := os.WriteFile(filepath.Join(home, "users/assign"), []byte(text), 0o644); err != nil {
		return err
	}
	for _, argv := range [][]string{{"qmail-newu"}, {"maildirmake", filepath.Join(mail, "Maildir")}} {
		cmd := exec.Command(filepath.Join(home, "bin", argv[0]), argv[1:]...)
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w: %s", argv[0], err, out)
		}
	}
	return nil
}
