package crash

import (
	"testing"

	"github.com/reqmail/reqmail/queue"
)

// TestSharing has numbers given out again once, and no more: another time
// would make one message of two.
func TestSharing(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name           string
		recorded, want []queue.ID
	}{
		{"four numbers", []queue.ID{30, 31, 32, 33}, []queue.ID{30, 31, 32, 30}},
		{"the first again", []queue.ID{30, 31, 32, 30}, []queue.ID{30, 31, 32, 30}},
		{"another again", []queue.ID{30, 31, 32, 32}, []queue.ID{30, 31, 32, 32}},
	}
	for _, tt := range tests {
		var ops []Op
		for _, id := range tt.recorded {
			ops = append(ops, Op{Kind: Accept, Adds: []Name{{Path: fileOf("todo", id)}}})
		}
		for i, op := range sharing(ops) {
			if got := numbered(op.Adds[0].Path); got != tt.want[i] {
				t.Errorf("%s: message %d has number %v, want %v", tt.name, i, got, tt.want[i])
			}
		}
	}
}
