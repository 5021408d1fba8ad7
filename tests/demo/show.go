package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// patience is how long a step may take before it has failed.
const patience = 20 * time.Second

// stage is a running system and what is shown on it.
type stage struct {
	home   string
	remote *remoteHost
	send   *exec.Cmd
}

// show runs the whole demonstration in a home that is laid out.
func show(home string) error {
	s, err := begin(home, filepath.Join(home, "log"))
	if err != nil {
		return err
	}
	defer s.remote.stop()
	defer s.send.Process.Kill()
	for _, step := range []func() error{s.local, s.deferral, s.recovery, s.bounce, s.end} {
		if err := step(); err != nil {
			fmt.Printf("\nThis did not hold. The log:\n%s\n", s.log())
			return err
		}
	}
	fmt.Println("\nAll of it held.")
	return nil
}

// serve keeps the system running in the foreground.
func serve(home string) error {
	s, err := begin(home, "/dev/stdout")
	if err != nil {
		return err
	}
	defer s.remote.stop()
	s.remote.cure()
	fmt.Printf("qmail home: %s\ntry:  echo hello | REQMAIL_HOME=%s %s/bin/qmail-inject %s@%s\nCtrl-C ends it.\n",
		home, home, home, user, me)
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, syscall.SIGINT, syscall.SIGTERM)
	<-interrupted
	return s.stop()
}

// begin starts the remote host and the mail system.
func begin(home, log string) (*stage, error) {
	os.Setenv("REQMAIL_HOME", home)
	os.Setenv("PATH", filepath.Join(home, "bin")+":"+os.Getenv("PATH"))
	os.Setenv("QMAILUSER", user)
	os.Setenv("QMAILHOST", me)
	for _, name := range []string{"QMAILQUEUE", "QMAILREMOTE", "QMAILSUSER", "QMAILSHOST", "QMAILINJECT"} {
		os.Unsetenv(name)
	}
	if err := assign(home); err != nil {
		return nil, err
	}
	remote, err := startRemoteHost()
	if err != nil {
		return nil, err
	}
	route := fmt.Sprintf("%s:127.0.0.1:%d\n", remoteDomain, remote.port)
	if err := os.WriteFile(filepath.Join(home, "control/smtproutes"), []byte(route), 0o644); err != nil {
		return nil, err
	}
	out, err := os.OpenFile(log, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	s := &stage{home: home, remote: remote, send: exec.Command("qmail-start", "./Maildir/")}
	s.send.Stdout = out
	s.send.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is for us
	return s, s.send.Start()
}

func (s *stage) local() error {
	say("A message to a local mailbox, through sendmail:")
	if err := s.shell("printf 'To: you@demo.example\\nSubject: hello\\n\\nIt works.\\n' | sendmail -t"); err != nil {
		return err
	}
	return s.mail("Subject: hello")
}

func (s *stage) deferral() error {
	say("A message to another host, which is not well and answers 451:")
	if err := s.shell("printf 'Subject: are you there\\n\\nKnock, knock.\\n' | sendmail friend@remote.example"); err != nil {
		return err
	}
	if err := s.logged("deferral: 127.0.0.1_does_not_like_recipient."); err != nil {
		return err
	}
	if err := s.shellShows("qmail-qstat", "messages in queue: 1\nmessages in queue but not yet preprocessed: 0\n"); err != nil {
		return err
	}
	if err := s.shellShows("qmail-qread", "\tremote\tfriend@remote.example\n"); err != nil {
		return err
	}
	fmt.Println("and the cause, in the log:")
	return s.shellShows("grep deferral log", "I_do_not_feel_well_today")
}

func (s *stage) recovery() error {
	say("The host gets well. Left alone, qmail-send would try again after 400 seconds; ALRM makes it try now:")
	s.remote.cure()
	if err := s.shell("kill -ALRM `pidof qmail-send`"); err != nil {
		return err
	}
	if err := s.logged("success: 127.0.0.1_accepted_message."); err != nil {
		return err
	}
	if err := s.shellShows("grep success log | tail -n 1", "Remote_host_said:_250"); err != nil {
		return err
	}
	got := s.remote.received()
	if len(got) != 1 || !strings.Contains(got[0], "Knock, knock.") {
		return fmt.Errorf("the remote host received %q", got)
	}
	return nil
}

func (s *stage) bounce() error {
	say("A message to nobody bounces, and the bounce comes back:")
	if err := s.shell("echo | sendmail nobody-here@demo.example"); err != nil {
		return err
	}
	if err := s.logged("failure: Sorry,_no_mailbox_here_by_that_name."); err != nil {
		return err
	}
	if err := s.mail("Subject: failure notice"); err != nil {
		return err
	}
	return s.shellShows("grep -h -A 1 '^<' mail/Maildir/new/* | tail -n 2", "<nobody-here@demo.example>:\nSorry, no mailbox here by that name.")
}

func (s *stage) end() error {
	say("TERM ends it in good order:")
	if err := s.until("the queue to be empty", func() bool {
		out, err := exec.Command("qmail-qstat").Output()
		return err == nil && strings.HasPrefix(string(out), "messages in queue: 0\n")
	}); err != nil {
		return err
	}
	if err := s.stop(); err != nil {
		return err
	}
	return s.shellShows("tail -n 1 log", "status: exiting\n")
}

// stop ends the system and waits for it.
func (s *stage) stop() error {
	if err := s.send.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- s.send.Wait() }()
	select {
	case err := <-ended:
		return err
	case <-time.After(patience):
		return errors.New("qmail-send does not end")
	}
}

func say(text string) { fmt.Printf("\n%s\n", text) }

// shell runs a command line as a reader of the README would.
func (s *stage) shell(line string) error {
	fmt.Printf("  $ %s\n", line)
	cmd := exec.Command("/bin/sh", "-c", line)
	cmd.Dir = s.home
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", line, err, out)
	}
	return nil
}

// shellShows runs a command line, shows what it prints, and fails unless that
// contains want.
func (s *stage) shellShows(line, want string) error {
	fmt.Printf("  $ %s\n", line)
	cmd := exec.Command("/bin/sh", "-c", line)
	cmd.Dir = s.home
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", line, err, out)
	}
	for text := range strings.Lines(string(out)) {
		fmt.Printf("  %s", text)
	}
	if !strings.Contains(string(out), want) {
		return fmt.Errorf("%s: no %q in its output", line, want)
	}
	return nil
}

// mail waits for a message with that text in the Maildir.
func (s *stage) mail(text string) error {
	err := s.until("mail with "+text, func() bool {
		files, _ := filepath.Glob(filepath.Join(s.home, "mail/Maildir/new/*"))
		for _, file := range files {
			if data, err := os.ReadFile(file); err == nil && strings.Contains(string(data), text) {
				return true
			}
		}
		return false
	})
	if err == nil {
		fmt.Printf("  in %s's Maildir: %s\n", user, text)
	}
	return err
}

// logged waits for a text in the log of qmail-send.
func (s *stage) logged(text string) error {
	return s.until("the log to say "+text, func() bool { return strings.Contains(s.log(), text) })
}

func (s *stage) log() string {
	data, _ := os.ReadFile(filepath.Join(s.home, "log"))
	return string(data)
}

// until polls for something to come true.
func (s *stage) until(what string, holds func() bool) error {
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if holds() {
			return nil
		}
	}
	return errors.New("waited in vain for " + what)
}
