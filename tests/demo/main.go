// Demo shows reqmail at work, on a private qmail home and without root: mail
// is injected and delivered, deferred by a remote host, retried with the
// signal that every qmail administrator knows, and bounced.
//
// Synopsis: demo [-run] BINDIR
//
// BINDIR holds the built programs. With -run the same system keeps running in
// the foreground, its log on standard output, until it is interrupted. The
// exit code is 0 only if every step held.
//
// The home is a temporary directory that is removed at the end. As root, demo
// drops to an unprivileged uid first. It lives in a pid namespace of its own
// where the kernel allows that, so that its ps and kill lines never meet
// another qmail on the host.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/reqmail/reqmail/packaging/layout"
	"github.com/reqmail/reqmail/tests/host"
)

// stageVariable tells a copy of demo that it is confined already and which
// home to use.
const stageVariable = "REQMAIL_DEMO_HOME"

// unprivileged is the uid and gid that demo uses when it is run as root:
// "nobody" and "nogroup" of most systems; no account needs to exist.
const unprivileged = 65534

func main() {
	keepRunning := flag.Bool("run", false, "keep the system running until interrupted")
	flag.Parse()
	if err := run(*keepRunning, flag.Arg(0)); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) { // else the confined copy has said why
			fmt.Fprintln(os.Stderr, "demo:", err)
		}
		os.Exit(1)
	}
}

func run(keepRunning bool, binDir string) error {
	if home := os.Getenv(stageVariable); home != "" {
		os.Unsetenv(stageVariable)
		if keepRunning {
			return serve(home)
		}
		return show(home)
	}
	if binDir == "" {
		return errors.New("usage: demo [-run] BINDIR")
	}
	home, err := os.MkdirTemp("", "reqmail-demo.")
	if err != nil {
		return err
	}
	defer os.RemoveAll(home)
	if err := host.LayOut(home, binDir); err != nil {
		return fmt.Errorf("laying out %s: %w", home, err)
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	if err := layout.CopyFile(self, filepath.Join(home, "demo"), 0o755); err != nil {
		return err
	}
	return confined(home, keepRunning)
}

// confined runs a copy of this program, which lies in the home where any uid
// can reach it, without privileges and, if possible, in a pid namespace.
func confined(home string, keepRunning bool) error {
	self := filepath.Join(home, "demo")
	argv := []string{self}
	if keepRunning {
		argv = append(argv, "-run")
	}
	isolate := []string{"unshare", "--user", "--map-current-user", "--pid", "--fork", "--kill-child", "--mount-proc"}
	if os.Geteuid() == 0 {
		id := strconv.Itoa(unprivileged)
		if err := chownTree(home, unprivileged); err != nil {
			return err
		}
		drop := []string{"setpriv", "--reuid", id, "--regid", id, "--clear-groups", "--no-new-privs"}
		argv = append(drop, argv...)
		isolate = []string{"unshare", "--pid", "--fork", "--kill-child", "--mount-proc"}
	}
	if exec.Command(isolate[0], append(isolate[1:], "true")...).Run() == nil {
		argv = append(isolate, argv...)
	} else {
		fmt.Println("(no pid namespace to be had here; a qmail-send of this host would hear the signals too)")
		if len(pidsOf("qmail-send")) > 0 {
			return errors.New("another qmail-send runs on this host; not sending signals beside it")
		}
	}
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Dir = home
	cmd.Env = append(os.Environ(), stageVariable+"="+home)
	// Ctrl-C is for the copy; we outlive it and tidy up.
	signal.Notify(make(chan os.Signal, 1), os.Interrupt)
	return cmd.Run()
}

func chownTree(dir string, id int) error {
	return filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, id, id)
	})
}

// pidsOf lists the processes whose program is called name.
func pidsOf(name string) []string {
	out, err := exec.Command("pidof", name).Output()
	if err != nil {
		return nil
	}
	return strings.Fields(string(out))
}
