package migrate

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// means is how this host starts qmail-send anew.
type means struct {
	kind   string // "supervise", "systemd" or "init script"
	object string // service folder, unit or script
	argv   []string
}

// String is the command as an administrator would type it.
func (m means) String() string { return strings.Join(m.argv, " ") }

// restartScript stops by an init script, waits for qmail-send, and starts. It
// is a process of its own: were we killed in between, it still starts. A
// qmail-send that has ended but that nobody has waited for, as in a container
// without init, has no exe.
const restartScript = `trap '' HUP INT PIPE
"$0" stop
n=0
while [ "$1" -gt 0 ] && [ -e "/proc/$1/exe" ] && [ $n -lt "$2" ]; do sleep 1; n=$((n+1)); done
exec "$0" start`

// findMeans looks for what starts qmail-send here. supervise comes first, for
// such a host often has a unit or script that starts or talks to it.
func (h *Host) findMeans(patience time.Duration) (means, bool) {
	for _, run := range h.glob("/service/*/run", "/etc/service/*/run", "/var/service/*/run", h.Home+"/supervise/*/run") {
		if h.startsQmail(run) {
			return superviseMeans(filepath.Dir(run)), true
		}
	}
	if _, err := os.Stat(h.path("/run/systemd/system")); err == nil {
		for _, unit := range h.units() {
			if h.startsQmail(unit) {
				return means{"systemd", h.bare(unit), []string{"systemctl", "restart", filepath.Base(unit)}}, true
			}
		}
	}
	for _, script := range h.glob("/etc/init.d/qmail", "/etc/rc.d/init.d/qmail", "/etc/init.d/qmail-send", "/etc/init.d/qmailctl") {
		seconds := strconv.Itoa(int(patience / time.Second))
		return means{"init script", h.bare(script), []string{"/bin/sh", "-c", restartScript, script, strconv.Itoa(h.sendPID()), seconds}}, true
	}
	return means{}, false
}

// superviseMeans has TERM sent to qmail-send, which supervise starts again.
func superviseMeans(dir string) means {
	for _, svc := range []string{"svc", "/command/svc", "/usr/local/bin/svc"} {
		if path, err := exec.LookPath(svc); err == nil {
			return means{"supervise", dir, []string{path, "-t", dir}}
		}
	}
	return means{"supervise", dir, []string{"sv", "term", dir}} // runit
}

// units returns the systemd units of services; the administrator's come first.
func (h *Host) units() []string {
	return h.glob("/etc/systemd/system/*.service", "/run/systemd/system/*.service",
		"/usr/lib/systemd/system/*.service", "/lib/systemd/system/*.service")
}

// startsQmail reports whether a run script or unit, or a script that it names,
// runs qmail-start.
func (h *Host) startsQmail(file string) bool {
	const starter = "qmail-start"
	text := readText(file)
	if strings.Contains(text, starter) {
		return true
	}
	return slices.ContainsFunc(words(text), func(word string) bool {
		return strings.HasPrefix(word, "/") && strings.Contains(readText(h.path(word)), starter)
	})
}

// words splits a script or configuration roughly as a shell does.
func words(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(" \t\n\"'`;=()", r) })
}

// readText returns the content of a small file; "" of a large or unreadable
// one, which is no script.
func readText(path string) string {
	const most = 64 << 10
	if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() || info.Size() > most {
		return ""
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return string(text)
}

// restarting is how a command starts anew the daemons whose programs it has
// exchanged.
type restarting struct {
	*Host
	report   *Report
	omit     bool // the administrator does it
	dry      bool
	patience time.Duration // how long qmail-send may take to finish its deliveries
	step     func(name, object, text string, do func() error) error
}

// daemons restarts the host's mail system if a daemon of it runs a program
// that the entries have exchanged. A daemon that runs the old program goes on
// delivering, so that a host whose means are unknown is only told.
func (r restarting) daemons(ctx context.Context, entries []Entry) error {
	names := r.outdated()
	if r.dry {
		names = r.running(entries)
	}
	if len(names) == 0 {
		return nil
	}
	who := strings.Join(names, ", ")
	m, known := r.findMeans(r.patience)
	if r.omit || !known {
		r.report.say(Note, "restart", who, "still runs the program of before: restart qmail when it suits you")
		return nil
	}
	return r.step("restart", m.String(), "for "+who, func() error { return r.restart(ctx, m, r.patience) })
}

// running returns which of the entries' programs run as daemons.
func (h *Host) running(entries []Entry) []string {
	var names []string
	for _, p := range h.processes() {
		if slices.ContainsFunc(entries, func(e Entry) bool { return e.Name == p.name }) {
			names = append(names, p.name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// restart runs the means and waits until no daemon runs a replaced program.
// The command has a session and a log of its own, so that neither Ctrl-C nor
// our end stops it half-way.
func (h *Host) restart(ctx context.Context, m means, patience time.Duration) error {
	path := filepath.Join(h.own(), "restart.log")
	log, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(m.argv[0], m.argv[1:]...)
	cmd.Stdout, cmd.Stderr, cmd.Dir = log, log, h.path("/")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("running %s: %w", m, err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case err = <-ended:
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(patience):
		err = errors.New("it does not end")
	}
	if err != nil {
		return fmt.Errorf("running %s: %w (%s)", m.object, err, lastLine(path))
	}
	return h.awaitRestart(ctx, patience)
}

func lastLine(path string) string {
	lines := strings.Split(strings.TrimSpace(readText(path)), "\n")
	return lines[len(lines)-1]
}

func (h *Host) awaitRestart(ctx context.Context, patience time.Duration) error {
	deadline := time.Now().Add(patience)
	for h.sendPID() == 0 || len(h.outdated()) > 0 {
		if time.Now().After(deadline) {
			return fmt.Errorf("qmail-send has not been started anew after %v", patience)
		}
		if err := pause(ctx, 200*time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
