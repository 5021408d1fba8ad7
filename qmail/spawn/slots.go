package spawn

import (
	"syscall"

	"github.com/reqmail/reqmail/compat/wire"
	"github.com/reqmail/reqmail/control"
)

// What open files a spawner needs: for each delivery its message, its output
// and the conversation with a program, and some for itself.
const (
	filesPerSlot = 6
	filesAtAll   = 100
)

// Slots returns how many deliveries a spawner offers to run at a time:
// control/concurrencyspawn of the qmail home, or as many as C's spawners. It is
// no more than there are open files for (the runtime has raised that limit as
// far as it goes), but for those few that C offers without looking. A file that
// cannot be read is no reason not to start.
func Slots(home string) int {
	d, err := control.Open(home + "/control")
	if err != nil {
		return wire.DefaultSlots
	}
	n, err := d.Int(control.ConcurrencySpawn)
	if err != nil || n <= 0 {
		return wire.DefaultSlots
	}
	var files syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files) != nil {
		return min(n, wire.DefaultSlots)
	}
	return slots(n, files.Cur)
}

func slots(wanted int, files uint64) int {
	room := wire.DefaultSlots
	if files > filesAtAll {
		room = max(room, int(min(files-filesAtAll, filesPerSlot*wire.MaxSlots)/filesPerSlot))
	}
	return min(wanted, room)
}
