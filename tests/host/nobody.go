package host

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// unprivileged is the uid and gid that tests run under when root starts them;
// no account needs to exist.
const unprivileged = 65534

// AsNobody runs the test program of the package in the working directory
// without privileges, for a private home is an ordinary user's, and returns
// how it ended. build are folders of build that it uses.
func AsNobody(build ...string) error {
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
	cwd, err := os.Getwd()
	if err != nil {
		return err
	}
	work := filepath.Join(dir, "tests", filepath.Base(cwd))
	program := filepath.Join(work, "test")
	commands := [][]string{{"mkdir", "-p", work, dir + "/build"}, {"cp", self, program}}
	for _, b := range build {
		commands = append(commands, []string{"cp", "-r", "../../build/" + b, dir + "/build"})
	}
	for _, argv := range append(commands, []string{"chmod", "-R", "a+rX", dir}) {
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
	cmd := exec.Command(program, args...)
	cmd.Dir = work
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: unprivileged, Gid: unprivileged}}
	return cmd.Run()
}
