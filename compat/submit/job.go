package submit

// A job is what a qmail-queue that stays gets for a message: a datagram with
// text, envelope, and four bytes that say how many of them are text; or two
// descriptors to read text and envelope from, with the datagram pipesJob. The
// answer is a byte, its exit code.

const (
	pipesJob = '|'
	trailer  = 4 // bytes
)

// appendJob makes a job of a message, whose first text bytes are text.
func appendJob(message []byte, text int) []byte {
	return append(message, byte(text>>24), byte(text>>16), byte(text>>8), byte(text))
}

// SplitJob takes text and envelope out of a job; false means that it has none.
func SplitJob(job []byte) (text, envelope []byte, ok bool) {
	n := len(job) - trailer
	if n < 0 {
		return nil, nil, false
	}
	at := 0
	for _, c := range job[n:] {
		at = at<<8 | int(c)
	}
	if at > n {
		return nil, nil, false
	}
	return job[:at], job[at:n], true
}
