package ids

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"slices"
	"strings"
	"syscall"
	"testing"
)

func TestLookup(t *testing.T) {
	root, ok, err := Lookup("root")
	if err != nil || !ok || root.UID != 0 || root.Home == "" {
		t.Errorf("root: %+v, %v, %v", root, ok, err)
	}
	for _, name := range []string{"", "no-such-user-here", "root:x", "ro\not", "roo"} {
		if u, ok, err := Lookup(name); ok || err != nil {
			t.Errorf("%q: %+v, %v, %v", name, u, ok, err)
		}
	}
}

// notPrivate makes the home root's, so that the accounts count.
func notPrivate(t *testing.T) { t.Setenv("REQMAIL_HOME", "/") }

func TestNames(t *testing.T) {
	notPrivate(t)
	if uid, err := UID("root"); uid != 0 || err != nil {
		t.Errorf("user root: %d, %v", uid, err)
	}
	if gid, err := GID("root"); gid != 0 || err != nil {
		t.Errorf("group root: %d, %v", gid, err)
	}
	nobody, err := user.Lookup("nobody")
	if err != nil {
		t.Skip("needs the account nobody: ", err)
	}
	if uid, err := UID("nobody"); fmt.Sprint(uid) != nobody.Uid || err != nil {
		t.Errorf("user nobody: %d, %v, want %s", uid, err, nobody.Uid)
	}
	group, err := user.LookupGroupId(nobody.Gid)
	if err != nil {
		t.Fatal(err)
	}
	if gid, err := GID(group.Name); fmt.Sprint(gid) != nobody.Gid || err != nil {
		t.Errorf("group %s: %d, %v, want %s", group.Name, gid, err, nobody.Gid)
	}
}

// The texts are what every program prints that misses an account.
func TestMissingNames(t *testing.T) {
	notPrivate(t)
	for want, lookUp := range map[string]func(string) (uint32, error){
		"fatal: unable to find user no-such-name":  UID,
		"fatal: unable to find group no-such-name": GID,
	} {
		_, err := lookUp("no-such-name")
		var missing *Missing
		if !errors.As(err, &missing) || err.Error() != want {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

// In a private home every role is its owner's.
func TestPrivateHome(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root's home is nobody's private one")
	}
	t.Setenv("REQMAIL_HOME", t.TempDir())
	if uid, err := UID(Send); int(uid) != os.Geteuid() || err != nil {
		t.Errorf("uid %d, %v", uid, err)
	}
	if gid, err := GID(Qmail); int(gid) != os.Getegid() || err != nil {
		t.Errorf("gid %d, %v", gid, err)
	}
}

// TestGroups: id(1) knows who is in which group.
func TestGroups(t *testing.T) {
	const own = 4242 // no group of this host, one hopes
	data, err := os.ReadFile("/etc/group")
	if err != nil {
		t.Skip("needs a group file: ", err)
	}
	members := map[string]bool{"no-such-user": true}
	for line := range strings.Lines(strings.TrimSpace(string(data))) {
		f := strings.Split(strings.TrimSpace(line), ":")
		for name := range strings.SplitSeq(f[len(f)-1], ",") {
			if _, err := user.Lookup(name); err == nil {
				members[name] = true
			}
		}
	}
	for name := range members {
		want := []string{fmt.Sprint(own)}
		if u, err := user.Lookup(name); err == nil {
			groups, err := u.GroupIds()
			if err != nil {
				t.Fatal(err)
			}
			for _, g := range groups {
				if g != u.Gid {
					want = append(want, g)
				}
			}
		}
		groups, err := Groups(name, own)
		got := strings.Fields(strings.Trim(fmt.Sprint(groups), "[]"))
		if err != nil || len(got) == 0 || got[0] != want[0] {
			t.Fatalf("%s: got %v, %v, want %v", name, got, err, want)
		}
		slices.Sort(got[1:])
		slices.Sort(want[1:])
		if !slices.Equal(got, want) {
			t.Errorf("%s: got %v, want %v", name, got, want)
		}
	}
}

// TestGetent: what the C library finds, and an answer that there is none.
func TestGetent(t *testing.T) {
	if _, err := os.Stat("/usr/bin/getent"); err != nil {
		t.Skip("needs getent: ", err)
	}
	if line, ok, err := getent("passwd", "root"); !ok || err != nil || !strings.HasPrefix(line, "root:") || strings.Contains(line, "\n") {
		t.Errorf("root: %q, %v, %v", line, ok, err)
	}
	for _, name := range []string{"no-such-user-here", "--help"} {
		if line, ok, err := getent("passwd", name); ok || err != nil {
			t.Errorf("%s: %q, %v, %v", name, line, ok, err)
		}
	}
}

// became makes the test program one that drops its privileges.
const became = "REQMAIL_TEST_BECOME"

func TestMain(m *testing.M) {
	if name, group, ok := strings.Cut(os.Getenv(became), ":"); ok {
		if err := Become(name, group); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		groups, _ := os.Getgroups()
		again := syscall.Setuid(0)
		fmt.Println(os.Getuid(), os.Geteuid(), os.Getgid(), os.Getegid(), groups, again)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func TestBecome(t *testing.T) {
	if os.Geteuid() != 0 {
		if err := Become("no-such-user", "no-such-group"); err != nil {
			t.Errorf("an ordinary user has nothing to drop: %v", err)
		}
		return
	}
	nobody, err := user.Lookup("nobody")
	if err != nil {
		t.Skip("needs the account nobody: ", err)
	}
	group, err := user.LookupGroupId(nobody.Gid)
	if err != nil {
		t.Fatal(err)
	}
	for names, want := range map[string]string{
		"nobody:" + group.Name:    strings.NewReplacer("U", nobody.Uid, "G", nobody.Gid).Replace("U U G G [G] operation not permitted\n"),
		"no-such-u:" + group.Name: "fatal: unable to find user no-such-u\n",
		"nobody:no-such-g":        "fatal: unable to find group no-such-g\n",
	} {
		cmd := exec.Command("/proc/self/exe")
		cmd.Env = append(os.Environ(), became+"="+names)
		if out, _ := cmd.Output(); string(out) != want {
			t.Errorf("%s: got %q, want %q", names, out, want)
		}
	}
}
