package system

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/reqmail/reqmail/compat/steer"
	"github.com/reqmail/reqmail/tests/host"
)

// The exit codes of reqmail.
const (
	fine   = 0
	look   = 1
	usage  = 2
	failed = 111
)

// reqmail runs the command and wants an exit code; it returns what it printed.
func (s *system) reqmail(code int, args ...string) string {
	s.t.Helper()
	out, err := s.Run("", append([]string{"reqmail"}, args...)...)
	got := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		got = exit.ExitCode()
	} else if err != nil {
		s.t.Fatal(err)
	}
	if got != code {
		s.t.Errorf("reqmail %s: exit code %d, want %d:\n%s", strings.Join(args, " "), got, code, out)
	}
	return out
}

// says wants texts in what a command prints, in that order.
func (s *system) says(code int, args []string, texts ...string) {
	s.t.Helper()
	wantInOrder(s.t, s.reqmail(code, args...), texts...)
}

// args takes a command line apart at blanks.
func args(line string) []string { return strings.Fields(line) }

// messages returns what list --json tells.
func (s *system) messages(options ...string) (list []steer.Message) {
	s.t.Helper()
	var told struct {
		Messages []steer.Message
		Total    int
	}
	out, err := s.Command(append([]string{"reqmail", "--json", "list"}, options...)...).Output()
	s.ok(err)
	s.ok(json.Unmarshal(out, &told))
	if len(told.Messages) != told.Total {
		s.t.Errorf("%d messages of %d", len(told.Messages), told.Total)
	}
	return told.Messages
}

// states returns the states of all messages in the order of their births.
func (s *system) states() (words string) {
	s.t.Helper()
	for _, m := range s.messages("--sort", "age") {
		words += string(m.State) + " "
	}
	return strings.TrimSpace(words)
}

func id(n steer.Name) string { return strconv.FormatUint(n.ID, 10) }

// Kerio's first window: its columns, and what SpamExperts' calls filter by.
func TestManageList(t *testing.T) {
	s := start(t)
	s.write("alias/.qmail-repair", "|echo the mailbox is being repaired; exit 111\n")
	s.inject("Subject: x\n\n"+strings.Repeat("long ", 4000), "-f", "ann@a.example", "repair@"+host.Name)
	s.waiting(2, "bob@b.example")
	s.until("three deferrals", func() bool { return s.states() == "deferred deferred deferred" })
	m := s.messages("--status", "being repaired")
	if len(m) != 1 || m[0].Sender != "ann@a.example" || m[0].Size < 20000 || m[0].Tries != 1 || m[0].NextTry <= m[0].Birth ||
		!strings.Contains(m[0].Recipients[0].Reason, "being repaired") {
		t.Errorf("by status: %+v", m)
	}
	for options, want := range map[string]int{
		"--sender bob@*": 2, "--sender <>": 0, "--recipient repair@*": 1, "--domain " + host.Name: 3, "--domain *.org": 0,
		"--channel local": 3, "--channel remote": 0, "--state deferred": 3, "--state held --state fresh": 0, "--area deferred": 3,
		"--older 1h": 0, "--newer 1h": 3, "--larger 10k": 1, "--smaller 10k": 2, "--min-tries 1": 3, "--min-tries 2": 0, "--max-tries 1": 3,
		"--max-tries 0": 0, "--smaller 0": 0, "--larger 0": 3, "--min-tries 0": 3,
		"--sender bob@* --larger 10k": 0,
	} {
		if got := len(s.messages(args(options)...)); got != want {
			t.Errorf("%s: %d messages, want %d", options, got, want)
		}
	}
	// Without a terminal: fields separated by tabs.
	fields := strings.Split(strings.TrimSpace(s.reqmail(fine, "list", "--sort", "size", "--limit", "1")), "\t")
	if len(fields) != 9 || fields[0] != m[0].Name.String() || fields[4] != "1" || fields[5] != "deferred" ||
		fields[6] != "ann@a.example" || fields[8] != "the mailbox is being repaired" {
		t.Errorf("line %q", fields)
	}
	if _, err := time.Parse(time.RFC3339, fields[2]); err != nil {
		t.Error(err)
	}
	s.says(fine, args("status"), "3 messages", "0 of 10 deliveries", "next wake-up", "3 arrived")
	var status steer.Status
	s.ok(json.Unmarshal([]byte(s.reqmail(fine, "status", "--json")), &status))
	if status.Messages != 3 || status.Bytes < 20000 || status.Oldest == nil {
		t.Errorf("status %+v", status)
	}
	s.says(fine, args("report"), "senders\t2\t", "bob@b.example", "ann@a.example", "reasons\t1", "being repaired")
}

