// Qmail-tcpto lists the hosts that did not answer lately.
//
// Synopsis: qmail-tcpto, without arguments, as root or qmailr.
//
// It prints a line for each host in queue/lock/tcpto, and in queue/lock/tcpto6
// (IPv6) if that is there: its address, how many seconds ago it timed out
// last, and how often lately. Exit codes: 0; 111 if a table cannot be read,
// which it says on standard output.
package main

import (
	"bytes"
	"net/netip"
	"strconv"
	"syscall"
	"time"

	"github.com/reqmail/reqmail/compat/errno"
	"github.com/reqmail/reqmail/compat/fdio"
	"github.com/reqmail/reqmail/compat/home"
	"github.com/reqmail/reqmail/compat/program"
	"github.com/reqmail/reqmail/queue/tcpto"
)

const failed = 111

func main() { program.Main("qmail-tcpto", failed, run) }

func run() int {
	var out bytes.Buffer
	code := list(&out)
	_, _ = fdio.FD(1).Write(out.Bytes())
	return code
}

func list(out *bytes.Buffer) int {
	queue := home.Dir() + "/queue"
	if err := syscall.Access(queue+"/lock", 1); err != nil {
		out.WriteString("fatal: unable to chdir: " + errno.Text(err) + "\n")
		return failed
	}
	records, err := tcpto.List(queue)
	if err != nil {
		e := err.(*tcpto.Error)
		out.WriteString("fatal: unable to " + e.Op + " " + e.Name + ": " + errno.Text(err) + "\n")
		return failed
	}
	now := time.Now().Unix()
	for _, r := range records {
		if r.Count < 1 {
			continue
		}
		ip, _ := netip.AddrFromSlice(r.IP)
		out.WriteString(ip.String())
		out.WriteString(" timed out " + strconv.FormatUint(uint64(now-r.When), 10) +
			" seconds ago; # recent timeouts: " + strconv.Itoa(r.Count) + "\n")
	}
	return 0
}
