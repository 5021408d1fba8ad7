package local

import (
	"time"

	"github.com/reqmail/reqmail/compat/wire"
)

// slow is how long something takes that is told of.
const slow = 300 * time.Millisecond

// busy tells what the delivery is busy with if that takes long. done is its end.
func (d *Delivery) busy(phase, with string) (done func()) {
	if d.Tell == nil {
		return func() {}
	}
	t := time.AfterFunc(slow, func() { d.Tell(phase + "\n" + with) })
	return func() {
		if !t.Stop() {
			d.Tell(wire.PhaseFinish)
		}
	}
}
