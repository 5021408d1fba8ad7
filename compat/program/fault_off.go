//go:build !reqmail_fault

package program

// faulty is where the tests' build breaks a program on purpose.
func faulty(_ string, run func() int) func() int { return run }
