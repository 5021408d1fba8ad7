package system

import (
	"fmt"
	"os"
	"testing"

	"github.com/reqmail/reqmail/tests/host"
)

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
	if err := host.AsNobody("bin", "fault"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
