package main

import (
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/reqmail/reqmail/tests/host"
)

// remoteDomain is served by an SMTP server on loopback.
const remoteDomain = "remote.example"

// stage is a running system and what is shown on it.
type stage struct {
	host   *host.Host
	remote *host.Remote
}

// show runs the whole demonstration in a home that is laid out.
func show(home string) error {
	log, err := os.Create(filepath.Join(home, "log"))
	if err != nil {
		return err
	}
	defer log.Close()
	s, err := begin(home, log)
	if err != nil {
		return err
	}
	defer s.remote.Stop()
	defer s.host.Kill()
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
	s, err := begin(home, os.Stdout)
	if err != nil {
		return err
	}
	defer s.remote.Stop()
	s.remote.Refuse(451, [3]int{4, 3, 2}, "I do not feel well today, come again later")
	if out, err := s.host.Run("Subject: are you there\n\nKnock, knock.\n", "qmail-inject", "friend@"+remoteDomain); err != nil {
		return fmt.Errorf("qmail-inject: %w: %s", err, out)
	}
	fmt.Print(invitation(home, os.Getuid() == unprivileged))
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, syscall.SIGINT, syscall.SIGTERM)
	<-interrupted
	return s.host.Stop()
}

// invitation says how to use the system from another terminal. dropped is
// whether root has started it: commands of root's would want qmail's accounts.
func invitation(home string, dropped bool) string {
	shell := ""
	if dropped {
		shell = fmt.Sprintf("setpriv --reuid %d --regid %[1]d --clear-groups sh\n    ", unprivileged)
	}
	return fmt.Sprintf(`qmail home: %s
In another terminal:

    %sexport REQMAIL_HOME=%s PATH=%s/bin:$PATH
    echo hello | qmail-inject %s@%s
    reqmail list        # mail to %s is deferred
    reqmail help

Ctrl-C here ends it.
`, home, shell, home, home, host.User, host.Name, remoteDomain)
}

// begin starts the remote host and the mail system.
func begin(home string, log *os.File) (*stage, error) {
	s := &stage{host: host.New(home)}
	if err := s.host.AddMailbox(); err != nil {
		return nil, err
	}
	var err error
	if s.remote, err = host.StartRemote("mx." + remoteDomain); err != nil {
		return nil, err
	}
	route := fmt.Sprintf("%s:127.0.0.1:%d\n", remoteDomain, s.remote.Port)
	if err := s.host.Control("smtproutes", route); err != nil {
		return nil, err
	}
	return s, s.host.StartTo(log, "./Maildir/")
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
	s.remote.Refuse(451, [3]int{4, 3, 2}, "I do not feel well today, come again later")
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
	s.remote.Accept()
	if err := s.shell("kill -ALRM `pidof qmail-send`"); err != nil {
		return err
	}
	if err := s.logged("success: 127.0.0.1_accepted_message."); err != nil {
		return err
	}
	if err := s.shellShows("grep success log | tail -n 1", "Remote_host_said:_250"); err != nil {
		return err
	}
	got := s.remote.Received()
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
	if err := host.Until("the queue to be empty", func() bool {
		out, err := s.host.Run("", "qmail-qstat")
		return err == nil && strings.HasPrefix(out, "messages in queue: 0\n")
	}); err != nil {
		return err
	}
	if err := s.host.Stop(); err != nil {
		return err
	}
	return s.shellShows("tail -n 1 log", "status: exiting\n")
}

func say(text string) { fmt.Printf("\n%s\n", text) }

// shell runs a command line as a reader of the README would.
func (s *stage) shell(line string) error { return s.shellShows(line, "") }

// shellShows runs a command line, shows what it prints, and fails unless that
// contains want.
func (s *stage) shellShows(line, want string) error {
	fmt.Printf("  $ %s\n", line)
	var out strings.Builder
	if err := s.host.Pipeline(line, &out); err != nil {
		return fmt.Errorf("%s: %w: %s", line, err, out.String())
	}
	for text := range strings.Lines(out.String()) {
		fmt.Printf("  %s", text)
	}
	if !strings.Contains(out.String(), want) {
		return fmt.Errorf("%s: no %q in its output", line, want)
	}
	return nil
}

// mail waits for a message with that text in the Maildir.
func (s *stage) mail(text string) error {
	err := host.Until("mail with "+text, func() bool {
		messages, err := host.Mail(s.host.Path("mail/Maildir"))
		return err == nil && strings.Contains(strings.Join(messages, "\n"), text)
	})
	if err == nil {
		fmt.Printf("  in %s's Maildir: %s\n", host.User, text)
	}
	return err
}

// logged waits for a text in the log of qmail-send.
func (s *stage) logged(text string) error { return host.FileSays(s.host.Path("log"), text) }

func (s *stage) log() string {
	data, _ := os.ReadFile(s.host.Path("log"))
	return string(data)
}
