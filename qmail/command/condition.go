package command

import "io"

// Except inverts the verdict of a program: its exit 0 becomes 100, a
// temporary failure stays one, everything else becomes 0. args are its
// operands: the program and its arguments.
func Except(files Files, args []string) int {
	t := tool{"except", files}
	if len(args) == 0 {
		return t.usage("program [ arg ... ]")
	}
	yes, code := t.holds(args)
	if yes {
		return permanent
	}
	return code
}

// BounceSaying says its first operand and fails for good, if the program that
// follows it exits 0 or there is none.
func BounceSaying(files Files, args []string) int {
	t := tool{"bouncesaying", files}
	if len(args) == 0 {
		return t.usage("error [ program [ arg ... ] ]")
	}
	if len(args) > 1 {
		if yes, code := t.holds(args[1:]); !yes {
			return code
		}
	}
	t.say(args[0])
	return permanent
}

// CondRedirect sends the message on to its first operand, in the name of
// SENDER, if the program that follows exits 0; the delivery then ends there.
// The message must be a file, because the program may have read of it.
func CondRedirect(files Files, args []string) int {
	t := tool{"condredirect", files}
	if len(args) < 2 {
		return t.usage("newaddress program [ arg ... ]")
	}
	if yes, code := t.holds(args[1:]); !yes {
		return code
	}
	if _, err := files[0].Seek(0, io.SeekStart); err != nil {
		return t.trouble("unable to rewind", err)
	}
	return t.resend("SENDER", args[:1], delivered)
}
