// Splogger logs the lines that it reads: to syslog, or in a file.
//
// Synopsis:
//
//	splogger [tag [facility]]
//	splogger -f FILE [tag]
//
// It reads lines on descriptor 0 to the end and puts a time stamp before each:
// seconds since 1970, with microseconds. What is not printable ASCII becomes
// "?", a line of more than 799 bytes becomes several, the later ones with "+"
// behind the stamp. The tag is "splogger" unless given.
//
// The first form sends the lines to syslog (/dev/log), lines that begin with
// "warning:" or "alert:" with these severities, others as "info"; facility is a
// number as in syslog(3), 2 ("mail") unless given. Lines that syslog cannot be
// given are lost: at once where nothing listens, after five seconds where
// nothing is taken.
//
// The second form, for hosts without syslog, appends them to FILE (an absolute
// path), in the form in which syslog would ("Nov 22 17:01:28 host tag: …", local
// time, see TZ), each with one write(2). The file is created with mode 0640, less
// the umask, if it is not there; the directory must let the user who runs
// splogger (qmaill) do that. At a SIGHUP the file is opened anew, for logrotate's postrotate:
//
//	pkill -HUP -x splogger
//
// While the file cannot be opened or written, up to 256 KiB of lines are kept
// and tried again every second; descriptor 2 is told when this begins. Further
// lines are dropped, and the file then says how many.
//
// Exit code: 0, at the end of the input.
package main

import (
	"os"
	"os/signal"
	"syscall"

	"github.com/reqmail/reqmail/compat/fdio"
	"github.com/reqmail/reqmail/compat/program"
	"github.com/reqmail/reqmail/qmail/splog"
)

const failed = 111

func main() { program.Main("splogger", failed, run) }

func run() int {
	const input = fdio.FD(0)
	config := splog.Parse(os.Args)
	if config.File == "" {
		splog.Run(input, splog.NewSyslog(splog.Socket, config))
		return 0
	}
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	signal.Ignore(syscall.SIGXFSZ) // a file at its limit is like a full disk
	splog.Follow(input, splog.NewFile(config, complain), hup)
	return 0
}

func complain(text string) {
	_, _ = fdio.FD(2).WriteString("splogger: " + text + "\n")
}
