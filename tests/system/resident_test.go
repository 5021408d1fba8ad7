package system

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/reqmail/reqmail/compat/steer"
	"github.com/reqmail/reqmail/tests/host"
)

// tells is a .qmail program that says who its qmail-local is, and all else that
// a program can see of the process it runs in.
const tells = `|echo parent $PPID; umask; ulimit -a; env | grep -v '^UFLINE=' | sort; ls /proc/self/fd | wc -l; ` +
	`cut -d' ' -f5-7 /proc/$$/stat; cut -d' ' -f5-7 /proc/$PPID/stat; grep Sig[BIC] /proc/self/status; tail -n 1`

// report returns what a recipient's delivery printed, and its qmail-local.
func (s *system) report(number int) (parent, rest string) {
	s.t.Helper()
	begin := fmt.Sprintf("delivery %d: success: parent_", number)
	s.logged(begin)
	_, text, _ := strings.Cut(s.read(s.log), begin)
	text, _, _ = strings.Cut(text, "\n")
	parent, rest, _ = strings.Cut(text, "/")
	return parent, rest
}

// What programs see and print is the same in a process that stays and in one
// for each delivery, also after a delivery that set other variables.
func TestResidentLocal(t *testing.T) {
	seen := map[string][]string{}
	for _, children := range []string{"1", "0"} {
		s := layOut(t)
		s.ok(s.Control("residentchildren", children+"\n"))
		s.up()
		s.write("alias/.qmail-tells", tells+"\n./Maildir/\n")
		s.write("alias/.qmail-default", tells+"\n")
		s.ok(os.MkdirAll(s.Path("alias/Maildir/new"), 0o700))
		s.ok(os.MkdirAll(s.Path("alias/Maildir/tmp"), 0o700))
		var parents []string
		for i, to := range []string{"tells", "other-one", "tells"} {
			s.inject("\ntext\n", "-f", "ann@a.example", to+"@"+host.Name)
			s.empty()
			parent, rest := s.report(i + 1)
			parents = append(parents, parent)
			rest = strings.ReplaceAll(rest, s.Home, "HOME")
			group := fmt.Sprintf("/%d_", s.PID()) // qmail-send's
			if n := strings.Count(rest, group); n != 2 {
				t.Errorf("%d processes are in the group of the whole system: %s", n, rest)
			}
			seen[children] = append(seen[children], strings.ReplaceAll(rest, group, "/PID_"))
		}
		slices.Sort(parents)
		if n := len(slices.Compact(parents)); children == "1" && n != 1 || children == "0" && n != 3 {
			t.Errorf("residentchildren %s: three deliveries by %d processes", children, n)
		}
		if mail, err := host.Mail(s.Path("alias/Maildir")); err != nil || len(mail) != 2 {
			t.Errorf("%d messages in the Maildir, %v", len(mail), err)
		}
		s.ok(s.Stop())
	}
	for i, want := range seen["0"] {
		if got := seen["1"][i]; got != want {
			t.Errorf("delivery %d: got %q, want %q", i+1, got, want)
		}
	}
}

// A delivery that takes its qmail-local with it is the only one that notices; a
// qmail-local that is exchanged, or wrapped, does the next one.
func TestResidentTrouble(t *testing.T) {
	s := start(t)
	s.write("alias/.qmail-tells", "|echo parent $PPID\n")
	s.write("alias/.qmail-kills", "|kill -9 $PPID\n")
	s.inject("\nx\n", "tells@"+host.Name)
	first, _ := s.report(1)
	s.inject("\nx\n", "kills@"+host.Name)
	s.logged("delivery 2: deferral: qmail-local_crashed./\n")
	s.inject("\nx\n", "tells@"+host.Name)
	if second, _ := s.report(3); second == first {
		t.Error("a dead process delivers")
	}
	s.ok(os.Rename(s.Path("bin/qmail-local"), s.Path("bin/qmail-local.real")))
	s.ok(os.WriteFile(s.Path("bin/qmail-local"), []byte("#!/bin/sh\necho wrapped; exec bin/qmail-local.real \"$@\"\n"), 0o755))
	for n := 4; n < 6; n++ {
		s.inject("\nx\n", "tells@"+host.Name)
		s.logged(fmt.Sprintf("delivery %d: success: wrapped/", n))
	}
}