func TestManageShow(t *testing.T) {
	s := start(t)
	name := s.waiting(1, "ann@a.example")[0]
	s.says(fine, []string{"show", id(name)}, "message   "+name.String(), "from      ann@a.example", "to        verdict@", "local, waits",
		"next      local", "Subject: 0")
	if out := s.reqmail(fine, "show", id(name)); strings.Count(out, "next      local") != 10 || strings.Contains(out, "text") {
		t.Errorf("show:\n%s", out)
	}
	s.says(fine, []string{"show", "--body", id(name)}, "Subject: 0", "text")
	if out := s.reqmail(fine, "show", "--raw", id(name)); !strings.HasSuffix(out, "\n\ntext\n") || !strings.HasPrefix(out, "Received: ") {
		t.Errorf("raw: %q", out)
	}
	var told struct {
		steer.Message
		NextTries []struct{ At int64 }
		Header    string
		Body      string
	}
	s.ok(json.Unmarshal([]byte(s.reqmail(fine, "show", "--json", "--body", name.String())), &told))
	if told.Name != name || len(told.NextTries) != 10 || told.NextTries[0].At != told.NextTry || !strings.Contains(told.Header, "Subject: 0") ||
		told.Body != "text\n" {
		t.Errorf("as JSON: %+v", told)
	}
}

// Terminal escapes, text that runs backwards and bytes that are no UTF-8 reach
// nobody.
func TestManageHostileBytes(t *testing.T) {
	s := start(t)
	s.write("alias/.qmail-evil", "|printf 'no \\033[2J way\\377'; exit 111\n")
	s.inject("Subject: \x1b[31m \xff \u202e x\x07\n\nbody \x1b[2J\n", "-f", "e\x1b]0;vil@b.example", "evil@"+host.Name)
	s.until("a deferral", func() bool { return s.states() == "deferred" })
	name := s.messages()[0].Name
	for _, line := range []string{
		"list", "list --json", "show " + id(name), "show --body " + id(name), "show --json --body " + id(name), "report", "report --json",
		"trace --log " + s.log + " " + id(name), "trace --json --log " + s.log + " *@b.example",
	} {
		out := s.reqmail(fine, args(line)...)
		for _, r := range out {
			if r != '\n' && r != '\t' && r < ' ' || r == '\u202e' || r == 0x9b {
				t.Errorf("%s prints %q", line, out)
				break
			}
		}
		if strings.Contains(out, "\xff") {
			t.Errorf("%s prints bytes that are no UTF-8", line)
		}
	}
	s.says(fine, []string{"show", id(name)}, `e\x1b]0;vil@b.example`, `\x1b[31m \xff \u{202e} x\x07`)
}

