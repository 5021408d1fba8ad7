package roster

import (
	"math"

	"github.com/reqmail/reqmail/queue"
	"github.com/reqmail/reqmail/queue/orders"
	"github.com/reqmail/reqmail/queue/reasons"
)

// FromFiles makes a Snapshot of the files alone, for those who look while no
// qmail-send of ours runs. The working directory is the queue. Which deliveries
// are under way is not known then; times are those that the last qmail-send has
// left, tries and reasons what it has left in the log, nil for none. Orders
// count only for a qmail-send of ours: heed says whether they are to be looked
// at. Messages that end meanwhile are left out.
func FromFiles(now int64, heed bool, log *reasons.Log) (*Snapshot, error) {
	s := &Snapshot{Now: now, Files: true, Reasons: log}
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
			s.recall()
			return s, nil
		}
		if ok {
			s.take(id)
		}
	}
}

// recall enters what the log of reasons tells.
func (s *Snapshot) recall() {
	if s.Reasons == nil {
		return
	}
	s.join()
	s.Reasons.Each(func(r reasons.Record, pos int64) {
		i, ok := s.find(r.ID)
		if !ok || int64(s.Records[i].Birth) != r.Birth {
			return
		}
		s.Records[i].Reason = pos
		s.Records[i].Tries[r.Channel] = uint16(min(r.Tries, math.MaxUint16))
	})
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
