package system

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"

	"github.com/reqmail/reqmail/compat/steer"
	"github.com/reqmail/reqmail/tests/host"
)

// deafHost is an SMTP server that reads the beginning of a message, and no
// more of it.
func deafHost(s *system) {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	s.ok(err)
	s.t.Cleanup(func() { listener.Close() })
	s.ok(s.Control("smtproutes", fmt.Sprintf("deaf.example:127.0.0.1:%d\n", listener.Addr().(*net.TCPAddr).Port)))
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		s.t.Cleanup(func() { conn.Close() })
		_, _ = conn.Write([]byte("220 deaf.example\r\n"))
		for in := bufio.NewReader(conn); ; {
			line, err := in.ReadString('\n')
			switch {
			case err != nil:
				return
			case strings.HasPrefix(line, "DATA"):
				_, _ = conn.Write([]byte("354 go ahead\r\n"))
				return
			}
			_, _ = conn.Write([]byte("250 deaf.example\r\n"))
		}
	}()
}

// TestManageTopRemote: Kerio's second window shows the server, and how much of
// a message it has got.
func TestManageTopRemote(t *testing.T) {
	s := start(t)
	deafHost(s)
	s.inject("Subject: long\n\n"+strings.Repeat("A line of a long message.\n", 2e6), "-f", "ann@a.example", "far@deaf.example")
	s.until("a message that is being sent", func() bool {
		var live []steer.Delivery
		s.ok(json.Unmarshal([]byte(s.reqmail(fine, "top", "--json")), &live))
		return len(live) == 1 && live[0].Phase == steer.PhaseSending && strings.Contains(live[0].Host, "127.0.0.1") &&
			live[0].Sent > 0 && live[0].Sent < live[0].Size
	})
	fields := strings.Split(strings.TrimSpace(s.reqmail(fine, "top")), "\t")
	if len(fields) != 9 || fields[2] != "ann@a.example" || fields[3] != "far@deaf.example" || fields[4] != "remote" ||
		fields[5] != steer.PhaseSending || !strings.HasSuffix(fields[8], "%") {
		t.Errorf("top: %q", fields)
	}
	s.inject("Subject: here\n\nx\n", "you@"+host.Name)
	s.mail(1)
}

// TestManageTopQueued: Kerio's "executing" is a delivery that no program has
// taken up yet. The spawner here takes none, so that the pipe to it fills.
func TestManageTopQueued(t *testing.T) {
	s := layOut(t)
	s.ok(s.Control("concurrencyremote", "120\n"))
	s.ok(os.Remove(s.Path("bin/qmail-rspawn")))
	s.write("bin/qmail-rspawn", "#!/bin/sh\nprintf '\\170\\377Zno\\0'\nexec sleep 60\n")
	s.ok(os.Chmod(s.Path("bin/qmail-rspawn"), 0o700))
	s.up()
	const recipients, long = 100, 900 // more than a pipe holds
	var to []string
	for i := range recipients {
		to = append(to, fmt.Sprintf("%s@far%d.example", strings.Repeat("x", long), i))
	}
	s.inject("Subject: x\n\nx\n", to...)
	phases := map[string]int{}
	s.until("all deliveries", func() bool {
		var live []steer.Delivery
		s.ok(json.Unmarshal([]byte(s.reqmail(fine, "top", "--json")), &live))
		clear(phases)
		for _, d := range live {
			phases[d.Phase]++
		}
		return len(live) == recipients
	})
	if phases[steer.PhaseQueued] == 0 || phases[steer.PhaseRunning] == 0 {
		t.Errorf("phases: %v; some are to be on their way to the spawner, and some with it", phases)
	}
}
