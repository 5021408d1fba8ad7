package migrate

import (
	"path/filepath"
	"strconv"

	"github.com/reqmail/reqmail/queue/orders"
)

// heldMessages counts the messages that an administrator holds back in the
// queue of the qmail home. A C qmail-send would deliver them.
func heldMessages(home string) (int, error) { return orders.Held(filepath.Join(home, "queue")) }

func messagesAre(n int) string {
	if n == 1 {
		return "1 message is"
	}
	return strconv.Itoa(n) + " messages are"
}
