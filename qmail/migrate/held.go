package migrate

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// heldMessages counts the messages that an administrator holds back in the
// queue of the qmail home. A hold is a regular file in queue/lock/send, which C
// qmail does not look at: one named hold.SOMETHING, or any one in the folder
// holds there. A C qmail-send would deliver the messages.
func heldMessages(home string) (int, error) {
	dir := filepath.Join(home, "queue/lock/send")
	held := 0
	for folder, prefix := range map[string]string{dir: "hold.", filepath.Join(dir, "holds"): ""} {
		files, err := os.ReadDir(folder)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return 0, err
		}
		for _, f := range files {
			if f.Type().IsRegular() && strings.HasPrefix(f.Name(), prefix) {
				held++
			}
		}
	}
	return held, nil
}
