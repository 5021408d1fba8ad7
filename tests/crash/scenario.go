package crash

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/reqmail/reqmail/tests/host"
)

// Many states are replayed in one system. Every address and mailbox has a
// token in its name that is another one in every state; token is the one of
// the recording.
const token = "k0000"

func tokenOf(n int) string { return fmt.Sprintf("k%04d", n) }

// Mailboxes of the scenario, in mail/TOKEN; far is another host.
const (
	inMaildir = "maildir"
	inMbox    = "mbox"
	later     = "later" // deferred once
	nobody    = "nobody"
	back      = "back" // where bounces go
	far       = "far"
)

// address returns the address of a mailbox.
func address(box, token string) string {
	if box == far {
		return token + "-far@far.example"
	}
	return host.User + "-" + token + "-" + box + "@" + host.Name
}

// recipient is the recipient as it stands in a queue file.
func recipient(box, token string) string { return "T" + address(box, token) + "\x00" }

// message is one of the scenario's.
type message struct {
	name  string
	lines int
	to    []string
}

var scenario = []message{
	{"one", 300, []string{inMaildir}},
	{"two", 40, []string{inMaildir, inMbox, later, nobody, far}},
	{"three", 3, []string{inMbox}},
}

// body is the text as it was injected.
func (m message) body(token string) string {
	head := "ID-" + m.name + "-" + token
	return "Subject: " + m.name + "\n\n" + head + "\n" + strings.Repeat(head+" is long\n", m.lines) + head + " ends\n"
}

// expects lists where the message, or its bounce, has to arrive.
func (m message) expects() []string {
	var boxes []string
	for _, box := range m.to {
		if box == nobody {
			box = back
		}
		boxes = append(boxes, box)
	}
	return boxes
}

// remote stands in for qmail-remote and for the host that it talks to, which
// says yes when it has the message on disk.
const remote = `#!/bin/sh
cd "$REQMAIL_HOME/far" && file=$3.$$ || exit
tee ".$$" >/dev/null && sync ".$$" && mv ".$$" "$file" && sync . && printf 'rtaken\n\0Ktaken\n\0'
`

// layOut makes a home for recording and replaying.
func layOut(home, bin string) (*host.Host, error) {
	if err := host.LayOut(home, bin); err != nil {
		return nil, err
	}
	h := host.New(home)
	if err := h.AddMailbox(); err != nil {
		return nil, err
	}
	if err := os.Mkdir(h.Path("far"), 0o700); err != nil {
		return nil, err
	}
	if err := os.Remove(h.Path("bin/qmail-remote")); err != nil {
		return nil, err
	}
	return h, os.WriteFile(h.Path("bin/qmail-remote"), []byte(remote), 0o755)
}

// again is there once what was deferred is to be delivered.
const again = "mail/again"

