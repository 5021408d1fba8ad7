// Sendmail is what programs run that know no other way to send mail.
//
// Synopsis: sendmail [-t] [-fsender] [-Fname] [-bp] [-bs] [arg …]
//
//	-t  recipients are those of the header as well
//	-f  envelope sender; -F full name for From
//	-bp lists the queue (qmail-qread), -bs speaks SMTP (qmail-smtpd)
//
// Everything else that sendmails take is accepted and ignored. It runs
// qmail-inject. Called as mailq it lists the queue; called as newaliases it
// says what to use instead. Exit codes: those of the program it runs; 100 for
// wrong usage; 111 if that program cannot be run.
package main

import (
	"os"
	"strings"
	"syscall"

	"github.com/reqmail/reqmail/compat/address"
	"github.com/reqmail/reqmail/compat/child"
	"github.com/reqmail/reqmail/compat/fdio"
	"github.com/reqmail/reqmail/compat/getopt"
	"github.com/reqmail/reqmail/compat/home"
	"github.com/reqmail/reqmail/compat/program"
)

const (
	permanent = 100
	temporary = 111
)

const usage = "usage: sendmail [ -t ] [ -fsender ] [ -Fname ] [ -bp ] [ -bs ] [ arg ... ]"

func main() { program.Main("sendmail", temporary, run) }

func run() int {
	if syscall.Chdir(home.Dir()) != nil {
		return die(temporary, "fatal: unable to switch to qmail home directory")
	}
	opts := getopt.New(os.Args, "vimte:f:p:o:B:F:EJxb:", fdio.FD(2))
	recipients, sender, hasSender := "-a", "", false
	for {
		letter, more := opts.Next()
		if !more {
			break
		}
		switch letter {
		case 't':
			recipients = "-H"
		case 'f':
			sender, hasSender = opts.Arg, true
		case 'F':
			os.Setenv("MAILNAME", opts.Arg)
		case 'E', 'J':
			opts.SkipCluster() // an argument nobody knows the meaning of
		case 'b':
			if code, done := mode(opts.Arg); done {
				return code
			}
		case '?':
			return die(permanent, usage)
		}
	}
	return asNamed(recipients, sender, hasSender, opts.Operands())
}

// mode is the -b option; only -bm goes on.
func mode(arg string) (code int, done bool) {
	switch {
	case strings.HasPrefix(arg, "m"):
		return 0, false
	case strings.HasPrefix(arg, "p"):
		return become("qmail-qread"), true
	case strings.HasPrefix(arg, "s"):
		return smtpd(), true
	}
	return die(permanent, usage), true
}

// asNamed does what the name asks for that sendmail was called by.
func asNamed(recipients, sender string, hasSender bool, operands []string) int {
	switch os.Args[0][strings.LastIndexByte(os.Args[0], '/')+1:] {
	case "mailq":
		return become("qmail-qread")
	case "newaliases":
		return die(permanent, "fatal: please use fastforward/newaliases instead")
	}
	args := []string{recipients}
	if hasSender {
		args = append(args, "-f", sender)
		pretend(sender)
	}
	return become("qmail-inject", append(append(args, "--"), operands...)...)
}

// pretend makes From follow the envelope sender.
func pretend(sender string) {
	for _, name := range []string{"QMAILNAME", "MAILNAME", "NAME", "QMAILHOST", "MAILHOST"} {
		os.Unsetenv(name)
	}
	user, host, ok := address.Split(sender)
	if ok {
		os.Setenv("QMAILHOST", host)
	}
	os.Setenv("QMAILUSER", user)
}

// smtpd speaks SMTP with a local program that may relay.
func smtpd() int {
	if _, ok := os.LookupEnv("PROTO"); !ok {
		for _, v := range []string{"RELAYCLIENT=", "DATABYTES=0", "PROTO=TCP", "TCPLOCALIP=127.0.0.1",
			"TCPLOCALHOST=localhost", "TCPREMOTEIP=127.0.0.1", "TCPREMOTEHOST=localhost", "TCPREMOTEINFO=sendmail-bs"} {
			name, value, _ := strings.Cut(v, "=")
			os.Setenv(name, value)
		}
	}
	return become("qmail-smtpd")
}

// become runs a program of the home in place of this one.
func become(name string, args ...string) int {
	path := "bin/" + name
	_ = child.Exec(path, append([]string{path}, args...), os.Environ())
	return die(temporary, "fatal: unable to run "+name)
}

func die(code int, text string) int {
	_, _ = fdio.FD(2).WriteString("sendmail: " + text + "\n")
	return code
}
