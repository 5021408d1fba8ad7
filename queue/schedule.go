package queue

// skip is the schedule's step in seconds' square root: an undisturbed message
// is tried (skip·k)² seconds after its birth.
func (c Channel) skip() int64 {
	if c == Local {
		return 10
	}
	return 20
}

// NextTry returns when a message is tried again on a channel if a try that
// starts now defers it (qmail-send(8)): with n the square root of its age
// plus 10 for local and 20 for remote mail, n² seconds after birth. Times are
// Unix seconds; a birth in the future counts as now.
func NextTry(birth, now int64, c Channel) int64 {
	n := root(max(now-birth, 0)) + c.skip()
	return birth + n*n
}

// root returns the integer square root of x, at most 65535 as in C.
func root(x int64) int64 {
	var y int64
	for bit := int64(1 << 15); bit > 0; bit >>= 1 {
		if t := y + bit; t*t <= x {
			y = t
		}
	}
	return y
}

// Expired reports whether a try at now is the last one of a message: it is
// older than the queue lifetime in seconds.
func Expired(birth, now, lifetime int64) bool { return now > birth+lifetime }
