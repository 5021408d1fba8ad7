package system

import (
	"os"
	"testing"
)

// tempHome returns a directory for a qmail home that belongs to the caller.
// Root has no private home (his processes play every role under its own uid),
// so the tests leave root behind first: see TestMain.
func tempHome(t *testing.T) string {
	t.Helper()
	// Not t.TempDir: its parents are closed to other uids, and its name may
	// be too long for a socket's path.
	dir, err := os.MkdirTemp("", "reqmail-test.")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}
