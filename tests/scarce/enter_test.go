// Package scarce tests what becomes of mail where the host runs out of
// something: disk, inodes, descriptors, processes, a log. It needs root, which
// gives it file systems of its own; the mail system runs without privileges.
package scarce

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/reqmail/reqmail/tests/host"
)

// volumes names the folder of the file systems, and the socket at which they
// are remounted; stage tells that this process has its own mounts.
const (
	volumes = "REQMAIL_SCARCE_VOLUMES"
	stage   = "REQMAIL_SCARCE_STAGE"
)

// kinds are the file systems, with what is scarce on them.
var kinds = map[string]string{
	"space":  "size=512k",
	"inodes": "nr_inodes=160,size=16m",
	"mail":   "size=512k",
	"frozen": "size=16m",
	"soak":   "size=16m",
}

func TestMain(m *testing.M) {
	switch {
	case os.Geteuid() != 0:
		os.Exit(m.Run())
	case os.Getenv(stage) == "":
		leave(enter())
	default:
		leave(furnish())
	}
}

func leave(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// enter runs the tests again with mounts of their own.
func enter() error {
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), stage+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	return cmd.Run()
}

// furnish makes the file systems and runs the tests as somebody else.
func furnish() error {
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("making mounts private: %w", err)
	}
	dir, err := os.MkdirTemp("", "reqmail-scarce.")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	for kind, options := range kinds {
		place := filepath.Join(dir, kind)
		if err := os.Mkdir(place, 0o755); err != nil {
			return err
		}
		if err := syscall.Mount("tmpfs", place, "tmpfs", 0, options+",mode=777"); err != nil {
			return fmt.Errorf("mounting %s: %w", place, err)
		}
		defer func() { _ = syscall.Unmount(place, syscall.MNT_DETACH) }()
	}
	if err := hideSyslog(dir); err != nil {
		return err
	}
	listener, err := net.Listen("unix", filepath.Join(dir, "remount"))
	if err != nil {
		return err
	}
	defer listener.Close()
	go serveRemounts(listener, dir)
	for _, path := range []string{dir, filepath.Join(dir, "remount")} {
		if err := os.Chmod(path, 0o777); err != nil {
			return err
		}
	}
	if err := os.Setenv(volumes, dir); err != nil {
		return err
	}
	return host.AsNobody("bin")
}

// hideSyslog puts a file that nobody listens at in the place of the host's
// log, if that has one.
func hideSyslog(dir string) error {
	if _, err := os.Stat("/dev/log"); err != nil {
		return nil
	}
	silent := filepath.Join(dir, "silent")
	if err := os.WriteFile(silent, nil, 0o600); err != nil {
		return err
	}
	return syscall.Mount(silent, "/dev/log", "", syscall.MS_BIND, "")
}

// serveRemounts makes the file system frozen read-only, or ends that.
func serveRemounts(listener net.Listener, dir string) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		line, _ := bufio.NewReader(conn).ReadString('\n')
		flags := uintptr(syscall.MS_REMOUNT)
		if strings.TrimSpace(line) == "ro" {
			flags |= syscall.MS_RDONLY
		}
		answer := "done"
		if err := syscall.Mount("", filepath.Join(dir, "frozen"), "", flags, ""); err != nil {
			answer = err.Error()
		}
		fmt.Fprintln(conn, answer)
		conn.Close()
	}
}

// remount asks for it; how is ro or rw.
func remount(t *testing.T, how string) {
	t.Helper()
	conn, err := net.Dial("unix", filepath.Join(os.Getenv(volumes), "remount"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintln(conn, how)
	if answer, _ := bufio.NewReader(conn).ReadString('\n'); answer != "done\n" {
		t.Fatalf("remounting %s: %s", how, answer)
	}
}

// volume returns the place of a file system.
func volume(t *testing.T, kind string) string {
	t.Helper()
	dir := os.Getenv(volumes)
	if dir == "" {
		t.Skip("only root has file systems to spare")
	}
	return filepath.Join(dir, kind)
}
