// Package plesk swaps the programs of a simulated Plesk host: xinetd with
// Plesk's chains, wrappers in front of three programs, mailboxes of one
// account, and the old programs under their own names.
package plesk

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/reqmail/reqmail/packaging/layout"
)

// inside marks the process that runs in the host's namespaces.
const inside = "REQMAIL_PLESK_INSIDE"

// TestPlesk enters a host of its own and runs TestHost there.
func TestPlesk(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, for namespaces and accounts")
	}
	for _, program := range []string{"xinetd", "swaks", "openssl", "pidof"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("no %s here", program)
		}
	}
	// The shell is the host's init: it waits for orphans.
	cmd := exec.Command("/bin/sh", "-c", `"$0" "$@"; exit $?`, os.Args[0], "-test.run=^TestHost$", "-test.v", "-test.timeout=10m")
	cmd.Env = append(os.Environ(), inside+"="+t.TempDir())
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWNET | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC}
	out, err := cmd.CombinedOutput()
	if err != nil || testing.Verbose() {
		t.Logf("%s", out)
	}
	if err != nil {
		t.Fatalf("in the host: %v", err)
	}
}

// account is a line of /etc/passwd; the numbers are Plesk's usual ones.
type account struct {
	name     string
	uid, gid int
	home     string
}

var accounts = []account{
	{"root", 0, 0, "/root"}, {"popuser", 110, 31, "/var/qmail/popuser"}, {"alias", 2021, 2020, "/var/qmail/alias"},
	{"qmaild", 2020, 2020, "/var/qmail"}, {"qmaill", 2022, 2020, "/var/qmail"}, {"qmailp", 2023, 2020, "/var/qmail"},
	{"qmailq", 2520, 2520, "/var/qmail"}, {"qmailr", 2521, 2520, "/var/qmail"}, {"qmails", 2522, 2520, "/var/qmail"},
}

const groups = "root:x:0:\npopuser:x:31:\nnofiles:x:2020:\nqmail:x:2520:\n"

// enter makes this process' namespaces a host: private /etc, /var, /opt and
// /dev, loopback, and a qmail home with the old programs.
func enter() error {
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("making mounts private: %w", err)
	}
	if err := syscall.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return fmt.Errorf("mounting /proc: %w", err)
	}
	if err := syscall.Sethostname([]byte("plesk.example")); err != nil {
		return err
	}
	if out, err := exec.Command("ip", "link", "set", "lo", "up").CombinedOutput(); err != nil {
		return fmt.Errorf("ip link: %w: %s", err, out)
	}
	if err := device(os.Getenv(inside) + "/dev"); err != nil {
		return err
	}
	for _, dir := range []string{"/etc", "/var", "/opt"} {
		if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "mode=755"); err != nil {
			return fmt.Errorf("mounting %s: %w", dir, err)
		}
	}
	return furnish()
}

// device puts a /dev in place in which only this host has a /dev/log.
func device(dir string) error {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "mode=755"); err != nil {
		return fmt.Errorf("mounting %s: %w", dir, err)
	}
	for _, name := range []string{"null", "zero", "random", "urandom"} {
		var st syscall.Stat_t
		if err := syscall.Stat("/dev/"+name, &st); err != nil {
			return err
		}
		if err := syscall.Mknod(filepath.Join(dir, name), syscall.S_IFCHR|0o666, int(st.Rdev)); err != nil {
			return fmt.Errorf("making /dev/%s: %w", name, err)
		}
		if err := os.Chmod(filepath.Join(dir, name), 0o666); err != nil {
			return err
		}
	}
	if err := os.Symlink("/proc/self/fd", filepath.Join(dir, "fd")); err != nil {
		return err
	}
	return syscall.Mount(dir, "/dev", "", syscall.MS_MOVE, "")
}

