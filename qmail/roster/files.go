package roster

import (
	"github.com/reqmail/reqmail/queue"
	"github.com/reqmail/reqmail/queue/orders"
)

// FromFiles makes a Snapshot of the files alone, for those who look while no
// qmail-send of ours runs. The working directory is the queue. Tries and
// reasons are not known then, nor which deliveries are under way; times are
// those that the last qmail-send has left. Orders count only for a qmail-send
// of ours: heed says whether they are to be looked at. Messages that end
// meanwhile are left out.
func FromFiles(now int64, heed bool) (*Snapshot, error) {
	s := &Snapshot{Now: now}
	if heed {
		var err error
		if s.Orders, _, err = orders.Read("."); err != nil {
			return nil, err
		}
	}
	scan := queue.ScanSplit("info")
	defer scan.Close()
	for {
		id, ok, more, err := scan.Next()
		if err != nil {
			return nil, err
		}
		if !more {
			return s, nil
		}
		if ok {
			s.take(id)
		}
	}
}

// take adds a message that is preprocessed.
func (s *Snapshot) take(id queue.ID) {
	state, err := queue.Look(id)
	if err != nil || !state.Info || state.Todo {
		return
	}
	size, err := queue.MessSize(id)
	if err != nil {
		size = -1
	}
	s.Records = append(s.Records, NewRecord(id, state.Birth, size))
	for c := range s.Due {
		if state.Recipients[c] {
			s.Due[c] = append(s.Due[c], Due{id, state.NextTry[c]})
		}
	}
}
