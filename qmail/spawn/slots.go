package spawn

import (
	"github.com/reqmail/reqmail/compat/wire"
	"github.com/reqmail/reqmail/control"
)

// maxSlots is the most that fit the protocol: a slot number is one byte.
const maxSlots = 255

// Slots returns how many deliveries a spawner offers to run at a time:
// control/concurrencyspawn of the qmail home, or as many as C's spawners.
// A file that cannot be read is no reason not to start.
func Slots(home string) int {
	d, err := control.Open(home + "/control")
	if err != nil {
		return wire.DefaultSlots
	}
	n, err := d.Int(control.ConcurrencySpawn)
	if err != nil || n <= 0 {
		return wire.DefaultSlots
	}
	return min(n, maxSlots)
}
