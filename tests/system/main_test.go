package system

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// unprivileged is the uid and gid that the tests run under when root starts
// them; no account needs to exist.
const unprivileged = 65534

// TestMain runs the tests without privileges: as root it runs a copy of
// itself under another uid, for a private home is an ordinary user's.
func TestMain(m *testing.M) {
	if zone, ok := os.LookupEnv(zoneVariable); ok {
		if err := serveZone(zone, os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	if os.Geteuid() != 0 {
		os.Exit(m.Run())
	}
	if err := asNobody(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func asNobody() error {
	// The repository may lie where only root can look: take the programs and
	// the test itself out of it.
	dir, err := os.MkdirTemp("", "reqmail-tests.")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	self, err := os.Executable()
	if err != nil {
		return err
	}
	for _, argv := range [][]string{
		{"mkdir", "-p", dir + "/tests/system", dir + "/build"},
		{"cp", "-r", "../../build/bin", "../../build/fault", dir + "/build"},
		{"cp", self, dir + "/tests/system/system.test"},
		{"chmod", "-R", "a+rX", dir},
	} {
		if out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("%v: %w: %s", argv, err, out)
		}
	}
	var args []string
	for _, arg := range os.Args[1:] {
		if !strings.HasPrefix(arg, "-test.testlogfile") { // root's, and for go test's cache
			args = append(args, arg)
		}
	}
	cmd := exec.Command(dir+"/tests/system/system.test", args...)
	cmd.Dir = dir + "/tests/system"
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: unprivileged, Gid: unprivileged}}
	return cmd.Run()
}