// The acts of all three: Kerio's "try to send now", "remove" and "run queue",
// IMSVA's release, delete and delete with a bounce, SpamExperts' retry and thaw.
func TestManageActs(t *testing.T) {
	s := start(t)
	names := s.waiting(4, "ann@a.example")
	if out := s.reqmail(fine, args("hold --sender ann@* --dry-run")...); out != "would hold 4 messages\n" || strings.Contains(s.states(), "held") {
		t.Errorf("dry run: %s", out)
	}
	s.says(usage, args("hold --sender ann@*"), "nothing is done", "--yes")
	s.says(fine, args("hold --sender ann@* --yes --reason odd"), "hold 4 messages")
	s.says(look, []string{"retry", id(names[0])}, "retry 0 messages", "it is held: release it first")
	s.says(fine, []string{"show", id(names[0])}, "held      since", "does not expire", "because: odd")
	s.says(fine, []string{"release", id(names[0])}, "release 1 message\n")
	s.says(fine, []string{"postpone", "--yes", "--until", "+2h", names[1].String(), names[0].String()}, "postpone 2 messages")
	s.says(fine, []string{"expire", "--at", "2099-01-01", id(names[0])}, "expire 1 message\n")
	if m := s.messages("--area", "postponed"); len(m) != 1 || m[0].ExpireAt == 0 || m[0].NextTry < m[0].Birth+7000 {
		t.Errorf("postponed: %+v", m)
	}
	s.says(fine, []string{"expire", "--at", "never", id(names[0])}, "expire 1 message\n")
	s.says(fine, args("flush --dry-run"), "would flush 0 messages")
	s.write("verdict", "0\n")
	s.says(fine, []string{"--json", "retry", id(names[0])}, `{"touched":1}`)
	s.until("the end of one", func() bool { return len(s.messages()) == 3 })
	s.says(fine, args("remove --sender ann@* --max-tries 0"), "remove 0 messages\n")
	s.says(fine, []string{"remove", id(names[1])}, "remove 1 message\n")
	s.write("alias/.qmail-ann", "./Bounces\n")
	s.inject("Subject: mine\n\nx\n", "-f", "ann@"+host.Name, "verdict@"+host.Name)
	s.says(fine, args("release --state held --yes"), "release 2 messages")
	s.says(fine, args("flush --yes"), "flush ")
	s.empty()
}

func TestManageBounce(t *testing.T) {
	s := start(t)
	s.write("alias/.qmail-ann", "./Bounces\n")
	name := s.waiting(1, "ann@"+host.Name)[0]
	s.says(fine, []string{"remove", "--bounce", "--reason", "spam trap", id(name)}, "return 1 message\n")
	s.ok(host.FileSays(s.Path("alias/Bounces"), "spam_trap"))
	s.empty()
	s.says(fine, []string{"trace", "--log", s.log, id(name)}, "new msg", "deferral", "bounce msg", "end msg", "from <>", "delivery", "success")
	s.says(fine, []string{"trace", "--log", s.log, "ann@*"}, "new msg", "end msg")
	s.says(failed, []string{"trace", "--log", s.log, "nobody@*"}, "has nothing of")
	s.says(fine, []string{"report", "--log", s.log, "--since", "1h"}, "log\tsenders", "ann@"+host.Name)
}

func TestManageRules(t *testing.T) {
	s := start(t)
	s.waiting(2, "ann@a.example")
	s.says(usage, args("suspend --for 2h"), "--to GLOB, --from GLOB or --channel CHANNEL")
	s.says(usage, args("suspend --from a.example --for 2h"), "suspend 2 messages", "--yes")
	s.says(fine, args("suspend --from a.example --for 2h --reason repair --yes"), "rule 1: suspend mail from a.example, now 2 messages")
	s.says(fine, args("rules"), "1\tsuspend\t", "from a.example\trepair")
	s.says(fine, args("suspend --channel remote --until +1h"), "rule 2: suspend mail on channel remote")
	s.says(fine, args("bounce --to gone.example"), "rule 3: bounce mail to gone.example")
	s.says(usage, args("bounce --channel local"), "there is no option --channel; reqmail help bounce")
	s.write("verdict", "0\n")
	s.says(fine, args("cancel 1 2 3"), "cancel 2 messages")
	s.says(failed, args("cancel 9"), "rule 9")
	s.says(usage, args("cancel x"), "no number")
	s.empty()
}

