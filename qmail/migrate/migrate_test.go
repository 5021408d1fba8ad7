package migrate

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/reqmail/reqmail/packaging/layout"

	"github.com/reqmail/reqmail/queue/orders"
)

// The builds that a fake host's programs are copies of: what counts is that
// one is built from this module and the other is a native program of another.
type builds struct{ ours, theirs string }

// build makes a program from source in a module of that name.
func build(t *testing.T, module string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"go.mod":          "module " + module + "\n\ngo 1.26\n",
		"cmd/try/main.go": "package main\n\nfunc main() {}\n",
	} {
		put(t, filepath.Join(dir, name), text, 0o644)
	}
	cmd := exec.Command("go", "build", "-ldflags=-s -w", "-o", "try", "./cmd/try")
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-mod=mod", "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return filepath.Join(dir, "try")
}

func put(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

const wrapper = "#!/bin/sh\nexec \"$0.moved\" \"$@\"\n"

// fake is a host below a temporary folder, with wrappers in front of
// qmail-queue and a vendor's program, and with our programs beside it.
func fake(t *testing.T, b builds) *Host {
	t.Helper()
	h := &Host{Home: "/var/qmail", Root: t.TempDir(), From: t.TempDir()}
	if err := layout.Install(h.Home, h.home(), layout.Sources{}, layout.Caller().Chown); err != nil {
		t.Fatal(err)
	}
	theirs, ours := content(t, b.theirs), content(t, b.ours)
	for name, mode := range map[string]os.FileMode{
		"qmail-queue.moved": 0o711 | os.ModeSetuid, "qmail-send": 0o711, "qmail-smtpd": 0o755, "qmail-start": 0o700, "relaylock": 0o755,
	} {
		put(t, h.home("bin", name), theirs+name, mode)
	}
	put(t, h.home("bin/qmail-queue"), wrapper, 0o755)
	put(t, h.home("bin/sendmail"), "#!/bin/sh\nexec sendmail-qmail \"$@\"\n", 0o755)
	for _, name := range []string{"qmail-queue", "qmail-send", "qmail-smtpd", "qmail-start", "sendmail", "qmail-remote", "reqmail-ext", "reqmail"} {
		put(t, filepath.Join(h.From, name), ours+name, 0o755)
	}
	return h
}

func content(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// state is what bin/ has: whose each file is, and its mode.
func (h *Host) state(t *testing.T) map[string]string {
	t.Helper()
	files, err := os.ReadDir(h.home("bin"))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, f := range files {
		a, err := examine(h.home("bin", f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		mode, _ := a.Mode.MarshalText()
		all[f.Name()] = string(mode) + " " + a.SHA256
	}
	return all
}

func (h *Host) swap(between func(string), names ...string) (Exit, string, error) {
	var out bytes.Buffer
	s := Swap{Host: *h, Report: &Report{Out: &out}, Names: names, EvenIfBad: true, NoTest: true, Between: between}
	code, err := s.Run(context.Background())
	return code, out.String(), err
}

func (h *Host) rollback(between func(string)) (Exit, string, error) {
	var out bytes.Buffer
	b := Rollback{Host: *h, Report: &Report{Out: &out}, All: true, Between: between}
	code, err := b.Run(context.Background())
	return code, out.String(), err
}

func TestMigrate(t *testing.T) {
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("no go command to build programs with")
	}
	b := builds{build(t, strings.TrimSuffix(module, "/")), build(t, "example.com/other")}
	t.Run("swap and rollback", func(t *testing.T) { swapAndBack(t, b) })
	t.Run("one program", func(t *testing.T) { oneProgram(t, b) })
	t.Run("dry run", func(t *testing.T) { dryRun(t, b) })
	t.Run("ended at each step", func(t *testing.T) { endedAtEachStep(t, b) })
	t.Run("interrupted", func(t *testing.T) { interrupted(t, b) })
	t.Run("damaged source", func(t *testing.T) { damagedSource(t, b) })
	t.Run("held mail", func(t *testing.T) { heldMail(t, b) })
	t.Run("replaced by somebody else", func(t *testing.T) { replacedSince(t, b) })
}

func swapAndBack(t *testing.T, b builds) {
	h := fake(t, b)
	before := h.state(t)
	if code, out, err := h.swap(nil); code == Failed || err != nil {
		t.Fatalf("%v %v\n%s", code, err, out)
	}
	after := h.state(t)
	for name, mode := range map[string]string{"qmail-queue.moved": "4711", "qmail-send": "0711", "qmail-start": "0700", "reqmail-ext": "0755"} {
		if whose, err := identify(h.home("bin", name), name); whose != ours || err != nil {
			t.Errorf("%s is not ours (%v)", name, err)
		}
		if !strings.HasPrefix(after[name], mode+" ") {
			t.Errorf("%s has %s, want mode %s", name, after[name], mode)
		}
	}
	for _, name := range []string{"qmail-queue", "relaylock", "sendmail"} {
		if after[name] != before[name] {
			t.Errorf("%s is not qmail's, and has been changed", name)
		}
	}
	if _, there := after["qmail-remote"]; there {
		t.Error("qmail-remote has been added: a swap only replaces")
	}
	if code, out, err := h.swap(nil); code == Failed || err != nil || !strings.Contains(out, "in place already") {
		t.Errorf("again: %v %v\n%s", code, err, out)
	}
	if code, out, err := h.rollback(nil); code == Failed || err != nil {
		t.Fatalf("%v %v\n%s", code, err, out)
	}
	if back := h.state(t); !maps.Equal(back, before) {
		t.Errorf("after the rollback:\n%v\nbefore:\n%v", back, before)
	}
}

func oneProgram(t *testing.T, b builds) {
	h := fake(t, b)
	before := h.state(t)
	if code, out, err := h.swap(nil, "qmail-smtpd"); code == Failed || err != nil {
		t.Fatalf("%v %v\n%s", code, err, out)
	}
	after := h.state(t)
	if after["qmail-smtpd"] == before["qmail-smtpd"] || after["reqmail-ext"] == "" {
		t.Error("qmail-smtpd, or reqmail-ext which it becomes, is not there")
	}
	if after["qmail-send"] != before["qmail-send"] {
		t.Error("qmail-send was not named, and has been replaced")
	}
	var wrong *UsageError
	if code, _, err := h.swap(nil, "qmail-nonsense"); code != Usage || !errors.As(err, &wrong) {
		t.Errorf("a name that no program has: %v %v", code, err)
	}
}

func dryRun(t *testing.T, b builds) {
	h := fake(t, b)
	before := h.state(t)
	var out bytes.Buffer
	s := Swap{Host: *h, Report: &Report{Out: &out}, EvenIfBad: true, NoTest: true, DryRun: true}
	if code, err := s.Run(context.Background()); code == Failed || err != nil {
		t.Fatalf("%v %v\n%s", code, err, &out)
	}
	if !maps.Equal(h.state(t), before) {
		t.Error("a dry run has changed bin/")
	}
	if _, err := os.Stat(h.own()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a dry run has made %s", h.own())
	}
	if !strings.Contains(out.String(), "would: replace: /var/qmail/bin/qmail-queue.moved") {
		t.Errorf("what it would do:\n%s", &out)
	}
}

// end is what Between throws: the process is gone, as far as files tell.
type end struct{}

// until runs a command that ends before its nth step, and reports whether it
// came to its own end.
func until(n int, command func(between func(string))) (finished bool) {
	defer func() {
		if r := recover(); r != nil {
			if _, ended := r.(end); !ended {
				panic(r)
			}
		}
	}()
	command(func(string) {
		if n--; n < 0 {
			panic(end{})
		}
	})
	return true
}

// endedAtEachStep: whatever step a swap or rollback ends before, every place
// has a whole program, and the next swap and rollback lead back to the start.
func endedAtEachStep(t *testing.T, b builds) {
	h := fake(t, b)
	before := h.state(t)
	whole := func(what string, n int) {
		for name := range before {
			now, err := examine(h.home("bin", name))
			if err != nil {
				t.Fatalf("%s ended before step %d: %v", what, n, err)
			}
			kept := strings.HasSuffix(before[name], " "+now.SHA256)
			if fresh, err := hashFile(filepath.Join(h.From, strings.TrimSuffix(name, ".moved"))); !kept && (err != nil || fresh != now.SHA256) {
				t.Fatalf("%s ended before step %d: %s is neither the old nor the new program", what, n, name)
			}
		}
	}
	for n := 0; ; n++ {
		finished := until(n, func(between func(string)) { _, _, _ = h.swap(between) })
		whole("swap", n)
		var undone bool
		for m := n; !undone; m++ {
			undone = until(m, func(between func(string)) { _, _, _ = h.rollback(between) })
			whole("rollback", m)
		}
		if back := h.state(t); !maps.Equal(back, before) {
			t.Fatalf("swap ended before step %d, rolled back:\n%v\nbefore:\n%v", n, back, before)
		}
		if finished {
			return
		}
	}
}

// interrupted: somebody who asks a swap to stop half-way gets a host on which
// nothing is undone, and the next swap picks it up.
func interrupted(t *testing.T, b builds) {
	h := fake(t, b)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var out bytes.Buffer
	s := Swap{Host: *h, Report: &Report{Out: &out}, EvenIfBad: true, NoTest: true, Between: func(step string) {
		if strings.HasPrefix(step, "replace ") && strings.HasSuffix(step, "/qmail-send") {
			cancel()
		}
	}}
	if code, err := s.Run(ctx); code != Failed || err != nil || !strings.Contains(out.String(), "interrupted; nothing is broken") {
		t.Errorf("%v %v\n%s", code, err, &out)
	}
	if whose, err := identify(h.home("bin/qmail-smtpd"), "qmail-smtpd"); whose != qmails || err != nil {
		t.Errorf("qmail-smtpd was to come after the interruption: %v %v", whose, err)
	}
	if code, text, err := h.swap(nil); code == Failed || err != nil || !strings.Contains(text, "picked up: swapping was not finished") {
		t.Errorf("again: %v %v\n%s", code, err, text)
	}
	if whose, err := identify(h.home("bin/qmail-smtpd"), "qmail-smtpd"); whose != ours || err != nil {
		t.Errorf("qmail-smtpd after all: %v %v", whose, err)
	}
}

// damagedSource: a program that changes between plan and copy is not used, and
// the swap takes everything back by itself.
func damagedSource(t *testing.T, b builds) {
	h := fake(t, b)
	before := h.state(t)
	code, out, _ := h.swap(func(step string) {
		if strings.HasPrefix(step, "write ") && strings.HasSuffix(step, "/qmail-start") {
			put(t, filepath.Join(h.From, "qmail-start"), "half", 0o755)
		}
	})
	if code != Failed || !strings.Contains(out, "the old programs are back") {
		t.Errorf("%v\n%s", code, out)
	}
	if back := h.state(t); !maps.Equal(back, before) {
		t.Errorf("after a swap that failed:\n%v\nbefore:\n%v", back, before)
	}
}

func replacedSince(t *testing.T, b builds) {
	h := fake(t, b)
	if code, out, err := h.swap(nil); code == Failed || err != nil {
		t.Fatalf("%v %v\n%s", code, err, out)
	}
	put(t, h.home("bin/qmail-send"), "an update's", 0o711)
	code, out, err := h.rollback(nil)
	if code != Look || err != nil || !strings.Contains(out, "replaced by somebody else") {
		t.Errorf("%v %v\n%s", code, err, out)
	}
	if got := content(t, h.home("bin/qmail-send")); got != "an update's" {
		t.Error("the update's qmail-send is gone")
	}
}

// heldMail: C qmail would deliver what an administrator holds back, so there is
// no way back to it unless he says so.
func heldMail(t *testing.T, b builds) {
	h := fake(t, b)
	before := h.state(t)
	if code, out, err := h.swap(nil); code == Failed || err != nil {
		t.Fatalf("%v %v\n%s", code, err, out)
	}
	swapped := h.state(t)
	put(t, h.home("queue", orders.File), `{"id":17,"order":{"birth":1,"held":true}}`+"\n", 0o600)
	code, out, _ := h.rollback(nil)
	if code != Failed || !strings.Contains(out, "1 message is held") || !maps.Equal(h.state(t), swapped) {
		t.Errorf("a rollback with held mail: %v\n%s", code, out)
	}
	insisting := Rollback{Host: *h, Report: &Report{Out: io.Discard}, EvenIfHeld: true}
	if code, err := insisting.Run(context.Background()); code == Failed || err != nil || !maps.Equal(h.state(t), before) {
		t.Errorf("insisting: %v, %v", code, err)
	}
}
