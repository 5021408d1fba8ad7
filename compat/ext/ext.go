// Package ext is about reqmail-ext, the second binary: it has what programs on
// the per-message path cannot carry, because libraries with crypto/tls keep a
// program from being executed under the memory limits of qmail hosts: TLS,
// SPF, DKIM. A program that needs it becomes it, under its own name, once its
// entry point has raised the limits. Where it is not installed, programs work
// without. The package must not know what it is needed for.
package ext

import (
	"os"
	"syscall"

	"github.com/reqmail/reqmail/compat/child"
	"github.com/reqmail/reqmail/compat/limits"
)

// Program is the binary's place below the qmail home.
const Program = "bin/reqmail-ext"

// Variable tells it which program it is.
const Variable = "REQMAIL_ROLE"

// Available reports whether the binary is there below the qmail home.
func Available(home string) bool {
	const executable = 1 // X_OK of access(2)
	return syscall.Access(home+"/"+Program, executable) == nil
}

// Become replaces the process by the second binary in the role of a program,
// with its arguments and environment and more variables, NAME=VALUE. It
// returns only if that fails; nothing is changed then.
func Become(home, role string, more ...string) error {
	env := append(os.Environ(), Variable+"="+role)
	if handover := limits.Handover(); handover != "" {
		env = append(env, limits.Variable+"="+handover)
	}
	return child.ExecRaised(home+"/"+Program, os.Args, append(env, more...))
}

// Role returns the program that this process is to be, if it is the second
// binary and was started by Become, takes over its limits and its name in
// process lists, and removes the variables.
func Role() string {
	role := os.Getenv(Variable)
	_ = os.Unsetenv(Variable)
	if role != "" {
		// ps(1) and pidof(8) work without it as well, by the arguments.
		_ = os.WriteFile("/proc/self/comm", []byte(role), 0)
	}
	limits.Adopt()
	return role
}

// Take returns a variable that was handed to Become and removes it.
func Take(name string) (value string, ok bool) {
	value, ok = os.LookupEnv(name)
	_ = os.Unsetenv(name)
	return value, ok
}
