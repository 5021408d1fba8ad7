package submit

import "testing"

// FuzzJob: whatever a datagram holds, text and envelope are parts of it, and
// what a client sends is what arrives.
func FuzzJob(f *testing.F) {
	f.Add([]byte("textFs\x00Tr\x00\x00"), 4)
	f.Add([]byte{1, 0, 0, 0, 1}, 1)
	f.Fuzz(func(t *testing.T, message []byte, n int) {
		if text, envelope, ok := SplitJob(message); ok && len(text)+len(envelope)+trailer != len(message) {
			t.Errorf("%q: text %q, envelope %q", message, text, envelope)
		}
		if n < 0 || n > len(message) {
			return
		}
		want := string(message)
		text, envelope, ok := SplitJob(appendJob(message, n))
		if !ok || string(text) != want[:n] || string(envelope) != want[n:] {
			t.Errorf("%q, %d: text %q, envelope %q, %v", want, n, text, envelope, ok)
		}
	})
}