// addBoxes makes a token's mailboxes.
func addBoxes(h *host.Host, token string) error {
	for _, box := range []string{inMaildir, later, back} {
		for _, dir := range []string{"tmp", "new", "cur"} {
			if err := os.MkdirAll(h.Path("mail", token, box, dir), 0o700); err != nil {
				return err
			}
		}
	}
	for box, instructions := range map[string]string{
		inMaildir: "./" + token + "/" + inMaildir + "/\n",
		inMbox:    "./" + token + "/" + inMbox + "\n",
		later:     "|test -e again || exit 111\n./" + token + "/" + later + "/\n",
		back:      "./" + token + "/" + back + "/\n",
	} {
		if err := os.WriteFile(h.Path("mail", ".qmail-"+token+"-"+box), []byte(instructions), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// inject queues a message; prefix is put before qmail-queue's command line.
func inject(h *host.Host, m message, prefix []string) error {
	envelope := "F" + address(back, token) + "\x00"
	for _, box := range m.to {
		envelope += recipient(box, token)
	}
	file := h.Path("envelope")
	if err := os.WriteFile(file, []byte(envelope+"\x00"), 0o600); err != nil {
		return err
	}
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	argv := append(prefix[:len(prefix):len(prefix)], h.Path("bin/qmail-queue"))
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env, cmd.Dir = h.Env, "/"
	cmd.Stdin, cmd.Stdout = strings.NewReader(m.body(token)), f
	return cmd.Run()
}

// crowd are so many messages that they are preprocessed together.
var crowd = func() (many []message) {
	for i := range 12 {
		many = append(many, message{fmt.Sprintf("c%d", i), 3, []string{inMaildir}})
	}
	return many
}()

// Record runs the scenario in a home and returns the trace of it: three
// messages are queued, delivered locally and remotely, deferred once, bounced,
// and ended.
func Record(h *host.Host) (string, error) { return recordOf(h, scenario, recordSend) }

// RecordCrowd does so with the crowd, which is delivered.
func RecordCrowd(h *host.Host) (string, error) { return recordOf(h, crowd, recordPlain) }

// recordOf queues messages, has send run a qmail-send that is traced, and returns
// the trace of both.
func recordOf(h *host.Host, messages []message, send func(h *host.Host, trace string) error) (string, error) {
	if err := addBoxes(h, token); err != nil {
		return "", err
	}
	var traces []string
	for _, m := range messages {
		file := h.Path("trace." + m.name)
		if err := inject(h, m, Strace(file)); err != nil {
			return "", fmt.Errorf("qmail-queue: %w", err)
		}
		traces = append(traces, file)
	}
	file := h.Path("trace.send")
	if err := send(h, file); err != nil {
		return "", err
	}
	var trace string
	for _, file := range append(traces, file) {
		text, err := os.ReadFile(file)
		if err != nil {
			return "", err
		}
		trace += string(text)
	}
	return trace, nil
}

// RecordShared has the crowd queued by clients most of whom share a qmail-queue,
// and returns the trace of that.
func RecordShared(h *host.Host) (string, error) {
	if err := addBoxes(h, token); err != nil {
		return "", err
	}
	line := ""
	for i, m := range crowd {
		envelope := netstring(m.body(token)) + netstring(address(back, token))
		for _, box := range m.to {
			envelope += netstring(address(box, token))
		}
		file := h.Path("envelope." + m.name)
		if err := os.WriteFile(file, []byte(netstring(envelope)), 0o600); err != nil {
			return "", err
		}
		line += "qmail-qmqpd <" + file
		if i > 1 { // the second one leaves what the others share
			line += " &"
		}
		line += "\n"
	}
	trace := h.Path("trace.shared")
	argv := append(Strace(trace), "sh", "-c", line+"wait")
	if out, err := h.Run("", argv...); err != nil {
		return "", fmt.Errorf("qmail-qmqpd: %w: %s", err, out)
	} else if n := strings.Count(out, "Kok"); n != len(crowd) {
		return "", fmt.Errorf("qmail-qmqpd: %d of %d messages are accepted: %s", n, len(crowd), out)
	}
	text, err := os.ReadFile(trace)
	return string(text), err
}

func netstring(s string) string { return fmt.Sprintf("%d:%s,", len(s), s) }

// watched tells which files a power cut can hurt.
func watched(file string) bool {
	return strings.HasPrefix(file, "queue/") && !strings.HasPrefix(file, "queue/lock/") ||
		strings.HasPrefix(file, "mail/"+token) || file == "far" || strings.HasPrefix(file, "far/")
}

// startTraced starts a qmail-send that is traced.
func startTraced(h *host.Host, trace string) error {
	h.Prefix = Strace(trace)
	defer func() { h.Prefix = nil }()
	return h.Start(h.Path("log"))
}

// endTraced ends it once the queue is empty; nudges have deferred mail tried.
func endTraced(h *host.Host, nudges bool) error {
	send, err := child(h)
	if err != nil {
		return err
	}
	if err := host.Until("an empty queue", func() bool {
		if nudges {
			// ALRM is for messages that are not being tried: perhaps not yet.
			_ = syscall.Kill(send, syscall.SIGALRM)
			time.Sleep(100 * time.Millisecond)
		}
		return len(queued(h)) == 0
	}); err != nil {
		return err
	}
	if err := syscall.Kill(send, syscall.SIGTERM); err != nil {
		return err
	}
	return h.Wait()
}

func recordPlain(h *host.Host, trace string) error {
	if err := startTraced(h, trace); err != nil {
		return err
	}
	defer h.Kill()
	if err := host.FileSays(h.Path("log"), "status: "); err != nil { // else a signal would end it
		return err
	}
	return endTraced(h, false)
}

func recordSend(h *host.Host, trace string) error {
	log := h.Path("log")
	if err := startTraced(h, trace); err != nil {
		return err
	}
	defer h.Kill()
	if err := host.FileSays(log, "deferral"); err != nil {
		return err
	}
	if err := host.Until("the rest to be delivered", func() bool {
		files, _ := filepath.Glob(h.Path("queue/info/*/*"))
		remotes, _ := filepath.Glob(h.Path("queue/remote/*/*"))
		return len(files) == 1 && len(remotes) == 0
	}); err != nil {
		return err
	}
	if err := os.WriteFile(h.Path(again), nil, 0o600); err != nil {
		return err
	}
	return endTraced(h, true)
}

// child returns the process that strace started, which is qmail-send by now.
func child(h *host.Host) (int, error) {
	pid := strconv.Itoa(h.PID())
	children, err := os.ReadFile("/proc/" + pid + "/task/" + pid + "/children")
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.Fields(string(children))[0])
}

// queued lists all files of messages in the queue, below the home.
func queued(h *host.Host) []string {
	var files []string
	for _, pattern := range []string{"pid/*", "intd/*", "todo/*", "bounce/*", "mess/*/*", "info/*/*", "local/*/*", "remote/*/*"} {
		found, _ := filepath.Glob(h.Path("queue", pattern))
		for _, file := range found {
			files = append(files, strings.TrimPrefix(file, h.Home+"/"))
		}
	}
	return files
}
