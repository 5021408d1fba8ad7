package spf

import (
	"fmt"
	"os"
	"os/exec"
	"testing"

	"golang.org/x/sys/unix"
)

// inside says that the process has a network and an /etc/resolv.conf of its
// own.
const inside = "REQMAIL_TEST_NAMESPACE"

// TestMain runs the tests in namespaces of their own, so that a name server
// can be the one that programs ask.
func TestMain(m *testing.M) {
	if os.Getenv(inside) == "" {
		argv := []string{"--mount", "--net"}
		if os.Geteuid() != 0 {
			argv = append([]string{"--user", "--map-root-user"}, argv...)
		}
		if err := exec.Command("unshare", append(argv, "true")...).Run(); err != nil {
			os.Exit(m.Run()) // every test skips
		}
		cmd := exec.Command("unshare", append(append(argv, os.Args[0]), os.Args[1:]...)...)
		cmd.Env = append(os.Environ(), inside+"=1")
		cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
		if err := cmd.Run(); err != nil {
			os.Exit(1)
		}
		return
	}
	if err := isolate(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// isolate brings up the loopback interface and makes it the way to the name
// server.
func isolate() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	lo.SetUint16(unix.IFF_UP)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo); err != nil {
		return fmt.Errorf("unable to bring up lo: %w", err)
	}
	conf, err := os.CreateTemp("", "resolv.conf.")
	if err != nil {
		return err
	}
	defer os.Remove(conf.Name())
	if _, err := conf.WriteString("nameserver 127.0.0.1\noptions timeout:1 attempts:1\n"); err != nil {
		return err
	}
	if err := conf.Close(); err != nil {
		return err
	}
	if err := unix.Mount("", "/", "", unix.MS_PRIVATE|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("unable to make mounts private: %w", err)
	}
	if err := unix.Mount(conf.Name(), "/etc/resolv.conf", "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("unable to mount a resolv.conf: %w", err)
	}
	return nil
}