// IMSVA's areas.
func TestManageAreas(t *testing.T) {
	s := layOut(t)
	s.ok(s.Control("mailpolicy", "hold header=\"Subject: *casino*\"\npostpone:00:00 size>5000\n"))
	s.says(fine, args("policy check"), "2 rules, no mistakes")
	s.up()
	s.inject("Subject: Casino\n\nx\n", "you@"+host.Name)
	s.inject("Subject: y\n\n"+strings.Repeat("long\n", 2000), "you@"+host.Name)
	s.until("both areas", func() bool {
		return len(s.messages("--area", "quarantine")) == 1 && len(s.messages("--area", "postponed")) == 1
	})
	s.says(fine, args("release --area quarantine"), "release 1 message\n")
	s.says(fine, args("retry --area postponed"), "retry 1 message\n")
	s.mail(2)
	s.ok(s.Control("mailpolicy", "hold\nfoo x=y\nhold sizes>7\n"))
	s.says(look, args("policy check"), "line 2: ", "line 3: ")
	s.ok(os.Remove(s.Path("control/mailpolicy")))
	s.says(fine, args("policy check"), "mail goes its way")
}

// Kerio's second window; not a terminal, one snapshot.
func TestManageTop(t *testing.T) {
	s := start(t)
	s.write("alias/.qmail-slow", "|sleep 60\n")
	s.inject("Subject: x\n\nx\n", "-f", "ann@a.example", "slow@"+host.Name)
	s.until("a delivery", func() bool {
		fields := strings.Split(strings.TrimSpace(s.reqmail(fine, "top")), "\t")
		return len(fields) == 9 && fields[2] == "ann@a.example" && fields[3] == "slow@"+host.Name && fields[4] == "local"
	})
	var live []steer.Delivery
	s.ok(json.Unmarshal([]byte(s.reqmail(fine, "top", "--json")), &live))
	if len(live) != 1 || live[0].Sender != "ann@a.example" || live[0].Size == 0 || live[0].Since == 0 {
		t.Errorf("live: %+v", live)
	}
	if out := s.reqmail(fine, "list"); !strings.Contains(out, "\tnow\t") {
		t.Errorf("a message in delivery: %s", out)
	}
}

func TestManageSchedule(t *testing.T) {
	s := layOut(t)
	out := s.reqmail(fine, args("schedule --birth @1700000000 --limit 4 --json")...)
	for _, want := range []string{
		`{"name":"qmail local","tries":[1700000000,1700000100,1700000400,1700000900]}`,
		`{"name":"qmail remote","tries":[1700000000,1700000400,1700001600,1700003600]}`,
		`{"name":"Postfix","tries":[1700000000,1700000300,1700000600,1700001200]}`,
		`{"name":"SpamExperts","tries":[1700000000,1700000900,1700001800,1700002700]}`,
	} {
		if !strings.Contains(out, want) {
			t.Errorf("no %s in %s", want, out)
		}
	}
	// As IMSVA sets Postfix up.
	s.says(fine, args("schedule --birth @0 --limit 5 --json --minimal-backoff-time 15m --maximal-backoff-time 1h --queue-run-delay 15m "+
		"--maximal-queue-lifetime 1d"), `"Postfix","tries":[0,900,1800,3600,7200]`)
}

// --json stands before or behind every command that answers, and what it gives
// is one line.
func TestManageJSON(t *testing.T) {
	s := layOut(t)
	for _, name := range []string{"page", "script"} {
		s.says(fine, []string{"token", "add", "--json", name}, `{"token":"`)
	}
	s.says(fine, args("token remove --json page"), `{"removed":"page"}`)
	for line, want := range map[string]string{
		"token list": `[{"name":"script","act":false}]`, "check": `{"findings":[]}`, "repair --dry-run": `{"findings":[]}`,
		"rules": "[]",
	} {
		words := args(line)
		at := 1
		if words[0] == "token" {
			at = 2
		}
		for _, argv := range [][]string{append([]string{"--json"}, words...), append(append(append([]string{}, words[:at]...), "--json"), words[at:]...)} {
			out, err := s.Command(append([]string{"reqmail"}, argv...)...).Output()
			if string(out) != want+"\n" {
				t.Errorf("%s: %v, %s, want %s", argv, err, out, want)
			}
		}
	}
	s.says(fine, args("export --json -o "+s.Path("stream")), `{"messages":0,"skipped":0,"notes":[]}`)
	var doctor struct{ Events []struct{ Step string } }
	out, _ := s.Command("reqmail", "doctor", "--json").Output()
	if err := json.Unmarshal(out, &doctor); err != nil || len(doctor.Events) == 0 {
		t.Errorf("doctor: %v, %s", err, out)
	}
}

