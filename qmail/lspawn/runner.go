package lspawn

import (
	"time"

	"github.com/reqmail/reqmail/compat/child"
	"github.com/reqmail/reqmail/compat/resident"
	"github.com/reqmail/reqmail/control"
)

// How many children wait for another delivery, and how long.
const (
	mostIdle = 20
	idleTime = 5 * time.Second
)

// NewRunner returns what runs qmail-local and qmail-getpw of a home: in
// children that stay, unless control/residentchildren is 0 or cannot be read.
func NewRunner(home string) *resident.Runner {
	return &resident.Runner{
		Pool:   resident.Pool{Most: mostIdle, Idle: idleTime},
		Reaper: child.NewReaper(),
		Plain:  !control.Residents(home),
	}
}
