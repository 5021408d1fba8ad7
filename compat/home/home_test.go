package home

import (
	"os"
	"testing"
)

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
