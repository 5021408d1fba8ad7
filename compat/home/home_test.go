package home

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// instead makes the test program one that tells where the home is.
const instead = "REQMAIL_TEST_HOME"

func TestMain(m *testing.M) {
	if os.Getenv(instead) != "" {
		fmt.Println(os.Geteuid(), Dir(), Secure(), Private())
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func TestDir(t *testing.T) {
	for env, want := range map[string]string{
		"":           Standard,
		"/srv/qmail": "/srv/qmail",
		"relative":   Standard, // the working directory may be anybody's
	} {
		t.Setenv(Variable, env)
		if got := Dir(); got != want {
			t.Errorf("%q: %q", env, got)
		}
	}
}

func TestSecure(t *testing.T) {
	if Secure() {
		t.Error("the test has no privileges that its caller lacks")
	}
}

func TestPrivate(t *testing.T) {
	own := t.TempDir()
	t.Setenv(Variable, own)
	if got, want := Private(), os.Geteuid() != 0; got != want {
		t.Errorf("own directory, uid %d: %v", os.Geteuid(), got)
	}
	t.Setenv(Variable, own+"/missing")
	if Private() {
		t.Error("a home that does not exist is private")
	}
	t.Setenv(Variable, "/") // root's
	if Private() {
		t.Error("somebody else's home is private")
	}
}

// TestSetUID: a set-uid program must not look for its files where its caller
// says.
func TestSetUID(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to make a set-uid program")
	}
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(program, self, 0o755); err != nil {
		t.Fatal(err)
	}
	const uid = 65534
	own := t.TempDir()
	if err := os.Chown(own, uid, uid); err != nil {
		t.Fatal(err)
	}
	run := func() string {
		cmd := exec.Command(program)
		cmd.Env = []string{instead + "=1", Variable + "=" + own, "GOCOVERDIR=" + t.TempDir()}
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(out))
	}
	if got, want := run(), "0 "+own+" false false"; got != want {
		t.Errorf("an ordinary program: got %q, want %q", got, want)
	}
	if err := os.Chown(program, uid, uid); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(program, 0o755|os.ModeSetuid); err != nil {
		t.Fatal(err)
	}
	got := run()
	if strings.HasPrefix(got, "0 ") {
		t.Skip("set-uid programs do not work in ", filepath.Dir(program))
	}
	if want := fmt.Sprint(uid) + " " + Standard + " true false"; got != want {
		t.Errorf("a set-uid program: got %q, want %q", got, want)
	}
}