// furnish writes what a Plesk host has in its files.
func furnish() error {
	if err := install(); err != nil {
		return err
	}
	files := []struct {
		path, text string
		mode       os.FileMode
	}{
		{"/etc/services", "smtp 25/tcp\nsmtps 465/tcp\n", 0o644},
		{"/etc/protocols", "tcp 6 TCP\nudp 17 UDP\n", 0o644},
		{"/etc/hosts", "127.0.0.1 localhost\n", 0o644},
		{"/etc/resolv.conf", "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n", 0o644},
		{"/opt/psa/version", "18.0.60 Debian 12.0\n", 0o644},
		{"/etc/init.d/qmail", initScript, 0o755},
		{"/etc/xinetd.conf", "includedir /etc/xinetd.d\n", 0o644},
		{"/etc/xinetd.d/smtp_psa", service("smtp", "SMTPAUTH=1", rblsmtpd()), 0o644},
		{"/etc/xinetd.d/smtps_psa", service("smtps", "SMTPAUTH=1 SMTPS=1", ""), 0o644},
		{"/var/log/maillog", "", 0o640},
		{"/var/log/handlers", "", 0o666},
		{"/var/run/xinetd.pid", "", 0o644},
		{"/var/qmail/control/me", "plesk.example\n", 0o644},
		{"/var/qmail/control/locals", "localhost\n", 0o644},
		{"/var/qmail/control/rcpthosts", "example.com\n", 0o644},
		{"/var/qmail/control/virtualdomains", "example.com:12\n", 0o644},
		{"/var/qmail/users/assign", assign, 0o644},
		{"/var/qmail/alias/.qmail-postmaster", "&info@example.com\n", 0o644},
		{"/var/qmail/mailnames/example.com/info/.qmail", "| true\n./Maildir/\n", 0o600},
		{"/var/qmail/mailnames/example.com/.qmail-default", "|bouncesaying 'This address no longer accepts mail.'\n", 0o600},
	}
	for _, f := range files {
		if err := os.MkdirAll(filepath.Dir(f.path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(f.path, []byte(f.text), f.mode); err != nil {
			return err
		}
		if err := os.Chmod(f.path, f.mode); err != nil {
			return err
		}
	}
	script := `set -e
cd /var/qmail
bin/qmail-newu
bin/maildirmake mailnames/example.com/info/Maildir
chown -R popuser:popuser mailnames
chmod 700 mailnames/example.com/info
for p in qmail-queue qmail-local qmail-remote; do
	mv bin/$p bin/$p.moved
	printf '#!/bin/sh\necho %s >> /var/log/handlers\nexec /var/qmail/bin/%s.moved "$@"\n' $p $p > bin/$p
	chmod 755 bin/$p
done`
	if out, err := exec.Command("/bin/sh", "-c", script).CombinedOutput(); err != nil {
		return fmt.Errorf("furnishing the home: %w: %s", err, out)
	}
	return nil
}

// oldBin returns a folder of the programs that the host has first: C's where
// REQMAIL_CBIN names them, else stand-ins, our own ones with a byte more.
func oldBin() (string, error) {
	if dir := os.Getenv("REQMAIL_CBIN"); dir != "" {
		return dir, nil
	}
	dir := os.Getenv(inside) + "/old"
	if err := os.Mkdir(dir, 0o755); err != nil {
		return "", err
	}
	programs, err := filepath.Glob(newBin + "/*")
	if err != nil {
		return "", err
	}
	for _, path := range programs {
		name := filepath.Base(path)
		if strings.HasPrefix(name, "reqmail") {
			continue
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return "", err
		}
		if err := os.WriteFile(filepath.Join(dir, name), append(text, '\n'), 0o755); err != nil {
			return "", err
		}
	}
	return dir, nil
}

// newBin is where our programs are.
const newBin = "../../build/bin"

// install lays /var/qmail out with the old programs and what Plesk puts beside
// them.
func install() error {
	old, err := oldBin()
	if err != nil {
		return err
	}
	owners, err := addAccounts()
	if err != nil {
		return err
	}
	if err := layout.Install("/var/qmail", "/var/qmail", layout.Sources{Bin: old}, owners.Chown); err != nil {
		return err
	}
	for name, text := range map[string]string{"relaylock": relaylock, "smtp_auth": smtpAuth, "cmd5checkpw": cmd5checkpw, "true": "#!/bin/sh\nexit 0\n"} {
		if err := os.WriteFile("/var/qmail/bin/"+name, []byte(text), 0o755); err != nil {
			return err
		}
	}
	return nil
}

// addAccounts writes the host's users and groups.
func addAccounts() (layout.Accounts, error) {
	var passwd strings.Builder
	for _, a := range accounts {
		fmt.Fprintf(&passwd, "%s:x:%d:%d::%s:/bin/false\n", a.name, a.uid, a.gid, a.home)
	}
	for path, text := range map[string]string{"/etc/passwd": passwd.String(), "/etc/group": groups} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			return layout.Accounts{}, err
		}
	}
	return layout.FindAccounts()
}
