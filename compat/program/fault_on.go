//go:build reqmail_fault

package program

import (
	"os"
	"strings"
	"syscall"
)

// faulty breaks a program as the environment variable REQMAIL_FAULT asks for:
// "PROGRAM:FAULT". Only test builds have it.
func faulty(name string, run func() int) func() int {
	program, fault, _ := strings.Cut(os.Getenv("REQMAIL_FAULT"), ":")
	if program != name {
		return run
	}
	return map[string]func() int{
		"panic":     func() int { panic("forced") },
		"goroutine": goroutinePanic,
		"memory":    outOfMemory,
	}[fault]
}

func goroutinePanic() int {
	go func() { panic("forced") }()
	select {}
}

// outOfMemory allocates until the system refuses, which it does soon.
func outOfMemory() int {
	const room = 1 << 30
	limit := syscall.Rlimit{Cur: room, Max: room}
	if err := syscall.Setrlimit(syscall.RLIMIT_AS, &limit); err != nil {
		panic(err)
	}
	var hold [][]byte
	for {
		block := make([]byte, 1<<20)
		for i := 0; i < len(block); i += 4096 {
			block[i] = 1
		}
		hold = append(hold, block)
	}
}