// 260 deliveries at once, told of by numbers that C
// does not have.
func TestWideSlots(t *testing.T) {
	s := layOut(t)
	const n = 260
	for _, name := range []string{"concurrencylocal", "concurrencyspawn"} {
		s.ok(s.Control(name, fmt.Sprint(n, "\n")))
	}
	s.up()
	s.logged(fmt.Sprintf("status: local 0/%d remote 0/20\n", n))
	gate := s.Path("gate")
	s.write("alias/.qmail-default", "|while [ ! -e "+gate+" ]; do sleep 1; done; echo $EXT\n")
	var to []string
	for i := range n {
		to = append(to, fmt.Sprintf("n%d@%s", i, host.Name))
	}
	s.inject("\nx\n", to...)
	s.ok(host.Within(forMany(n), "all at once", func() bool {
		return strings.Contains(s.read(s.log), fmt.Sprintf("status: local %d/%[1]d ", n))
	}))
	s.write("gate", "")
	s.ok(host.Within(forMany(n), "their end", func() bool {
		return strings.Contains(s.read(s.log), "\nend msg ")
	}))
	log := s.read(s.log)
	for i := range n {
		if strings.Count(log, fmt.Sprintf(": success: n%d/did_0+0+1/\n", i)) != 1 {
			t.Errorf("recipient %d is not told of once", i)
		}
	}
}

// reqmail top shows what a delivery is busy with.
func TestResidentProgress(t *testing.T) {
	s := start(t)
	s.write("alias/.qmail-slow", "|sleep 60\n")
	s.inject("\nx\n", "slow@"+host.Name)
	s.until("the program", func() bool {
		var live []steer.Delivery
		s.ok(json.Unmarshal([]byte(s.reqmail(fine, "top", "--json")), &live))
		return len(live) == 1 && live[0].Phase == steer.PhaseProgram && live[0].Host == "sleep 60"
	})
}

// Deliveries that come together are told of each by itself, whatever kinds of them there
// are, and each is made once.
func TestDeliveriesTogether(t *testing.T) {
	s := start(t)
	s.write("alias/.qmail-box-default", "./Maildir/\n")
	s.write("alias/.qmail-tells-default", "|echo told\n")
	s.write("alias/.qmail-refuses-default", "|echo no; exit 100\n")
	s.write("alias/.qmail-both-default", "./Maildir/\n|true\n")
	s.write("alias/.qmail-gone-default", "./Gone/\n")
	for _, dir := range []string{"new", "tmp", "cur"} {
		s.ok(os.MkdirAll(s.Path("alias/Maildir/"+dir), 0o700))
	}
	want := map[string]int{
		": success: did_1+0+0/\n":                             40,
		": success: told/did_0+0+1/\n":                        10,
		": failure: no/\n":                                    10,
		": success: did_1+0+1/\n":                             10,
		": deferral: Unable_to_chdir_to_maildir._(#4.2.1)/\n": 10,
	}
	var to []string
	for i := range 10 {
		for _, name := range []string{"box-a", "tells", "box-b", "refuses", "box-c", "both", "gone", "box-d"} {
			to = append(to, fmt.Sprintf("%s-%d@%s", name, i, host.Name))
		}
	}
	s.inject("\nx\n", "box-first@"+host.Name) // there is a process to be had from now on
	s.logged(": success: did_1+0+0/\n")
	s.inject("Subject: together\n\nx\n", append([]string{"-f", ""}, to...)...)
	s.until("the end of all", func() bool {
		return strings.Count(s.read(s.log), "\nstarting delivery ") == 81 && strings.Contains(s.read(s.log), "status: local 0/10 ") &&
			strings.Count(s.read(s.log), "\ndelivery ") == 81
	})
	log := s.read(s.log)
	want[": success: did_1+0+0/\n"]++
	for text, n := range want {
		if got := strings.Count(log, text); got != n {
			t.Errorf("%d reports %q, want %d", got, text, n)
		}
	}
	mail, err := host.Mail(s.Path("alias/Maildir"))
	s.ok(err)
	seen := map[string]int{}
	for _, m := range mail {
		to, _, _ := strings.Cut(m[strings.Index(m, "Delivered-To: "):], "\n")
		seen[to]++
	}
	if len(mail) != 51 || len(seen) != 51 {
		t.Errorf("%d messages for %d recipients, want 51", len(mail), len(seen))
	}
	if left, _ := os.ReadDir(s.Path("alias/Maildir/tmp")); len(left) > 0 {
		t.Errorf("tmp has %d files", len(left))
	}
}