// What a shell completes by; the script for bash does so where there is one.
func TestManageCompletion(t *testing.T) {
	s := layOut(t)
	s.says(fine, args("--generate-bash-completion"), "status\n", "list\n")
	s.says(fine, args("token --generate-bash-completion"), "add\n", "list\n", "remove\n")
	s.says(fine, args("list --min --generate-bash-completion"), "--min-tries\n")
	script := s.reqmail(fine, "completion", "bash") + "COMP_WORDS=(reqmail sta) COMP_CWORD=1\n_reqmail\necho ${COMPREPLY[@]}\n"
	if out, err := s.Run("", "bash", "-c", script); !errors.Is(err, exec.ErrNotFound) && out != "status\n" {
		t.Errorf("bash completes sta to %q, %v", out, err)
	}
}

func TestManageBadInput(t *testing.T) {
	s := start(t)
	name := s.waiting(1, "ann@a.example")[0]
	other := steer.Name{ID: name.ID, Birth: name.Birth + 1}
	for line, code := range map[string]int{
		"frob": usage, "help frob": usage, "policy frob": usage, "list --frob": usage, "list x": usage, "list --older 5x": usage, "list --older -1h": usage, "list --newer 1h --older 2h": usage,
		"list --larger 10q": usage, "list --sort frob": usage, "list --state frob": usage, "list --channel frob": usage, "list --limit -1": usage, "list --limit 0": usage, "list --max-tries x": usage, "report --top 0": usage, "report x": usage, "schedule 5": usage, "top x": usage, "top --every 0": usage, "top --every 10": usage,
		"suspend --to a --for 10": usage, "suspend --to a --for 1h --until +1h": usage, "expire --at 5m " + id(name): usage, "schedule --limit 0": usage,
		"list --sender=": usage, "remove --older 0 --sender=": usage,
		"list --limit x": usage, "list --sender " + strings.Repeat("*", 1001): usage,
		"show": usage, "show x": usage, "show 1": failed, "show 99999999999999999999": usage, "show " + other.String(): failed,
		"show " + id(name) + " --body": usage,
		"remove":                       usage, "remove x": usage, "remove 1": look, "remove " + other.String(): look, "remove --all --sender x": usage,
		"remove --sender * " + id(name): usage, "postpone " + id(name): usage, "postpone --until x " + id(name): usage,
		"postpone --until 2001-01-01 " + id(name): failed, "expire " + id(name): usage, "hold --until @1 " + id(name): failed,
		"suspend": usage, "suspend --to a --from b": usage, "suspend --to a --for x": usage, "suspend --to a --until 2001-01-01": failed,
		"cancel": usage, "cancel 0": usage, "flush --channel x": usage, "flush x": usage, "trace": usage, "trace --log /nowhere 1": failed,
		"schedule --birth x": usage, "schedule --minimal-backoff-time 0": usage, "policy check /nowhere": failed,
	} {
		if out := s.reqmail(code, args(line)...); !strings.HasPrefix(out, "reqmail: ") && code != look {
			t.Errorf("%s: %q", line, out)
		}
	}
	if s.states() != "deferred" {
		t.Errorf("something happened to the message: %s", s.states())
	}
	s.ok(os.Rename(s.Path("queue"), s.Path("away")))
	s.says(failed, args("status"), "queue")
	s.ok(os.Rename(s.Path("away"), s.Path("queue")))
}

