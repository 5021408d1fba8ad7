package lspawn

import (
	"strings"
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

// getpwTime is more than a qmail-getpw takes that looks at files.
const getpwTime = 20 * time.Millisecond

// NewRunners returns what runs qmail-local and qmail-getpw of a home: in
// children that stay, unless control/residentchildren is 0 or cannot be read.
func NewRunners(home string) (local, getpw *resident.Runner) {
	reaper, plain := child.NewReaper(), !control.Residents(home)
	local = &resident.Runner{
		Pool:   resident.Pool{Most: mostIdle, Idle: idleTime},
		Reaper: reaper,
		Plain:  plain,
		Gather: &resident.Gather{Line: homeDir, Like: address},
	}
	getpw = &resident.Runner{
		Pool:   resident.Pool{Most: mostIdle, Idle: idleTime},
		Reaper: reaper,
		Plain:  plain,
		Turn:   resident.NewTurn(getpwTime),
	}
	return local, getpw
}

// homeDir is the home directory that mail goes to, of qmail-local's arguments: what is
// wrong with one, a file system that hangs say, is not to hold up mail for others.
func homeDir(args []string) string { return args[3] }

// address is what decides where qmail-local delivers, of its arguments: user, home
// directory, local part, dash, extension.
func address(args []string) string { return strings.Join(args[2:7], "\x00") }
