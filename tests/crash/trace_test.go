package crash

import (
	"fmt"
	"strings"
	"testing"
)

// straced writes text as strace does with -xx.
func straced(text string) string {
	var b strings.Builder
	for i := range len(text) {
		fmt.Fprintf(&b, `\x%02x`, text[i])
	}
	return b.String()
}

// Writes are where the calls put them: one after the other, where lseek(2) went, at
// the end, or, with pwrite(2), where that says.
func TestWhereWritesGo(t *testing.T) {
	file := straced("/home/queue/local/7")
	trace := fmt.Sprintf(`1<%[1]s> openat(AT_FDCWD<%[2]s>, "%[3]s", O_WRONLY|O_CREAT|O_EXCL, 0644) = 3<%[3]s>
1<%[1]s> write(3<%[3]s>, "%[4]s", 4) = 4
1<%[1]s> pwrite64(3<%[3]s>, "%[5]s", 1, 2) = 1
1<%[1]s> write(3<%[3]s>, "%[5]s", 1) = 1
1<%[1]s> lseek(3<%[3]s>, 1, SEEK_SET) = 1
1<%[1]s> write(3<%[3]s>, "%[5]s", 1) = 1
`, straced("program"), straced("/home"), file, straced("TaTb"), straced("D"))
	ops, err := Parse("/home", func(string) bool { return true }, trace)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, op := range ops {
		if op.Kind == Write {
			got = append(got, fmt.Sprintf("%s at %d", op.Data, op.Off))
		}
	}
	if want := "TaTb at 0, D at 2, D at 4, D at 1"; strings.Join(got, ", ") != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
