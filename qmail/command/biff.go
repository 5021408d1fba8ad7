package command

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"io"
	"os"
	"strings"
	"syscall"

	"github.com/reqmail/reqmail/compat/fdio"
)

// The file of who is logged in (utmp(5)), as glibc lays it out on Linux.
const (
	utmpFile    = "/var/run/utmp"
	utmpSize    = 384 // of a record, in bytes
	utmpLineAt  = 8
	utmpLineLen = 32
	utmpUserAt  = 44
	utmpUserLen = 32
	userProcess = 7 // type of a record of somebody who is logged in
)

// maxBiff is the length in bytes of the second line that qbiff writes.
const maxBiff = 78

// QBiff tells USER on the terminals where he is logged in, and wants to be
// told, that a message has come. It never fails.
func QBiff(files Files) int {
	user, ok1 := os.LookupEnv("USER")
	sender, ok2 := os.LookupEnv("SENDER")
	local, ok3 := os.LookupEnv("LOCAL")
	if !ok1 || !ok2 || !ok3 || len(user) > utmpUserLen {
		return done
	}
	text, err := notice(files[0], local, sender)
	if err != nil {
		return done
	}
	data, err := fdio.ReadFile(utmpFile)
	if err != nil {
		return done
	}
	for _, terminal := range terminals(data, user) {
		tell("/dev/"+terminal, text)
	}
	return done
}

// notice is what is written to a terminal.
func notice(message io.Reader, local, sender string) (string, error) {
	text, err := summary(bufio.NewReader(message), "    ", maxBiff)
	if err != nil {
		return "", err
	}
	return "\r\n\a" + visible("*** TO <"+local+"> FROM <"+sender+">", '_') + "\r\n" + visible(text, '/') + "\r\n", nil
}

// terminals returns where a user is logged in.
func terminals(utmp []byte, user string) []string {
	var found []string
	for ; len(utmp) >= utmpSize; utmp = utmp[utmpSize:] {
		name, _, _ := bytes.Cut(utmp[utmpUserAt:utmpUserAt+utmpUserLen], []byte{0})
		line, _, _ := bytes.Cut(utmp[utmpLineAt:utmpLineAt+utmpLineLen], []byte{0})
		terminal := string(line)
		if binary.NativeEndian.Uint16(utmp) != userProcess || string(name) != user ||
			terminal == "" || terminal[0] == '/' || strings.Contains(terminal, ".") {
			continue
		}
		found = append(found, terminal)
	}
	return found
}

// tell writes to a terminal that is the caller's and may be written to, which
// its owner's execute bit says (biff(1)).
func tell(terminal, text string) {
	f, err := fdio.Open(terminal, syscall.O_WRONLY|syscall.O_NONBLOCK|syscall.O_APPEND, 0)
	if err != nil {
		return
	}
	defer f.Close()
	st, err := f.Stat()
	if err == nil && st.Mode&syscall.S_IXUSR != 0 && int(st.Uid) == os.Getuid() {
		_, _ = f.WriteString(text)
	}
}