// A qmail-send that has died, one that is stopped, and one that takes no orders.
func TestManageWithoutSend(t *testing.T) {
	s := start(t)
	names := s.waiting(4, "ann@a.example")
	s.Kill() // leaves its socket
	if out := s.reqmail(fine, "status"); strings.Count(out, "does not run") != 1 || !strings.Contains(out, "4 messages") {
		t.Errorf("status:\n%s", out)
	}
	if got := s.states(); got != "deferred deferred deferred deferred" || len(s.messages("--min-tries", "1")) != 4 {
		t.Errorf("states by the files: %s", got)
	}
	if out := s.reqmail(look, "release", id(names[0])); !strings.Contains(out, "it is not held") || strings.Contains(out, "noted") {
		t.Errorf("release of what is not held: %s", out)
	}
	if len(s.messages("--sender", "ann@*")) != 4 {
		t.Error("not all are listed")
	}
	s.says(fine, []string{"show", id(names[0])}, "does not run", "from      ann@a.example", "Subject: ")
	s.says(failed, args("top"), "only while")
	s.says(fine, []string{"hold", "--dry-run", id(names[0])}, "would hold 1 message\n")
	s.says(fine, []string{"hold", id(names[0])}, "hold 1 message\n", "qmail-send starts")
	s.says(look, []string{"retry", id(names[0])}, "it is held")
	s.says(fine, []string{"remove", id(names[1])}, "remove 1 message\n")
	s.says(look, []string{"remove", id(names[1])}, "there is no such message")
	s.says(fine, []string{"remove", "--bounce", id(names[2])}, "return 1 message\n")
	s.says(fine, []string{"postpone", "--until", "+1d", id(names[3])}, "postpone 1 message\n")
	s.says(fine, args("suspend --to later.example"), "rule 1: ")
	s.says(fine, args("flush --yes"), "flush ")
	if got := s.states(); !strings.HasPrefix(got, "held") || !strings.HasSuffix(got, "postponed") {
		t.Errorf("states by the files: %s", got)
	}
	s.write("verdict", "0\n")
	s.up()
	s.dial()
	s.until("what was ordered", func() bool { return len(s.messages("--sender", "ann@*")) == 2 })
	s.says(fine, args("rules"), "to later.example")
	s.says(fine, []string{"release", id(names[0])}, "release 1")
	s.says(fine, []string{"retry", id(names[3])}, "retry 1")
	s.until("both", func() bool { return len(s.messages("--sender", "ann@*")) == 0 })
	s.ok(s.Stop())

	s.queuedOnly()

	// As with C's: one that runs and does not listen.
	s.ok(os.RemoveAll(s.Path("queue", steer.Folder)))
	s.write("verdict", "111\n")
	s.up()
	s.inject("\nx\n", "verdict@"+host.Name)
	s.until("a message", func() bool { return len(s.messages()) == 1 })
	s.says(fine, args("status"), "takes no orders")
	for _, line := range []string{"remove --all", "hold --all", "flush", "suspend --to a.example"} {
		s.says(failed, args(line), "takes no orders")
	}
	if len(s.messages()) != 1 {
		t.Error("the message is gone")
	}
}

// queuedOnly does what can be done with what no qmail-send has preprocessed.
func (s *system) queuedOnly() {
	s.t.Helper()
	for _, sender := range []string{"spam@c.example", "spam@c.example", "ham@d.example"} {
		s.inject("Subject: new\n\nx\n", "-f", sender, "verdict@"+host.Name)
	}
	queued := s.messages("--state", "queued", "--sort", "sender")
	if len(queued) != 3 || queued[0].Sender != "spam@c.example" || queued[2].Recipients[0].Address != "verdict@"+host.Name {
		s.t.Fatalf("queued: %+v", queued)
	}
	ham := queued[2].Name
	s.says(fine, []string{"show", ham.String()}, "queued", "from      ham@d.example", "to        verdict@", "Subject: new")
	s.says(look, []string{"hold", id(ham)}, "hold 0 messages", "not preprocessed yet")
	s.says(look, []string{"remove", steer.Name{ID: ham.ID, Birth: ham.Birth - 1}.String()}, "another message")
	s.says(fine, args("remove --sender spam@* --yes"), "remove 2 messages")
	for _, kind := range []string{"mess/*", "todo", "intd"} {
		if files, _ := filepath.Glob(s.Path("queue", kind, "*")); len(files) != 1 {
			s.t.Errorf("left in %s: %v", kind, files)
		}
	}
	s.says(fine, []string{"remove", id(ham)}, "remove 1 message\n")
}
